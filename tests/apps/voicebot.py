"""A voice bot on a WebSocket: greets at length, stops when the caller talks, answers, and leaves."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection

GREETING_FRAMES = 400
ANSWER_FRAMES = 50
GOODBYE = "The bot has left. Goodbye."

FRAME = b"\x10\x20" * 320
"""20 ms of sound at 16,000 samples a second."""


def application(socket: str) -> Starlette:
    """The application, which connects every caller to the bot at *socket*."""

    async def answer(request: Request) -> Response:
        bot = {
            "type": "websocket",
            "uri": socket,
            "content-type": "audio/l16;rate=16000",
            "headers": {"caller": request.query_params["from"]},
        }
        recorded = str(request.url.replace(path="/webhooks/recordings", query=""))
        return JSONResponse(
            [
                {"action": "record", "eventUrl": [recorded]},
                {"action": "connect", "from": "Vonage", "endpoint": [bot]},
                {"action": "talk", "text": GOODBYE},
            ]
        )

    async def event(_request: Request) -> Response:
        return Response()

    return Starlette(
        routes=[
            Route("/webhooks/answer", answer, methods=["GET"]),
            Route("/webhooks/events", event, methods=["POST"]),
            Route("/webhooks/recordings", event, methods=["POST"]),
        ]
    )


class Conversation:
    """The bot's side of the conversations, to be served by a WebSocket server."""

    def __init__(self) -> None:
        self._speaking = False

    async def greet(self, connection: ServerConnection) -> None:
        """Send the whole greeting at once; the platform buffers it."""
        self._speaking = True
        for _ in range(GREETING_FRAMES):
            await connection.send(FRAME)

    async def listen(self, connection: ServerConnection, message: bytes | str) -> None:
        """Stop speaking when sound arrives, then answer; leave when the answer has been played."""
        if isinstance(message, bytes):
            if self._speaking and any(message):
                self._speaking = False
                await connection.send('{"action":"clear"}')
            return
        match json.loads(message):
            case {"event": "websocket:cleared"}:
                for _ in range(ANSWER_FRAMES):
                    await connection.send(FRAME)
                await connection.send('{"action":"notify","payload":{"said":"answer"}}')
            case {"event": "websocket:notify", "payload": {"said": "answer"}}:
                await connection.close()
