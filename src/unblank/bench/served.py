"""Filling through a server in the race, beside calls without one.

Server and clients share the contestant's process, so what clients cost is counted, too.
"""

import atexit
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from urllib.parse import urlsplit

from unblank.bench.inference import blank_text, build_unblank
from unblank.bench.sizes import SIZES
from unblank.bench.worker import Workload
from unblank.serving.application import build_application
from unblank.serving.opening import build_service
from unblank.serving.server import listen, serve_beside

__all__ = ["called_fill", "served_fill"]


def served_fill(size: str, clients: int, requests: int, context: int, tokens: int) -> Workload:
    """Return requests to a server, shared by clients at once; unit: tokens of the fills."""
    service = build_service({size: build_unblank(SIZES[size])})
    running = ExitStack()
    atexit.register(running.close)
    app = build_application(service)
    url = running.enter_context(serve_beside(app, listen("127.0.0.1", 0)))
    address = urlsplit(url).netloc
    pool = ThreadPoolExecutor(clients)
    bodies = [
        json.dumps(
            {
                "text": blank_text(SIZES[size], context, seed),
                "min_tokens": tokens,
                "max_tokens": tokens,
            }
        )
        for seed in range(requests)
    ]

    def ask(own_bodies: list[str]) -> int:
        connection = HTTPConnection(address)
        for body in own_bodies:
            connection.request("POST", "/v1/fill", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.close()
        return len(own_bodies) * tokens

    def step() -> float:
        return sum(pool.map(ask, [bodies[client::clients] for client in range(clients)]))

    return step


def called_fill(size: str, requests: int, context: int, tokens: int) -> Workload:
    """Return the same texts filled by the library, one after another; unit: tokens."""
    unblank = build_unblank(SIZES[size])
    texts = [blank_text(SIZES[size], context, seed) for seed in range(requests)]

    def step() -> float:
        for text in texts:
            unblank.fill(text, min_tokens=tokens, max_tokens=tokens)
        return requests * tokens

    return step
