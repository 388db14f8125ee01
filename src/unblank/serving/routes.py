"""The endpoints of the library's own calls: fill, score, generate, classify, and the models."""

from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unblank.generation.options import DecodingOptions
from unblank.generation.results import FillResult, Generated, TokenEvent
from unblank.serving.bodies import (
    FillBody,
    GenerateBody,
    ScoreBody,
    ViewBody,
    classify_body,
    read_rule_bodies,
)
from unblank.serving.json_route import JsonRoute
from unblank.serving.response_examples import (
    CLASSIFIED,
    FILLED,
    GENERATED,
    MODELS,
    SCORED,
    VIEWED,
    answers,
    refusals,
)
from unblank.serving.served_model import ServedModel
from unblank.serving.service import JsonResponse, Service, to_json
from unblank.serving.view import view_fills, view_source

__all__ = ["library_routes"]

_Result = TypeVar("_Result")


def library_routes(service: Service) -> APIRouter:
    """Return the endpoints of the library's own calls."""
    router = APIRouter(
        prefix="/v1", route_class=JsonRoute, default_response_class=JsonResponse, tags=["models"]
    )

    @router.get("/models", summary="The models that are served", responses=answers(MODELS))
    async def models() -> Response:
        found = [_about(model, service) for model in service.models.values()]
        return JsonResponse({"object": "list", "data": found})

    @router.post("/fill", summary="Fill blanks", responses=answers(FILLED) | refusals())
    async def fill(body: FillBody, request: Request) -> Response:
        model, options = service.writer(body.model), body.options()
        rules = read_rule_bodies(body.rules)
        if body.passages is not None:
            asked = _with_passages(model, body, options)
            return JsonResponse((await service.wait_for(request, asked)).to_dict())
        if body.stream:
            begun = model.fill_stream(_only_text(body.text), options, body.order, rules)
            return service.stream(await service.wait_for(request, begun), _as_event)
        work = model.fill(_texts(body.text), options, body.order, rules)
        return _response(body.text, await service.wait_for(request, work))

    @router.post("/generate", summary="Answer sources", responses=answers(GENERATED) | refusals())
    async def generate(body: GenerateBody, request: Request) -> Response:
        model, options = service.writer(body.model), body.options()
        rules = read_rule_bodies(body.rules)
        if body.stream:
            begun = model.generate_stream(_only_text(body.source), options, rules)
            return service.stream(await service.wait_for(request, begun), _as_event)
        work = model.generate(_texts(body.source), options, rules)
        return _response(body.source, await service.wait_for(request, work))

    @router.post("/score", summary="Score candidates", responses=answers(SCORED) | refusals())
    async def score(body: ScoreBody, request: Request) -> Response:
        model = service.writer(body.model)
        options = body.model_dump(exclude={"model", "text", "candidates", "passages"})
        if body.passages is not None:
            options["passages"] = [body.passages]
        work = model.score([body.text], [body.candidates], **options)
        (found,) = await service.wait_for(request, work)
        return JsonResponse(found.to_dict())

    @router.post("/classify", summary="Predict labels", responses=answers(CLASSIFIED) | refusals())
    async def classify(body: classify_body(service.task_names), request: Request) -> Response:  # type: ignore[valid-type]
        model = service.model(body.model)
        inputs = [body.inputs] if isinstance(body.inputs, dict) else body.inputs
        task = service.task(model, body.task)
        work = model.classify(
            task,
            inputs,
            patterns=body.patterns,
            layout=body.layout,
            normalization=body.normalization,
            abstain_below=body.abstain_below,
        )
        predictions, tuned = await service.wait_for(request, work)
        source = "" if tuned.calibration is None else str(tuned.calibration.source)
        found = {"task": task.name, "predictions": predictions, "calibration": source}
        return JsonResponse(found)

    @router.post("/view", summary="See what the model reads", responses=answers(VIEWED))
    async def view(body: ViewBody) -> Response:
        model = service.writer(body.model)
        if model.family.writes == "blanks":
            seen = view_fills(model.unblank, body.text, body.fills, body.order)
        else:
            seen = view_source(model.unblank, body.text, body.answer)
        return JsonResponse({"rows": [asdict(one) for one in seen]})

    return router


def _about(model: ServedModel, service: Service) -> dict[str, Any]:
    network = model.unblank.model
    task = service.own_tasks.get(model.name)
    can = ["classify"]
    if model.labels.head is None:
        can = ["score", "generate"]
        can += ["fill", "classify"] if model.family.writes == "blanks" else []
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "unblank",
        "family": model.family.name,
        "parameters": network.num_parameters(),
        "positions": network.config.max_position_embeddings,
        "can": can,
        "task": None if task is None else task.name,
    }


def _texts(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _only_text(given: str | list[str]) -> str:
    if isinstance(given, str):
        return given
    raise ValueError("stream applies to one text: give it as a text, not as a list")


def _with_passages(
    model: ServedModel, body: FillBody, options: DecodingOptions
) -> Awaitable[FillResult]:
    """Return the fill of a text with passages, to be awaited."""
    if body.rules or body.stream or body.order == "confidence":
        name = "rules" if body.rules else "stream" if body.stream else "order confidence"
        raise ValueError(f"{name} cannot be combined with passages: leave one of them out")
    if not isinstance(body.text, str) or body.passages is None:
        raise ValueError("passages belong to one text: give it as a text, not as a list")
    return model.fill_with_passages(body.text, body.passages, options, body.order)


def _response(given: str | list[str], found: Sequence[FillResult | Generated]) -> Response:
    """Return one result for one text, a list of them for a list."""
    results = [one.to_dict() for one in found]
    return JsonResponse(results[0] if isinstance(given, str) else {"results": results})


def _as_event(event: TokenEvent | FillResult | Generated) -> str:
    if isinstance(event, TokenEvent):
        return f"event: token\ndata: {to_json(asdict(event))}\n\n"
    return f"event: result\ndata: {to_json(event.to_dict())}\n\n"
