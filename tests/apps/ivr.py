"""A switchboard for callers: a menu by keys, a conference with support, an operator, a company app user."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

HOLD_MUSIC = "https://cdn.example.org/hold.mp3"
GREETING = "Welcome to Example. For support press 1. For the operator press 2."
AGAIN = "Sorry, I did not get that."
GOODBYE = "Thank you for calling."


def application(base: str) -> Starlette:
    """The application, which is served at *base*."""

    def menu(*before: dict[str, object]) -> list[dict[str, object]]:
        return [
            *before,
            {"action": "talk", "text": GREETING, "bargeIn": True, "language": "en-GB"},
            {
                "action": "input",
                "type": ["dtmf"],
                "dtmf": {"maxDigits": 1, "timeOut": 4},
                "eventUrl": [f"{base}/menu"],
            },
        ]

    async def answer(request: Request) -> Response:
        return JSONResponse(menu())

    async def chosen(request: Request) -> Response:
        taken = await request.json()
        match taken["dtmf"]["digits"]:
            case "1":
                room = {
                    "action": "conversation",
                    "name": "support",
                    "startOnEnter": False,
                    "musicOnHoldUrl": [HOLD_MUSIC],
                }
                return JSONResponse([room, {"action": "talk", "text": GOODBYE}])
            case "2":
                operator = {
                    "action": "connect",
                    "from": taken["to"],
                    "timeout": 20,
                    "eventType": "synchronous",
                    "eventUrl": [f"{base}/operator"],
                    "endpoint": [{"type": "phone", "number": "447700900200"}],
                }
                return JSONResponse([operator])
            case _:
                return JSONResponse(menu({"action": "talk", "text": AGAIN}))

    async def operator(request: Request) -> Response:
        event = await request.json()
        if event["status"] == "busy":
            return JSONResponse([{"action": "talk", "text": "The operator is busy."}])
        return Response()

    async def agent(request: Request) -> Response:
        room = {"action": "conversation", "name": "support", "startOnEnter": True, "endOnExit": True}
        return JSONResponse([{"action": "talk", "text": "A caller waits."}, room])

    async def event(request: Request) -> Response:
        return Response()

    return Starlette(
        routes=[
            Route("/answer", answer, methods=["GET"]),
            Route("/menu", chosen, methods=["POST"]),
            Route("/operator", operator, methods=["POST"]),
            Route("/agent", agent, methods=["GET"]),
            Route("/event", event, methods=["POST"]),
            Route("/rtc", event, methods=["POST"]),
        ]
    )
