"""A reception that connects every caller to one app user."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def application(base: str) -> Starlette:
    """The application, which needs not know that it is served at *base*."""

    async def answer(request: Request) -> Response:
        return JSONResponse([{"action": "connect", "endpoint": [{"type": "app", "user": "alice"}]}])

    async def event(request: Request) -> Response:
        return Response()

    return Starlette(routes=[Route("/answer", answer), Route("/event", event, methods=["POST"])])
