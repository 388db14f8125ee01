"""The server's process: one socket, one event loop, and an end in good order.

At the first signal new work is refused and what is there is finished, within the time of grace; a
second signal ends the process at once (`unblank.supervision`).
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from unblank.interruption import Request, defer_signals
from unblank.serving.gate import App
from unblank.serving.service import Service

__all__ = ["address_of", "listen", "serve_beside", "serve_until_asked"]

_MOST_CONNECTIONS = 1000
"""Connections beyond which requests are answered by 503 at once."""

_HEADER_SECONDS = 15.0
"""Seconds within which the head of a connection's first request must have come."""

_FLUSH_SECONDS = 2
"""Seconds for sending the last responses."""

_LOOK_SECONDS = 0.05
"""Seconds between two looks for a signal."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Args:
        host: address or name.
        port: 0 for any that is free.

    Raises:
        OSError: the port is in use, or there is no such address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        raise OSError(
            f"cannot listen on {host} port {port} ({error.strerror}): choose another one with "
            "--host and --port (0 = any free port)"
        ) from error
    return bound


def serve_until_asked(app: App, service: Service, bound: socket.socket, grace: float) -> None:
    """Serve until a signal asks for the end.

    Args:
        app: from `build_application`.
        service: what it serves.
        bound: from `listen`.
        grace: seconds for what is under way then.
    """
    server, request = _new_server(app), Request()
    with defer_signals(request):
        asyncio.run(_serve(server, service, bound, request, grace))
        request.number = None  # it was looked at


@contextmanager
def serve_beside(app: App, bound: socket.socket) -> Iterator[str]:
    """Serve in a thread of its own while the block lasts; gives the address, `http://...`.

    Args:
        app: from `build_application`.
        bound: from `listen`.
    """
    server = _new_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield address_of(bound)
    finally:
        server.should_exit = True
        thread.join()


def address_of(bound: socket.socket) -> str:
    """Return the address of a bound socket, `http://...`."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _new_server(app: App) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,  # the handlers of the process stay as they are
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_FLUSH_SECONDS,
    )
    return _Server(config)


async def _serve(
    server: uvicorn.Server, service: Service, bound: socket.socket, request: Request, grace: float
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while request.number is None and not serving.done():
        await asyncio.sleep(_LOOK_SECONDS)
    service.drain()
    end = asyncio.get_running_loop().time() + grace
    while not service.is_idle and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(_LOOK_SECONDS)
    for model in service.models.values():
        await asyncio.to_thread(model.engine.stop)
    server.should_exit = True
    await serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `defer_signals`."""
        yield


class _Protocol(H11Protocol):
    """Closes connections on which no request comes."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(_HEADER_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        if getattr(self, "cycle", None) is None:
            self.transport.close()
