"""`POST /v1/completions` in the shape of OpenAI's API, for its clients.

`suffix` makes it infilling: the model writes between prompt and suffix. What a blank-infilling
model cannot do (penalties, biases, `best_of` beyond `n`) is refused, not ignored.
"""

import math
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from unblank.generation.independent import RowEvent
from unblank.generation.pieces import Filling, Piece
from unblank.rules.rule import Rule
from unblank.serving.bodies import MOST_TEXTS, ModelBody, Rules, Text, read_rule_bodies
from unblank.serving.continuation import Continuation, FinishReason, Sampling
from unblank.serving.growing_text import GrowingText
from unblank.serving.json_route import JsonRoute
from unblank.serving.response_examples import COMPLETED, answers, refusals
from unblank.serving.served_model import ServedModel
from unblank.serving.service import JsonResponse, Service, data_event

__all__ = ["completion_routes"]

Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = Field(False, description="Send the usage in a last chunk.")


class CompletionBody(ModelBody):
    """A prompt to be continued, or a gap between prompt and suffix to be filled."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)] = Field(
        description="One prompt or several; a GLM also takes one with a blank in it.",
        examples=["The game was called"],
    )
    suffix: Text | None = Field(None, description="What follows the text that is written.")
    n: int | None = Field(1, ge=1, le=64, description="Answers to each prompt.")
    max_tokens: int | None = Field(16, ge=1, le=1_000_000, description="Most tokens of an answer.")
    temperature: float | None = Field(1.0, ge=0, le=2, description="0 = greedy decoding.")
    top_p: float | None = Field(1.0, gt=0, le=1, description="Draw from the likeliest tokens only.")
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1, description="Of the draws.")
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = Field(
        None, description="Up to four strings before which an answer ends."
    )
    logprobs: int | None = Field(
        None, ge=0, le=20, description="Report the tokens and as many alternatives to each."
    )
    echo: bool | None = Field(False, description="Return the prompt before the answer.")
    stream: bool | None = Field(False, description="Send text as soon as it is written.")
    stream_options: _StreamOptions | None = None
    rules: Rules = Field(
        [], description="What the answer must be like, as for /v1/fill; not beside stop."
    )
    best_of: int | None = Field(None, description="As many as n, or none.")
    frequency_penalty: float | None = Field(None, description="0 or none.")
    presence_penalty: float | None = Field(None, description="0 or none.")
    logit_bias: dict[str, float] | None = Field(None, description="Empty or none.")
    user: str | None = Field(None, max_length=1000, description="Not used.")

    @property
    def num_answers(self) -> int:
        """Answers to each prompt."""
        return self.n or 1

    def require_supported(self) -> None:
        """Raise ValueError for what cannot be done."""
        for name in ("frequency_penalty", "presence_penalty", "logit_bias"):
            if getattr(self, name):
                raise ValueError(f"{name} is not supported: leave it out")
        if self.rules and self.stop:
            raise ValueError("rules and stop exclude each other: leave one out")
        if self.best_of not in (None, self.num_answers):
            raise ValueError(f"best_of is {self.best_of}: leave it out, or give it the value of n")

    def sampling(self) -> Sampling:
        """Return how tokens are drawn."""
        seed = secrets.randbits(32) if self.seed is None else self.seed % 2**63
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=16 if self.max_tokens is None else self.max_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=seed,
            num_return=self.num_answers,
            num_alternatives=self.logprobs or 0,
            stops=tuple(stops),
        )


def completion_routes(service: Service) -> APIRouter:
    """Return the endpoint of completions."""
    router = APIRouter(
        prefix="/v1",
        route_class=JsonRoute,
        default_response_class=JsonResponse,
        tags=["OpenAI's shape"],
    )

    @router.post(
        "/completions",
        summary="Continue a prompt, or fill the gap before a suffix",
        responses=answers(COMPLETED) | refusals(),
    )
    async def completions(body: CompletionBody, request: Request) -> Response:
        body.require_supported()
        completion = _Completion(service.writer(body.model), body)
        if rules := read_rule_bodies(body.rules):
            await service.wait_for(request, completion.hold_to(rules))
        if body.stream:
            return service.stream(completion.chunks(), str)
        return JsonResponse(await service.wait_for(request, completion.whole()))

    return router


class _Completion:
    """One request: its prompts, and the shape of what is sent back."""

    def __init__(self, model: ServedModel, body: CompletionBody) -> None:
        self._model = model
        self._body = body
        self._prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        sampling = body.sampling()
        self._stops = sampling.stops
        self._places = [
            Continuation(model, prompt, body.suffix, sampling) for prompt in self._prompts
        ]
        self._about = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.name,
        }

    async def hold_to(self, rules: Sequence[Rule]) -> None:
        """Hold all answers to rules; errors as for `RuleWork`, ValueError if they cannot be met."""
        for place in self._places:
            await self._model.rule_work.do(partial(place.hold_to, rules))

    async def whole(self) -> dict[str, Any]:
        """Return the response when all is written."""
        found = await self._model.decode([place.request for place in self._places])
        choices: list[dict[str, Any]] = []
        num_tokens = 0
        for number, (place, fillings) in enumerate(zip(self._places, found, strict=True)):
            for filling in [one for one in fillings for _ in range(place.num_copies)]:
                one = place.result(filling)
                text = self._echo(number) + one.text
                logprobs = self._logprobs(number, one.piece)
                choices.append(_choice(len(choices), text, logprobs, one.finish_reason))
            num_tokens += self._num_tokens(number, fillings)
        return self._about | {"choices": choices, "usage": self._usage(num_tokens)}

    def chunks(self) -> AsyncGenerator[str]:
        """Return an iterator over the response as server-sent events; submits at once."""
        events = self._model.decode_stream([place.request for place in self._places])

        async def sent() -> AsyncGenerator[str]:
            streams: dict[int, _Stream] = {}
            num_tokens = 0
            try:
                async for number, event in events:
                    if isinstance(event, RowEvent):
                        choices = self._grown(streams, number, event)
                    else:
                        choices = self._ended(streams, number, event)
                        num_tokens += self._num_tokens(number, event)
                    for choice in choices:
                        yield data_event(self._about | {"choices": [choice]})
                if self._body.stream_options and self._body.stream_options.include_usage:
                    yield data_event(
                        self._about | {"choices": [], "usage": self._usage(num_tokens)}
                    )
                yield "data: [DONE]\n\n"
            finally:
                await events.aclose()

        return sent()

    def _grown(
        self, streams: dict[int, "_Stream"], number: int, event: RowEvent
    ) -> Iterator[dict[str, Any]]:
        """Yield the new text of each answer that a token of a prompt belongs to."""
        # The engine's thread goes on writing: a copy is what it is now.
        token_ids = list(event.job.fillings[event.sample].pieces[0].token_ids)
        text = self._places[number].text_of(token_ids)
        for index in self._copies(number, event.sample):
            if new := self._stream(streams, number, index).more(text):
                yield _choice(index, new, None, None)

    def _ended(
        self, streams: dict[int, "_Stream"], number: int, fillings: Sequence[Filling]
    ) -> Iterator[dict[str, Any]]:
        """Yield the last text of each answer to a prompt, its tokens and why it ends."""
        for sample, filling in enumerate(fillings):
            one = self._places[number].result(filling)
            logprobs = self._logprobs(number, one.piece)
            for index in self._copies(number, sample):
                text = self._stream(streams, number, index).more(one.text, is_whole=True)
                yield _choice(index, text, logprobs, one.finish_reason)

    def _stream(self, streams: dict[int, "_Stream"], number: int, index: int) -> "_Stream":
        return streams.setdefault(index, _Stream(self._stops, self._echo(number)))

    def _copies(self, number: int, sample: int) -> range:
        """Return the indices of the answers that one decoded answer to a prompt is given as."""
        num_copies = self._places[number].num_copies
        first = number * self._body.num_answers + sample * num_copies
        return range(first, first + num_copies)

    def _num_tokens(self, number: int, fillings: Sequence[Filling]) -> int:
        """Return the tokens of a prompt's answers, those of a stop string included."""
        written = sum(len(filling.pieces[0].token_ids) for filling in fillings)
        return self._places[number].num_copies * written

    def _echo(self, number: int) -> str:
        return self._prompts[number] if self._body.echo else ""

    def _usage(self, num_tokens: int) -> dict[str, int]:
        num_prompt = sum(len(place.prompt.token_ids) for place in self._places)
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_tokens,
            "total_tokens": num_prompt + num_tokens,
        }

    def _logprobs(self, number: int, piece: Piece) -> dict[str, Any] | None:
        """Return the tokens of an answer in the shape of OpenAI's API, if they are asked for."""
        if self._body.logprobs is None:
            return None
        tokenizer, place = self._model.unblank.tokenizer, self._places[number]
        numbers = range(len(piece.token_ids))
        offset = len(self._echo(number))
        return {
            "tokens": [tokenizer.decode([piece.token_ids[i]]) for i in numbers],
            "token_logprobs": [piece.log_probabilities[i] for i in numbers],
            "top_logprobs": [
                {
                    tokenizer.decode([token_id]): log_p
                    for token_id, log_p in piece.alternatives[i]
                    if log_p > -math.inf
                }
                for i in numbers
            ],
            "text_offset": [offset + len(place.text_of(piece.token_ids[:i])) for i in numbers],
        }


class _Stream:
    """What was sent of one answer, the prompt before it included if that is echoed."""

    def __init__(self, stops: Sequence[str], echo: str) -> None:
        self._growing = GrowingText(stops)
        self._echo = echo

    def more(self, text: str, *, is_whole: bool = False) -> str:
        """Return what can be sent now; as for `GrowingText`."""
        new = self._growing.more(text, is_whole=is_whole)
        if not new and not is_whole:
            return ""
        echo, self._echo = self._echo, ""
        return echo + new


def _choice(
    index: int, text: str, logprobs: dict[str, Any] | None, reason: FinishReason | None
) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
