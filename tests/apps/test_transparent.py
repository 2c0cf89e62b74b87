"""An application that works alone also works behind ``webhook serve``, which keeps all events."""

from __future__ import annotations

import gzip
import json
import sys
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as PlainResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.apps import voicebot
from tests.apps.driven import Driven, advance, driven_archive, driven_bot, driven_menu, hear, point_to, rung
from tests.conftest import StartRoom
from tests.support.console import ROOT
from tests.support.machines import Application
from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.waiting import eventually
from tests.support.web import Served, serving
from tests.webhook.test_serve import served
from voicectl.clock import SystemClock


def prepared(room: Room) -> Room:
    room.environ |= {"VOICECTL_SANDBOX": room.url, "VOICECTL_STATE_DIR": str(room.home / "state")}
    return room


@pytest.fixture
def party(start_room: StartRoom) -> Room:
    return prepared(start_room(clock=SystemClock(), speed=20.0))


@pytest.fixture
def still(start_room: StartRoom) -> Room:
    """A machine whose sandbox has a frozen call clock, so times can be compared to the millisecond."""
    return prepared(start_room(clock=SystemClock(), frozen=True))


def outcomes(room: Room, application: Application, driven: Driven) -> tuple[str, Any, Any]:
    """Return the leg of the last call, and the outcomes of a call without and with a receiver in front."""
    app = driven.served
    point_to(room, app, driven.hooks)
    app.asked.clear()
    _, alone = driven.call()
    app.asked.clear()
    port = free_block(1)
    options = f"--port {port} --forward-to {app.url} --set-urls http://127.0.0.1:{port}"
    with served(room, application, options) as process:
        leg, behind = driven.call()
        assert process.end() == 0
    assert not any("warning" in line for line in process.stderr_lines), process.stderr_lines
    return leg, alone, behind


def kept(room: Room, leg: str) -> tuple[set[str], set[str], list[str]]:
    """Return the kinds of the stored events of a leg's conversation, what ``trace`` says, and the recordings."""
    conversation = room(f"call show {leg} -o json").json["conversation_uuid"]
    events = room(f"webhook list --conversation {conversation} -o json").json
    assert all(each["signed"] for each in events)
    traced = room(f"trace {leg} -o json").json["entries"]
    recordings = room("recording list -q").stdout.split()
    return {each["kind"] for each in events}, {each["what"] for each in traced}, recordings


def test_an_application_that_builds_urls_from_the_host_header_behaves_the_same_behind_the_receiver(
    party: Room, application: Application
) -> None:
    with driven_menu(party) as menu:
        leg, alone, behind = outcomes(party, application, menu)

    assert "Order 17, key 2." in alone[0]
    assert alone[1] == ["/menu", "/recorded", "/webhooks/answer", "/webhooks/events"]
    assert behind == alone

    answers = party("webhook list --kind answer -o json").json
    assert {each["method"] for each in answers} == {"GET"}
    kinds, entries, recordings = kept(party, leg)
    assert {"answer", "status", "input", "record"} <= kinds
    assert {"answered", "input", "record", "completed"} <= entries
    assert len(recordings) == 1


def test_an_interrupted_bot_falls_silent_within_a_frame_alone_and_behind_the_receiver(
    still: Room, application: Application
) -> None:
    with driven_bot(still) as bot:
        leg, alone, behind = outcomes(still, application, bot)

    frames_before_the_caller_spoke, heard, events = alone
    assert heard == [
        ("audio", None, (frames_before_the_caller_spoke + 1) * 0.02),
        ("audio", None, 1.0),
        ("speech", voicebot.GOODBYE, pytest.approx(len(voicebot.GOODBYE) / 14, abs=0.001)),
    ]
    assert "disconnected" in events["/webhooks/events"]
    assert behind == alone

    kinds, entries, recordings = kept(still, leg)
    assert {"answer", "status", "record"} <= kinds
    assert {"answered", "record", "completed"} <= entries
    assert len(recordings) == 1


def test_rtc_events_name_the_leg_alone_and_behind_the_receiver(still: Room, application: Application) -> None:
    with driven_archive(still) as archive:
        leg, alone, behind = outcomes(still, application, archive)

    channels, caller, downloaded, _ = alone
    assert (channels, caller, downloaded) == (["phone", "phone"], "447700900001", 0)
    assert behind == alone

    kinds, entries, recordings = kept(still, leg)
    assert {"answer", "status", "record", "rtc"} <= kinds
    assert {"answered", "record", "completed"} <= entries
    assert len(recordings) == 1


@pytest.mark.parametrize(
    ("name", "clock"), [("menu", "--speed=20"), ("bot", "--frozen"), ("archive", "--frozen")]
)
def test_an_application_behaves_the_same_under_interception(bare: Room, name: str, clock: str) -> None:
    bare.environ["PYTHONPATH"] = str(ROOT)
    program = [sys.executable, "-m", "tests.apps.driven", name]

    alone = bare.process(["sandbox", "exec", clock, "--", *program])
    intercepted = bare.process(["sandbox", "exec", "--intercept", clock, "--", *program])

    assert alone.exit_code == 0, alone.stderr
    assert intercepted.exit_code == 0, intercepted.stderr
    assert intercepted.json == alone.json
    assert "The proxy refused" not in intercepted.stderr


