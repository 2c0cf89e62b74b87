"""The lines with which ``webhook serve`` and ``webhook tail`` show events on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import httpx
import pytest

from tests.conftest import StartRoom
from tests.support.hostile import HOSTILE, unsafe
from tests.support.kept import CONVERSATION, LEG, arrival, status
from tests.support.tty import Tty
from voicectl.cli.output.event_lines import EventLines
from voicectl.cli.output.fit import columns
from voicectl.clock import SystemClock
from voicectl.store.events import Route, Stored

RECORD = {
    "recording_url": "https://api.nexmo.com/v1/files/x",
    "recording_uuid": "0f1e2d3c-4b5a-4697-8879-a0b1c2d3e4f5",
    "conversation_uuid": CONVERSATION,
    "start_time": "2026-02-02T02:40:00Z",
    "end_time": "2026-02-02T02:40:12.4Z",
    "size": 240128,
}
TRANSFER = {
    "uuid": LEG,
    "conversation_uuid_from": CONVERSATION,
    "conversation_uuid_to": "CON-9f8e3c4d-5e6f-4788-99aa-bbccddeeff00",
}
RTC = {"type": "sip:ringing", "id": 5, "conversation_id": CONVERSATION, "body": {"channel": {"id": LEG}}}
TOLD: list[tuple[Any, dict[str, Any]]] = [
    ({"from": "447700900009", "to": "442079460000", "uuid": LEG}, {"route": Route.ANSWER}),
    (status("ringing", direction="inbound"), {}),
    (RTC, {"route": Route.RTC}),
    (status("completed", duration="14", disconnected_by="user", sip_code=200), {}),
    (status("busy", sip_code=486), {"is_signed": False}),
    (TRANSFER, {}),
    ({"dtmf": {"digits": "4711"}, "uuid": LEG, "from": "447700900009", "to": "442079460000"}, {}),
    (RECORD, {}),
    (b"no JSON", {}),
]

AT_120 = """\
02:40:00          1  answer        9a8b7c6d  447700900009 -> 442079460000
02:40:00          2  ringing       9a8b7c6d  442079460000 -> 447700900001
02:40:00          4  completed     9a8b7c6d  442079460000 -> 447700900001  14 s, disconnected_by user, sip_code 200
02:40:00          5  busy          9a8b7c6d  442079460000 -> 447700900001  unsigned  sip_code 486
02:40:00          6  transfer      9a8b7c6d  to CON-9f8e3c4d-5e6f-4788-99aa-bbccddeeff00
02:40:00          7  input         9a8b7c6d  447700900009 -> 442079460000  keys 4
02:40:00          8  record        0f1e2d3c-4b5a-4697-8879-a0b1c2d3e4f5  12 s  size 240128
02:40:00          9  unknown       it is not JSON: Expecting value: line 1 column 1 (char 0)
"""
AT_80 = """\
02:40:00          1  answer        9a8b7c6d  -> 442079460000
02:40:00          2  ringing       9a8b7c6d  <- 442079460000
02:40:00          4  completed     9a8b7c6d  -> 447700900001  14 s, disconnecte…
02:40:00          5  busy          9a8b7c6d  -> 447700900001  unsigned  sip_cod…
02:40:00          6  transfer      9a8b7c6d  to CON-9f8e3c4d-5e6f-4788-99aa-bbc…
02:40:00          7  input         9a8b7c6d  -> 442079460000  keys 4
02:40:00          8  record        0f1e2d3c-4b5a-4697-8879-a0b1c2d3e4f5  12 s  …
02:40:00          9  unknown       it is not JSON: Expecting value: line 1 colu…
"""
AT_50 = """\
02:40:00  answer        9a8b7c6d  -> 442079460000
02:40:00  ringing       9a8b7c6d  <- 442079460000
02:40:00  completed     9a8b7c6d  -> 447700900001…
02:40:00  busy          9a8b7c6d  -> 447700900001…
02:40:00  transfer      9a8b7c6d  to CON-9f8e3c4d…
02:40:00  input         9a8b7c6d  -> 442079460000…
02:40:00  record        0f1e2d3c-4b5a-4697-8879-a…
02:40:00  unknown       it is not JSON: Expecting…
"""


def shown(*events: tuple[Any, dict[str, Any]], all_events: bool = False, is_colored: bool = False) -> str:
    out = io.StringIO()
    with EventLines(out, lambda _: "02:40:00", all_events=all_events, is_colored=is_colored) as lines:
        for number, (fields, changes) in enumerate(events, 1):
            lines.add(Stored(number, arrival(fields, **changes), 0))
    return out.getvalue()


@pytest.mark.parametrize(("width", "lines"), [(120, AT_120), (80, AT_80), (50, AT_50)])
def test_each_event_is_one_aligned_line(monkeypatch: pytest.MonkeyPatch, width: int, lines: str) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    assert shown(*TOLD) == lines
    assert re.sub("\x1b\\[[0-9;]*m", "", shown(*TOLD, is_colored=True)) == lines


def test_rtc_events_are_shown_only_with_all_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert "sip:ringing" not in shown(*TOLD)
    assert "    3  sip:ringing           9a8b7c6d\n" in shown(*TOLD, all_events=True)


def test_statuses_have_the_colors_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(*TOLD, is_colored=True)

    assert "\x1b[33m  ringing     \x1b[0m" in lines
    assert "\x1b[31m  busy        \x1b[0m" in lines
    assert "\x1b[33m  unsigned\x1b[0m" in lines
    assert "\x1b[31m  unknown     \x1b[0m\x1b[31m  it is not JSON" in lines


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80])
@pytest.mark.parametrize("text", [*HOSTILE.values(), "山" * 40], ids=[*HOSTILE, "wide"])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int, text: str) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    event = status(text, **{"from": text, "to": text, "detail": text, "duration": text})
    lines = shown((event, {}), ({"payload": {text: text}}, {}), (RECORD | {"recording_uuid": text}, {}))

    assert not unsafe(lines)
    assert len(lines.splitlines()) == 3
    assert max(map(columns, lines.splitlines())) <= width


@pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")  # pexpect, from Python 3.12 on
def test_serve_shows_an_event_as_one_line_on_a_terminal(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    with Tty(room, "webhook serve --port 0 --allow-unsigned", env={"NO_COLOR": "1"}) as tty:
        found = re.search(r"http://(127\.0\.0\.1|localhost):[0-9]+", tty.until("Ctrl-C to stop"))
        assert found is not None
        httpx.post(f"{found[0]}/webhooks/event", json=status("busy", sip_code=486)).raise_for_status()

        shown = tty.until("sip_code 486")

    (line,) = [each for each in shown.splitlines() if "busy" in each]
    parts = r"\d\d:\d\d:\d\d +1  busy +{}  442079460000 -> 447700900001  unsigned  sip_code 486"
    assert re.fullmatch(parts.format(LEG[:8]), line.strip())
