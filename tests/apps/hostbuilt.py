"""A menu that answers by GET at the vendor's usual path, and takes the host of its further URLs from the request."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

GREETING = "Press a key."


def application(_base: str) -> Starlette:
    """The application, which knows its own address only from the requests that it gets."""

    async def answer(request: Request) -> Response:
        menu = str(request.url.replace(path="/menu", query="order=17"))
        return JSONResponse(
            [
                {"action": "talk", "text": GREETING},
                {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1}, "eventUrl": [menu]},
            ]
        )

    async def chosen(request: Request) -> Response:
        digits = (await request.json())["dtmf"]["digits"]
        said = f"Order {request.query_params['order']}, key {digits}."
        recording = {"action": "record", "eventUrl": [str(request.url.replace(path="/recorded", query=""))]}
        return JSONResponse([{"action": "talk", "text": said}, recording | {"timeOut": 3}])

    async def event(_request: Request) -> Response:
        return Response()

    return Starlette(
        routes=[
            Route("/webhooks/answer", answer, methods=["GET"]),
            Route("/webhooks/events", event, methods=["POST"]),
            Route("/menu", chosen, methods=["POST"]),
            Route("/recorded", event, methods=["POST"]),
        ]
    )
