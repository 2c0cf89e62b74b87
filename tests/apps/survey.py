"""A survey: calls its callers back, asks for a mark by keys and for a reason in words, and thanks them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

QUESTION = "How was your call, from 1 to 9?"
WHY = "Tell us why."
THANKS = "Thank you, goodbye."

Dial = Callable[[dict[str, Any]], Awaitable[None]]


def application(base: str, answers: dict[str, dict[str, Any]], dial: Dial) -> Starlette:
    """The application, which is served at *base*, keeps *answers* by number, and places calls with *dial*."""

    async def answer(request: Request) -> Response:
        return JSONResponse([{"action": "talk", "text": "This is Example. We are closed."}])

    async def event(request: Request) -> Response:
        fields = await request.json()
        if fields.get("status") == "completed" and fields["direction"] == "inbound":
            await dial(
                {
                    "to": [{"type": "phone", "number": fields["from"]}],
                    "from": {"type": "phone", "number": fields["to"]},
                    "ncco": [
                        {"action": "talk", "text": QUESTION},
                        {
                            "action": "input",
                            "type": ["dtmf"],
                            "dtmf": {"maxDigits": 1},
                            "eventUrl": [f"{base}/mark"],
                        },
                    ],
                }
            )
        return Response()

    async def mark(request: Request) -> Response:
        taken = await request.json()
        answers[taken["to"]] = {"mark": taken["dtmf"]["digits"]}
        return JSONResponse(
            [
                {"action": "talk", "text": WHY},
                {
                    "action": "input",
                    "type": ["speech"],
                    "speech": {"language": "en-GB", "endOnSilence": 1},
                    "eventUrl": [f"{base}/reason"],
                },
            ]
        )

    async def reason(request: Request) -> Response:
        taken = await request.json()
        results = taken["speech"]["results"]
        answers[taken["to"]]["reason"] = results[0]["text"] if results else None
        return JSONResponse(
            [
                {"action": "notify", "payload": {"done": True}, "eventUrl": [f"{base}/done"]},
                {"action": "talk", "text": "never heard"},
            ]
        )

    async def done(request: Request) -> Response:
        assert (await request.json())["payload"] == {"done": True}
        return JSONResponse([{"action": "talk", "text": THANKS}])

    return Starlette(
        routes=[
            Route("/answer", answer, methods=["GET"]),
            Route("/event", event, methods=["POST"]),
            Route("/mark", mark, methods=["POST"]),
            Route("/reason", reason, methods=["POST"]),
            Route("/done", done, methods=["POST"]),
        ]
    )
