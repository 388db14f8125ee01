"""Routes whose requests are JSON as its standard has it: without NaN and infinities.

Python's reader takes these as numbers; a field would then be refused for its range, or pass.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

__all__ = ["JsonRoute"]


class _JsonRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = json.loads(body, parse_constant=_refuse)
        return self._json


class JsonRoute(APIRoute):
    """A route that refuses a body with a number that JSON does not have."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def answer_json(request: Request) -> Response:
            return await answer(_JsonRequest(request.scope, request.receive))

        return answer_json


def _refuse(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number in JSON", name, 0)
