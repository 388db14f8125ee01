"""The ASGI application: endpoints, errors and the gate before them."""

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from unblank.serving.completions import completion_routes
from unblank.serving.engine import EngineClosedError, EngineFailedError, QueueFullError
from unblank.serving.gate import BODY_SECONDS, App, Gate
from unblank.serving.infill import infill_routes
from unblank.serving.metrics import Metrics
from unblank.serving.reference_page import reference_page
from unblank.serving.routes import library_routes
from unblank.serving.service import (
    ClientGoneError,
    JsonResponse,
    Service,
    TimeLimitError,
    UnknownModelError,
    error_response,
)
from unblank.version import __version__

__all__ = ["build_application"]

_STATIC = Path(__file__).parent / "static"
"""Folder of the page that is shown at /."""

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The page loads nothing from elsewhere, and no other page may hold it in a frame."""

_NO_JSON = "the body is not valid JSON, which also has no NaN and no infinite numbers"
_SEE_DOCS = "/docs lists all endpoints with their fields"
_NO_FIELD = f"there is no such field: {_SEE_DOCS}"

_ABOUT = "Blank-infilling language models over HTTP: fill, score, generate, classify, complete."


def build_application(
    service: Service,
    *,
    max_body: int = 1_000_000,
    allowed_origins: Sequence[str] = (),
    body_seconds: float = BODY_SECONDS,
) -> App:
    """Return the application.

    Args:
        service: the models and limits.
        max_body: bytes of the largest body of a request.
        allowed_origins: origins whose pages may call it from a browser.
        body_seconds: within which a body must have come, and each part of a response be taken.
    """
    api = FastAPI(
        title="Unblank", description=_ABOUT, version=__version__, docs_url=None, redoc_url=None
    )
    metrics = Metrics(service)
    _add_pages(api, service, metrics)
    for routes in (library_routes, completion_routes, infill_routes):
        api.include_router(routes(service))
    _add_errors(api)
    gate = Gate(api, service, metrics, max_body, body_seconds)
    if not allowed_origins:
        return gate
    # Around the gate: a page of another origin is to see why that refuses a request.
    return CORSMiddleware(
        gate, allow_origins=list(allowed_origins), allow_methods=["*"], allow_headers=["*"]
    )


def _add_pages(api: FastAPI, service: Service, metrics: Metrics) -> None:
    @api.get("/health", summary="Whether the process lives", tags=["operation"])
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/ready", summary="Whether it takes requests", tags=["operation"])
    async def ready() -> Response:
        if service.is_draining:
            return JsonResponse({"status": "shutting down"}, 503)
        return JsonResponse({"status": "ready"})

    @api.get("/metrics", summary="Figures for Prometheus", tags=["operation"])
    async def figures() -> Response:
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(reference_page(api.openapi()))

    api.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @api.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse((_STATIC / "index.html").read_bytes(), headers=_PAGE_HEADERS)


def _add_errors(api: FastAPI) -> None:
    statuses: dict[type[Exception], int] = {
        ValueError: 422,
        TypeError: 422,
        UnknownModelError: 404,
        EngineFailedError: 500,
        EngineClosedError: 503,
        TimeLimitError: 504,
        ClientGoneError: 499,
    }

    async def refuse(request: Request, error: Exception) -> Response:
        status = next(number for kind, number in statuses.items() if isinstance(error, kind))
        return error_response(str(error), status)

    async def too_many(request: Request, error: Exception) -> Response:
        assert isinstance(error, QueueFullError)
        return error_response(str(error), 429, headers={"Retry-After": str(error.retry_after)})

    async def not_valid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = _most_telling(error.errors())
        if first["type"] == "json_invalid":
            return error_response(_NO_JSON, 400)
        where = ".".join(map(str, _place_in_request(first, error.body)))[:100]
        said = _NO_FIELD if first["type"] == "extra_forbidden" else str(first["msg"])
        message = f"{where}: {said}" if where else said
        content_type = request.headers.get("content-type", "").lower()
        if first["loc"] == ("body",) and "json" not in content_type:
            message = "the body must be JSON, with the header Content-Type: application/json"
        return error_response(message, 422, param=where or None)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = _NO_JSON if error.status_code == HTTPStatus.BAD_REQUEST else str(error.detail)
        if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            detail = f"{request.method} {request.url.path[:100]} is not there: {_SEE_DOCS}"
        return error_response(detail, error.status_code, headers=error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        return error_response(str(EngineFailedError()), HTTPStatus.INTERNAL_SERVER_ERROR)

    for kind in statuses:
        api.add_exception_handler(kind, refuse)
    api.add_exception_handler(QueueFullError, too_many)
    api.add_exception_handler(RequestValidationError, not_valid)
    api.add_exception_handler(HTTPException, of_http)
    api.add_exception_handler(Exception, failed)


def _most_telling(errors: Sequence[Any]) -> Any:
    """Return the error to report: of the forms a field may have, that of the closest one."""
    of_first = [one for one in errors if one["loc"][:2] == errors[0]["loc"][:2]]
    return max(of_first, key=lambda one: len(one["loc"]))


def _place_in_request(error: Any, body: Any) -> list[str | int]:
    """Return the fields and numbers that lead to an error, without pydantic's names of forms."""
    parts: list[str | int] = list(error["loc"][1:])
    if error["loc"][0] != "body":
        return parts
    place: list[str | int] = []
    value = body
    for part in parts:
        is_field = isinstance(value, dict) and part in value
        if is_field or (isinstance(value, list) and isinstance(part, int)):
            place.append(part)
            value = value[part]
    if error["type"] == "missing":  # the last one is what the request lacks
        place += parts[-1:]
    return place
