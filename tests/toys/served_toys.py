"""Tiny models behind the server's application, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient
from tiny_glms import task_glm
from tiny_models import encoder_decoder

from unblank.api import Unblank
from unblank.serving.application import build_application
from unblank.serving.opening import build_service
from unblank.serving.server import listen, serve_beside


def toy_glm() -> Unblank:
    """Return a GLM that writes for a while before it ends a blank."""
    return task_glm(max_positions=160)


def toy_translator() -> Unblank:
    model, tokenizer = encoder_decoder("deltalm")
    return Unblank(model, tokenizer)


@contextmanager
def server_of(*, models=None, max_body=1_000_000, body_seconds=30.0, **settings: Any):
    """Give (address, service) of a server in a thread of this process, with both toys."""
    models = models or {"toy": toy_glm(), "de": toy_translator()}
    service = build_service(models, **settings)
    app = build_application(service, max_body=max_body, body_seconds=body_seconds)
    with serve_beside(app, listen("127.0.0.1", 0)) as address:
        yield address, service
    for model in service.models.values():
        model.engine.stop()


@contextmanager
def client_of(*, max_body: int = 1_000_000, origins=(), **settings: Any) -> Iterator[TestClient]:
    """Give a client of an application with both toys; `client.service` is behind it."""
    models = settings.pop("models", None)
    if models is None and "service" not in settings:
        models = {"toy": toy_glm(), "de": toy_translator()}
    service = settings.pop("service", None) or build_service(models, **settings)
    app = build_application(service, max_body=max_body, allowed_origins=origins)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.service = service
        yield client
    for model in service.models.values():
        model.engine.stop()
