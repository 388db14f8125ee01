"""What every request passes before an endpoint sees it: end of service, key, size and time.

A body is read whole here, up to the limit and within some seconds, so that an endpoint never waits
for a client, and a refused one is never read.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from unblank.serving.engine import EngineClosedError
from unblank.serving.metrics import Metrics
from unblank.serving.service import Service, error_response

__all__ = ["BODY_SECONDS", "App", "Gate"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_OPEN_PATHS = frozenset({"/health", "/ready", "/docs", "/openapi.json", "/"})
"""Paths that need no key: what says nothing of a model."""

BODY_SECONDS = 30.0
"""Seconds within which a body must have come, and a part of a response must have been taken."""


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gate:
    """The layer around the endpoints.

    Args:
        app: what is behind it.
        service: the key, and whether the end is near.
        metrics: counts requests.
        max_body: bytes of the largest body.
        body_seconds: as for `build_application`.
    """

    def __init__(
        self,
        app: App,
        service: Service,
        metrics: Metrics,
        max_body: int,
        body_seconds: float,
    ) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics
        self._max_body = max_body
        self._body_seconds = body_seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 499  # of a client that goes away

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            async with asyncio.timeout(self._body_seconds):
                await send(message)

        try:
            body = await self._admitted(scope, receive)
            if body is not None:
                await self._app(scope, _replayed(body, receive), noted_send)
        except _RefusedError as refused:
            headers = {"Connection": "close"}
            if refused.status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            response = error_response(str(refused), refused.status, headers=headers)
            await response(scope, receive, noted_send)
        except TimeoutError:  # the client does not read
            pass
        finally:
            self._metrics.note_request(scope, status, time.perf_counter() - start)

    async def _admitted(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes | None:
        """Return the body; None if the client went away."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        is_open = path in _OPEN_PATHS or path.startswith("/static/")
        if not is_open and not self._service.allows(headers.get(b"authorization", "")):
            raise _RefusedError(
                401, "the key is missing or wrong: send the header Authorization: Bearer KEY"
            )
        if self._service.is_draining and scope["method"] == "POST":
            raise _RefusedError(503, str(EngineClosedError()))
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._body(receive)
        except TimeoutError:
            raise _RefusedError(
                408, f"the body did not arrive within {self._body_seconds:g} s"
            ) from None

    async def _body(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_body:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> _RefusedError:
        return _RefusedError(
            413, f"the body is larger than {self._max_body:,} bytes: send less at once"
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first, then what comes after it."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
