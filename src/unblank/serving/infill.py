"""`POST /infill` in the shape that editors' plugins send to llama.cpp: a cursor in a file.

Plugins send far more text than a small model reads, so what is far from the cursor is left out, and
`truncated` says so. Fields that steer another program's samplers and caches are ignored, as there.
"""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from unblank.generation.independent import RowEvent
from unblank.generation.pieces import Piece
from unblank.serving.bodies import Text
from unblank.serving.continuation import Continuation, Continued, Sampling
from unblank.serving.growing_text import GrowingText
from unblank.serving.json_route import JsonRoute
from unblank.serving.response_examples import INFILLED, answers, refusals
from unblank.serving.served_model import ServedModel
from unblank.serving.service import JsonResponse, Service, data_event
from unblank.tokenization.special import BLANK_TOKENS

__all__ = ["infill_routes"]

_OTHER_TOKENS = 8
"""Positions kept for special tokens and for tokens that differ where a text is cut."""


_NOTHING = Continued("", Piece(), "length")


class InfillBody(BaseModel):
    """A place between two texts to be filled."""

    model_config = ConfigDict(extra="ignore")

    input_prefix: Text = Field("", description="What comes before the cursor.")
    input_suffix: Text = Field("", description="What comes after it.")
    prompt: Text = Field("", description="Text right before the cursor, after the prefix.")
    n_predict: int = Field(64, ge=-1, le=1_000_000, description="Most tokens; -1 = 64.")
    temperature: float = Field(0.0, ge=0, le=1000, description="0 = greedy decoding.")
    top_k: int = Field(0, ge=0, le=1_000_000, description="Draw from the k likeliest tokens only.")
    top_p: float = Field(1.0, ge=0, le=1, description="Draw from the likeliest tokens only.")
    seed: int = Field(0, ge=-1, le=2**63 - 1, description="Of the draws; -1 = 0.")
    stop: Annotated[list[Text], Field(max_length=16)] = Field(
        [], description="Strings before which the answer ends."
    )
    stream: bool = Field(False, description="Send text as soon as it is written.")

    def sampling(self) -> Sampling:
        """Return how tokens are drawn."""
        return Sampling(
            max_tokens=self.n_predict if self.n_predict > 0 else 64,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p or 1.0,
            seed=max(self.seed, 0),
            stops=tuple(filter(None, self.stop)),
        )


def infill_routes(service: Service) -> APIRouter:
    """Return the endpoint for editors."""
    router = APIRouter(
        route_class=JsonRoute, default_response_class=JsonResponse, tags=["llama.cpp's shape"]
    )

    @router.post("/infill", summary="Fill at a cursor", responses=answers(INFILLED) | refusals())
    async def infill(body: InfillBody, request: Request) -> Response:
        infilling = _Infilling(service.writer(None), body)
        if body.stream:
            return service.stream(infilling.chunks(), str)
        return JsonResponse(await service.wait_for(request, infilling.whole()))

    return router


class _Infilling:
    def __init__(self, model: ServedModel, body: InfillBody) -> None:
        self._model = model
        self._is_empty = body.n_predict == 0  # how editors warm up a server's cache
        sampling = body.sampling()
        before, after = body.input_prefix + body.prompt, body.input_suffix
        for blank in BLANK_TOKENS:  # in a file they are only text
            before, after = before.replace(blank, blank[1:-1]), after.replace(blank, blank[1:-1])
        near = _near_the_cursor(model, before, after)
        self._is_cut = near != (before, after)
        self._place = Continuation(model, *near, sampling)
        self._stops = sampling.stops

    async def whole(self) -> dict[str, Any]:
        """Return the response when all is written."""
        if self._is_empty:
            return self._end(_NOTHING, "")
        ((filling,),) = await self._model.decode([self._place.request])
        one = self._place.result(filling)
        return self._end(one, one.text)

    def chunks(self) -> AsyncGenerator[str]:
        """Return an iterator over the response as server-sent events; submits at once."""
        events = self._model.decode_stream([] if self._is_empty else [self._place.request])

        async def sent() -> AsyncGenerator[str]:
            growing = GrowingText(self._stops)
            try:
                if self._is_empty:
                    yield data_event(self._end(_NOTHING, ""))
                async for _, event in events:
                    if isinstance(event, RowEvent):
                        tokens = list(event.job.fillings[0].pieces[0].token_ids)
                        if new := growing.more(self._place.text_of(tokens)):
                            yield data_event({"content": new, "stop": False})
                    else:
                        one = self._place.result(event[0])
                        yield data_event(self._end(one, growing.more(one.text, is_whole=True)))
            finally:
                await events.aclose()

        return sent()

    def _end(self, one: Continued, text: str) -> dict[str, Any]:
        kind = "word" if one.stop else "limit" if one.finish_reason == "length" else "eos"
        return {
            "content": text,
            "tokens": one.piece.token_ids,
            "stop": True,
            "model": self._model.name,
            "tokens_predicted": len(one.piece.token_ids),
            "tokens_evaluated": len(self._place.prompt.token_ids),
            "stop_type": kind,
            "stopping_word": one.stop,
            "truncated": self._is_cut,
        }


def _near_the_cursor(model: ServedModel, before: str, after: str) -> tuple[str, str]:
    """Return as much of both texts as the model reads, what is before the cursor first."""
    tokenizer = model.unblank.tokenizer
    room = model.unblank.model.config.max_position_embeddings - _OTHER_TOKENS
    # No token has more characters than this, on average over a text: longer ones are cut first.
    most = 16 * room
    before, after = before[-most:], after[:most]
    starts_before = [start for start, _ in _offsets(tokenizer, before)]
    ends_after = [end for _, end in _offsets(tokenizer, after)]
    if len(starts_before) + len(ends_after) <= room:
        return before, after
    num_after = min(len(ends_after), max(room // 4, room - len(starts_before)))
    num_before = min(len(starts_before), room - num_after)
    first = starts_before[-num_before] if num_before else len(before)
    return before[first:], after[: ends_after[num_after - 1] if num_after else 0]


def _offsets(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets: list[tuple[int, int]] = encoded["offset_mapping"]
    return offsets