GOOD = [{"action": "talk", "text": "Hello"}]
RESPONSES = {
    "an NCCO": PlainResponse(json.dumps(GOOD), media_type="application/json"),
    "an NCCO as plain text": PlainResponse(json.dumps(GOOD), media_type="text/plain"),
    "an NCCO without a type": PlainResponse(json.dumps(GOOD)),
    "an NCCO as HTML": PlainResponse(json.dumps(GOOD), media_type="text/html"),
    "an NCCO as XML": PlainResponse(json.dumps(GOOD), media_type="text/xml"),
    "an NCCO as XHTML": PlainResponse(json.dumps(GOOD), media_type="application/xhtml+xml"),
    "a page": PlainResponse("<html>login</html>", media_type="text/html"),
    "XML": PlainResponse('<?xml version="1.0"?><Response/>', media_type="application/xml"),
    "no JSON": PlainResponse("{bad", media_type="application/json"),
    "no array": PlainResponse(json.dumps(GOOD[0]), media_type="application/json"),
    "an unknown action": PlainResponse('[{"action": "hangup"}]', media_type="application/json"),
    "a talk without a text": PlainResponse('[{"action": "talk"}]', media_type="application/json"),
    "no actions": PlainResponse("[]", media_type="application/json"),
    "nothing": PlainResponse("", media_type="application/json"),
    "an empty page": PlainResponse("", media_type="text/html"),
    "compressed": PlainResponse(
        gzip.compress(json.dumps(GOOD).encode()),
        headers={"Content-Encoding": "gzip"},
        media_type="application/json",
    ),
    "too much": PlainResponse("[" + " " * (2 << 20) + "]", media_type="application/json"),
    "no content": PlainResponse(status_code=204),
    "a part": PlainResponse(json.dumps(GOOD), 206, media_type="application/json"),
    "a redirect": PlainResponse("", 302, {"Location": "/elsewhere"}),
    "not found": PlainResponse("no", 404, media_type="text/plain"),
    "too many requests": PlainResponse("", 429, {"Retry-After": "1"}),
    "an error": PlainResponse("<h1>Oops</h1>", 500, media_type="text/html"),
    "unavailable": PlainResponse("", 503),
}
SOME = (
    "an NCCO",
    "an NCCO as HTML",
    "an unknown action",
    "no JSON",
    "nothing",
    "a redirect",
    "not found",
    "unavailable",
)


class Faulty:
    """An application that gives the response *said* to each request for *path*.

    Its calls wait for a key, which the platform sends to ``/menu``.
    """

    PATHS = ("/answer", "/event", "/fallback", "/menu", "/elsewhere")

    def __init__(self, path: str) -> None:
        self.path = path
        self.said = PlainResponse()

    def application(self, _url: str) -> ASGIApp:
        return Starlette(routes=[Route(each, self.respond, methods=["GET", "POST"]) for each in self.PATHS])

    async def respond(self, request: Request) -> PlainResponse:
        path = request.url.path
        if path == self.path:
            return self.said
        if path == "/answer" and self.path == "/fallback":
            return PlainResponse(status_code=500)
        if path == "/answer":
            wait = {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1}}
            last = {"action": "talk", "text": "This is the end"}
            return JSONResponse([wait | {"eventUrl": [f"{request.base_url}menu"]}, last])
        if path == "/fallback":
            return JSONResponse([{"action": "talk", "text": "This is the fallback"}])
        return PlainResponse()


def arrived(app: Served, count: int) -> bool:
    return len(app.asked) >= count


def asked(app: Served) -> list[tuple[str, str]]:
    """Return the path of each request to the application, with an event's status or the reason for a fallback."""
    return sorted((path, fields.get("reason") or fields.get("status") or "") for path, fields in app.asked)


@pytest.mark.parametrize(
    ("path", "cases", "fallback"),
    [
        ("/answer", tuple(RESPONSES), {"fallback": "/fallback"}),
        ("/answer", SOME, {}),
        ("/fallback", SOME, {"fallback": "/fallback"}),
        ("/menu", SOME, {"fallback": "/fallback"}),
        ("/menu", SOME, {}),
    ],
)
def test_a_faulty_response_has_the_same_consequences_alone_and_behind_the_receiver(
    still: Room, application: Application, path: str, cases: tuple[str, ...], fallback: dict[str, str]
) -> None:
    faulty, counts = Faulty(path), dict.fromkeys(cases, 0)
    with serving(faulty.application) as app:

        def outcome() -> tuple[str, Any]:
            found = {}
            for name in cases:
                faulty.said = RESPONSES[name]
                app.asked.clear()
                leg = rung(still)
                if path == "/menu":
                    advance(still, 1)
                    assert still(f"sandbox press {leg} 1").exit_code == 0
                advance(still, 30)
                eventually(partial(arrived, app, counts[name]))  # the receiver may pass events on late
                counts[name] = len(app.asked)
                found[name] = asked(app), [each["text"] for each in hear(still, leg)]
            return leg, found

        hooks = {"answer": "/answer", "event": "/event"} | fallback
        _, alone, behind = outcomes(still, application, Driven(app, hooks, outcome))

    assert behind == alone
