"""Each operation sends exactly the documented request and nothing else.

Source: Voice API reference, sections 2 to 11.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import Application, machine
from tests.support.room import PERSON
from tests.support.servers import LEG, Canned, Request, page, reply
from voicectl import __version__

CONVERSATION = "CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"
NCCO = [{"action": "talk", "text": "One moment", "level": -0.5}]


def says(action: str, body: Any = None) -> bytes:
    return reply(200, {"message": action, "uuid": LEG} if body is None else body)


CREATED = reply(
    201, {"uuid": LEG, "status": "started", "direction": "outbound", "conversation_uuid": CONVERSATION}
)
DONE = reply(204)
OPERATIONS: list[tuple[str, bytes, str, str, Any]] = [
    (
        f"call create --to {PERSON} --from 442079460000 --ncco flow.json",
        CREATED,
        "POST",
        "/v1/calls",
        {
            "to": [{"type": "phone", "number": PERSON}],
            "from": {"type": "phone", "number": "442079460000"},
            "ncco": NCCO,
        },
    ),
    (
        "call create --to sip:a@example.org --answer-url https://app.example.org/a?b=c --answer-method post"
        " --header K=V --machine-detection continue",
        CREATED,
        "POST",
        "/v1/calls",
        {
            "to": [{"type": "sip", "uri": "sip:a@example.org", "headers": {"K": "V"}}],
            "from": {"type": "phone", "number": "442079460000"},
            "answer_url": ["https://app.example.org/a?b=c"],
            "answer_method": "POST",
            "machine_detection": "continue",
        },
    ),
    (f"call show {LEG}", says("", {"uuid": LEG, "status": "answered"}), "GET", f"/v1/calls/{LEG}", None),
    (f"hangup {LEG}", DONE, "PUT", f"/v1/calls/{LEG}", {"action": "hangup"}),
    (f"mute {LEG}", DONE, "PUT", f"/v1/calls/{LEG}", {"action": "mute"}),
    (f"unmute {LEG}", DONE, "PUT", f"/v1/calls/{LEG}", {"action": "unmute"}),
    (f"earmuff {LEG}", DONE, "PUT", f"/v1/calls/{LEG}", {"action": "earmuff"}),
    (f"unearmuff {LEG}", DONE, "PUT", f"/v1/calls/{LEG}", {"action": "unearmuff"}),
    (
        f"transfer {LEG} --ncco flow.json",
        DONE,
        "PUT",
        f"/v1/calls/{LEG}",
        {"action": "transfer", "destination": {"type": "ncco", "ncco": NCCO}},
    ),
    (
        f"transfer {LEG} --answer-url https://app.example.org/ncco.json",
        DONE,
        "PUT",
        f"/v1/calls/{LEG}",
        {"action": "transfer", "destination": {"type": "ncco", "url": ["https://app.example.org/ncco.json"]}},
    ),
    (
        f"transfer {LEG} --connect 447700900002",
        DONE,
        "PUT",
        f"/v1/calls/{LEG}",
        {
            "action": "transfer",
            "destination": {
                "type": "ncco",
                "ncco": [
                    {
                        "action": "connect",
                        "from": "442079460000",
                        "endpoint": [{"type": "phone", "number": "447700900002"}],
                    }
                ],
            },
        },
    ),
    (
        f"move {LEG} support-17 --mute --no-start-on-enter --no-wait",
        DONE,
        "PUT",
        f"/v1/calls/{LEG}",
        {
            "action": "transfer",
            "destination": {
                "type": "ncco",
                "ncco": [
                    {"action": "conversation", "name": "support-17", "mute": True, "startOnEnter": False}
                ],
            },
        },
    ),
    (
        f"stream {LEG} https://cdn.example.org/wait.mp3 --loop 0 --level 0.4",
        says("Stream started"),
        "PUT",
        f"/v1/calls/{LEG}/stream",
        {"stream_url": ["https://cdn.example.org/wait.mp3"], "loop": 0, "level": "0.4"},
    ),
    (f"stream {LEG} --stop", says("Stream stopped"), "DELETE", f"/v1/calls/{LEG}/stream", None),
    (
        f"talk {LEG} Hello --language en-GB --style 2 --premium --loop 2 --level -0.3",
        says("Talk started"),
        "PUT",
        f"/v1/calls/{LEG}/talk",
        {"text": "Hello", "language": "en-GB", "style": 2, "premium": True, "loop": 2, "level": "-0.3"},
    ),
    (f"talk {LEG} Hello", says("Talk started"), "PUT", f"/v1/calls/{LEG}/talk", {"text": "Hello"}),
    (f"talk {LEG} --stop", says("Talk stopped"), "DELETE", f"/v1/calls/{LEG}/talk", None),
    (f"dtmf {LEG} '1p2#*'", says("DTMF sent"), "PUT", f"/v1/calls/{LEG}/dtmf", {"digits": "1p2#*"}),
    (
        f"dtmf {LEG} --listen https://app.example.org/keys",
        reply(200),
        "PUT",
        f"/v1/calls/{LEG}/input/dtmf",
        {"event_url": ["https://app.example.org/keys"]},
    ),
    (f"dtmf {LEG} --no-listen", reply(200), "DELETE", f"/v1/calls/{LEG}/input/dtmf", None),
]


@pytest.mark.parametrize(
    ("line", "answer", "method", "path", "body"),
    OPERATIONS,
    ids=[line.replace(LEG, "LEG") for line, *_ in OPERATIONS],
)
def test_an_operation_is_one_documented_request(
    tmp_path: Path, application: Application, line: str, answer: bytes, method: str, path: str, body: Any
) -> None:
    (tmp_path / "flow.json").write_text(json.dumps(NCCO))
    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(
            line.replace("flow.json", str(tmp_path / "flow.json"))
        )

    assert ran.exit_code == 0, ran.stderr
    (request,) = server.requests
    assert (request.method, request.target) == (method, path)
    assert request.json == body
    assert_plain(request, server)


def test_a_search_requests_pages_of_a_hundred_newest_first(tmp_path: Path, application: Application) -> None:
    with Canned(reply(body=page())) as server:
        room = machine(tmp_path, application, server.url)
        assert (
            room(f"call list --all --since 2026-02-01T00:00:00Z --conversation {CONVERSATION}").exit_code == 0
        )
        assert room("call list --status busy").exit_code == 0

    everything, busy = server.requests
    assert everything.query == {
        "date_start": "2026-02-01T00:00:00Z",
        "conversation_uuid": CONVERSATION,
        "page_size": "100",
        "order": "desc",
    }
    assert busy.query == {"status": "busy", "page_size": "100", "order": "desc"}
    for request in server.requests:
        assert (request.method, request.path, request.body) == ("GET", "/v1/calls", b"")
        assert_plain(request, server)


def test_live_legs_are_one_search_for_each_live_status(tmp_path: Path, application: Application) -> None:
    with Canned(reply(body=page())) as server:
        assert machine(tmp_path, application, server.url)("call list").exit_code == 0

    asked = [request.query for request in server.requests]
    assert asked == [
        {"status": status, "page_size": "100"} for status in ("started", "ringing", "answered", "machine")
    ]


def test_a_leg_id_of_32_hex_digits_is_used_unchanged(tmp_path: Path, application: Application) -> None:
    leg = "AA6BEC1F5C4A4BDC95AEE8A4C1B7A1F0"
    with Canned(DONE) as server:
        assert machine(tmp_path, application, server.url)(f"mute {leg}").exit_code == 0

    assert [request.target for request in server.requests] == [f"/v1/calls/{leg}"]


def assert_plain(request: Request, server: Canned) -> None:
    """Check that a request has a user agent and an Accept header, and no header that the server does not need."""
    headers = dict(request.headers)
    assert re.fullmatch(
        r"Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", headers.pop("authorization")
    )
    assert headers.pop("host") == f"127.0.0.1:{server.port}"
    assert headers.pop("user-agent") == f"voicectl/{__version__}"
    assert headers.pop("accept") == "application/json"
    assert headers.pop("accept-encoding") == "identity"
    headers.pop("connection", None)
    if request.body:
        assert headers.pop("content-type") == "application/json"
        assert headers.pop("content-length") == str(len(request.body))
    elif request.method != "GET":
        headers.pop("content-length", None)
    assert headers == {}
