"""Odd or large answers of the user's application: that call is answered, and others do not wait."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.support.servers import Canned, reply
from voicectl.webhook import forward
from voicectl.webhook.forward import Forwarder, ncco_fault

from .serving import request, serving, signed_request
from .signing import event

CALL = event(status=None)
HELLO = [{"action": "talk", "text": "Hello"}]
KEYS = [{"action": "talk", "text": "Hello"} | {f"k{number}": 1 for number in range(80_000)}]
TAGS = [{"action": "talk", "text": f"<speak>{'<a/>' * 200_000}</speak>"}]


@pytest.mark.parametrize(
    ("sent", "out"),
    [
        ("\x01\x7f", None),
        ("", None),
        ("text/\xff", "text/"),
        ("text/plain", "text/plain"),
        ("text/html; \x01", "text/html;"),
        ("application/xml", "application/xml"),
    ],
)
def test_the_content_type_of_an_ncco_is_passed_on_in_printable_form(
    tmp_path: Path, sent: str, out: str | None
) -> None:
    body = json.dumps(HELLO).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {sent}\r\nContent-Length: {len(body)}\r\n\r\n"
    with (
        Canned(head.encode("latin-1") + body, keeps=False) as app,
        serving(tmp_path, forwarder=Forwarder(app.url)) as receiver,
    ):
        got = receiver.ask(signed_request(CALL, "answer"))
    assert (got.status, got.json, got.headers.get("content-type")) == (200, HELLO, out)


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        ("text/plain; \x01x\xff", "text/plain; x"),
        ("\x01\x7f", None),
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
    ],
)
def test_the_content_type_of_an_answer_to_an_event_is_passed_on_in_printable_form(
    tmp_path: Path, sent: str, content_type: str | None
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {sent}\r\nContent-Length: 2\r\n\r\n[]"
    with (
        Canned(head.encode("latin-1"), keeps=False) as app,
        serving(tmp_path, forwarder=Forwarder(app.url)) as receiver,
    ):
        got = receiver.ask(signed_request(event(status=None, dtmf={"digits": "1"})))
    assert (got.status, got.body, got.headers.get("content-type")) == (200, b"[]", content_type)


@pytest.mark.parametrize("flow", [KEYS, TAGS], ids=["unknown options", "unknown tags"])
def test_other_requests_are_answered_while_a_large_ncco_is_checked(
    tmp_path: Path, flow: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_being_checked, other_answered = threading.Event(), threading.Event()
    waited: list[bool] = []

    def check(body: bytes) -> str | None:
        is_being_checked.set()
        waited.append(other_answered.wait(30))
        return ncco_fault(body)

    monkeypatch.setattr(forward, "ncco_fault", check)
    with (
        Canned(reply(200, flow)) as app,
        serving(tmp_path, forwarder=Forwarder(app.url)) as receiver,
    ):

        def ask_another() -> None:
            is_being_checked.wait(30)
            assert receiver.ask(request("GET", "/healthz")).status == 200
            other_answered.set()

        thread = threading.Thread(target=ask_another)
        thread.start()
        got = receiver.ask(signed_request(CALL, "answer"))
        thread.join()
    assert waited == [True], "the check ended before another request was answered"
    assert (got.status, got.json) == (200, flow)
