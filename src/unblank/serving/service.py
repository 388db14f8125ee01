"""What all endpoints share: the models, the limits, and how a request is waited for."""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from unblank.data.written_records import json_value
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task, task_names
from unblank.serving.engine import EngineClosedError, EngineFailedError
from unblank.serving.served_model import ServedModel

__all__ = [
    "ClientGoneError",
    "JsonResponse",
    "Service",
    "TimeLimitError",
    "UnknownModelError",
    "data_event",
    "error_response",
    "to_json",
]

_Result = TypeVar("_Result")

_library_task = lru_cache(256)(load_task)

_ERROR_TYPES: dict[int, str] = {HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error"}
"""What OpenAI's clients are told of the kind of an error, where its number does not say all."""


class ClientGoneError(Exception):
    """The client has closed the connection; nobody reads an answer."""


class TimeLimitError(Exception):
    """A request took longer than the server allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"this took longer than the {seconds:g} s that the server allows: ask for less"
        )


class UnknownModelError(Exception):
    """A request names a model that is not served."""

    def __init__(self, name: str, names: list[str]) -> None:
        super().__init__(f"no model {name[:100]!r}: this server has {', '.join(names)}")


class JsonResponse(Response):
    """JSON in which numbers that are not finite are null, as strict clients demand."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the content as bytes."""
        return to_json(content).encode(errors="backslashreplace")


@dataclass(kw_only=True)
class Service:
    """The models of a server, and its limits.

    Attributes:
        models: by their names; the first is the default.
        tasks: besides those of the library, by their names.
        own_tasks: those that models were tuned on, by the names of the models.
        time_limit: seconds that a request may take, waiting included.
        api_key: that clients must send; None for none.
        is_draining: whether the server is about to end.
    """

    models: Mapping[str, ServedModel]
    tasks: Mapping[str, ClozeTask] = field(default_factory=dict)
    own_tasks: Mapping[str, ClozeTask] = field(default_factory=dict)
    time_limit: float
    api_key: str | None = field(default=None, repr=False)
    is_draining: bool = False

    def model(self, name: str | None) -> ServedModel:
        """Return a model by its name; None for the first.

        Raises:
            UnknownModelError: there is none of that name.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise UnknownModelError(name, list(self.models))
        return self.models[name]

    def writer(self, name: str | None) -> ServedModel:
        """Return a model that writes and scores text; arguments and errors as for `model`.

        Raises:
            ValueError: it is a classifier.
        """
        model = self.model(name)
        if model.labels.head is not None:
            raise ValueError(f"{model.name} is a classifier: it answers /v1/classify alone")
        return model

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of tasks that only this server has."""
        return (*self.tasks, *(task.name for task in self.own_tasks.values()))

    def task(self, model: ServedModel, name: str | None) -> ClozeTask:
        """Return a task by its name; None for the one that the model was tuned on.

        Raises:
            ValueError: there is none of that name, or it was tuned on none.
        """
        own = self.own_tasks.get(model.name)
        if name is None and own is None:
            raise ValueError(f"{model.name} was not tuned on a task with labels: name a task")
        if own is not None and name in (None, own.name):
            return own
        assert name is not None
        if name in self.tasks:
            return self.tasks[name]
        if name in self.task_names and name not in task_names():
            raise ValueError(f"the task {name} belongs to another model than {model.name}")
        return _library_task(name)

    def allows(self, authorization: str) -> bool:
        """Whether a request with this header may pass."""
        if self.api_key is None:
            return True
        given = authorization.removeprefix("Bearer ").encode()
        return hmac.compare_digest(given, self.api_key.encode())

    def drain(self) -> None:
        """Take no new requests; those that are there are finished."""
        self.is_draining = True
        for model in self.models.values():
            model.engine.close()

    @property
    def is_idle(self) -> bool:
        """Whether no engine has anything to do."""
        return all(model.engine.is_idle for model in self.models.values())

    async def wait_for(self, request: Request, work: Awaitable[_Result]) -> _Result:
        """Return what is awaited, unless the client goes away or the time is up.

        Raises:
            ClientGoneError: the client has closed the connection.
            TimeLimitError: the time is up.
        """
        working = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_disconnection(request))
        try:
            await asyncio.wait(
                {working, gone}, timeout=self.time_limit, return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                return working.result()
            raise ClientGoneError if gone.done() else TimeLimitError(self.time_limit)
        finally:
            for one in (working, gone):
                one.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)

    def stream(
        self, events: AsyncGenerator[_Result], shown: Callable[[_Result], str]
    ) -> StreamingResponse:
        """Return a response that sends each event as soon as it comes.

        Args:
            events: closed when the client goes away or the time is up.
            shown: an event -> text of server-sent events.
        """
        return StreamingResponse(
            self._server_sent(events, shown),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def _server_sent(
        self, events: AsyncGenerator[_Result], shown: Callable[[_Result], str]
    ) -> AsyncIterator[str]:
        end = asyncio.get_running_loop().time() + self.time_limit
        try:
            while True:
                async with asyncio.timeout_at(end):
                    event = await anext(events, None)
                if event is None:
                    return
                if text := shown(event):
                    yield text
        except TimeoutError:
            message = str(TimeLimitError(self.time_limit))
            yield data_event(_error_body(message, "timeout"))
        except (EngineClosedError, EngineFailedError) as error:
            yield data_event(_error_body(str(error), "server_error"))
        finally:
            await events.aclose()


def error_response(
    message: str,
    status: int,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """Return a refusal.

    Args:
        message: what is wrong.
        status: of HTTP.
        param: the field that is wrong; None for none in particular.
        headers: besides the usual ones.
    """
    kind = "server_error" if status >= 500 else _ERROR_TYPES.get(status, "invalid_request_error")
    again = {"Retry-After": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JsonResponse(_error_body(message, kind, param), status, again | dict(headers or {}))


def _error_body(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    """Return the body of every error, in the shape that OpenAI's clients read."""
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def data_event(content: Any) -> str:
    """Return a server-sent event without a name."""
    return f"data: {to_json(content)}\n\n"


def to_json(content: Any) -> str:
    """Return JSON in one line; numbers that are not finite are null."""
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(json_value(content), ensure_ascii=False, separators=(",", ":"))


async def _disconnection(request: Request) -> None:
    """Return when the client has closed the connection; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
