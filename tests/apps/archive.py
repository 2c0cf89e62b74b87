"""An archive of recordings: keeps each by the leg and the caller that its RTC events name."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

GREETING = "This call is recorded."


class Archive:
    """The facts that the application has read from RTC events.

    Attributes:
        legs: The type of the channel of each leg that answered or was answered, by the leg's id.
        recordings: The caller's number and the URL of each recording, by the leg's id.
    """

    def __init__(self) -> None:
        self.legs: dict[str, str] = {}
        self.recordings: dict[str, tuple[str, str]] = {}

    def application(self, _base: str) -> Starlette:
        """The application, which knows its own address only from the requests that it gets."""

        async def answer(request: Request) -> Response:
            recorded = str(request.url.replace(path="/recorded", query=""))
            return JSONResponse(
                [
                    {"action": "record", "eventUrl": [recorded]},
                    {"action": "talk", "text": GREETING},
                    {"action": "connect", "endpoint": [{"type": "phone", "number": "447700900502"}]},
                ]
            )

        async def event(_request: Request) -> Response:
            return Response()

        async def rtc(request: Request) -> Response:
            fields = await request.json()
            match fields["type"]:
                case "sip:answered":
                    channel = fields["body"]["channel"]
                    self.legs[channel["legs"][0]["leg_id"]] = channel["type"]
                case "audio:record:done":
                    body = fields["body"]
                    of = body["channel"]
                    self.recordings[of["legs"][0]["leg_id"]] = (of["from"]["number"], body["destination_url"])
            return Response()

        return Starlette(
            routes=[
                Route("/answer", answer, methods=["GET"]),
                Route("/event", event, methods=["POST"]),
                Route("/recorded", event, methods=["POST"]),
                Route("/rtc", rtc, methods=["POST"]),
            ]
        )
