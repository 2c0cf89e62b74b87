"""A voicemail box: greets, records until the caller is silent, and keeps the platform's event of the recording."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PROMPT = "Nobody is here. Leave a message after the beep."
THANKS = "Your message was saved."


def application(base: str, messages: list[dict[str, Any]], transcripts: list[dict[str, Any]]) -> Starlette:
    """The application, which is served at *base* and adds to *messages* and *transcripts*."""

    async def answer(request: Request) -> Response:
        record = {
            "action": "record",
            "format": "wav",
            "endOnSilence": 3,
            "endOnKey": "#",
            "timeOut": 120,
            "beepStart": True,
            "eventUrl": [f"{base}/message"],
            "transcription": {"language": "en-GB", "eventUrl": [f"{base}/transcript"]},
        }
        talks = [{"action": "talk", "text": text} for text in (PROMPT, THANKS)]
        return JSONResponse([talks[0], record, talks[1]])

    async def message(request: Request) -> Response:
        messages.append(await request.json())
        return Response()

    async def transcript(request: Request) -> Response:
        transcripts.append(await request.json())
        return Response()

    async def event(request: Request) -> Response:
        return Response()

    return Starlette(
        routes=[
            Route("/answer", answer, methods=["GET"]),
            Route("/message", message, methods=["POST"]),
            Route("/transcript", transcript, methods=["POST"]),
            Route("/event", event, methods=["POST"]),
        ]
    )
