"""``trace``: the history of a leg or conversation as a ladder, as lines, as JSON and as SVG."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.commands.test_reconcile import lose
from tests.cli.test_imports import loaded
from tests.conftest import StartRoom
from tests.support.hostile import HOSTILE, unsafe
from tests.support.kept import CONVERSATION, LEG, keep, status
from tests.support.machines import Application, machine
from tests.support.room import BY_HAND, PERSON, Ran, Room
from tests.support.servers import Canned, Request, page, reply
from voicectl.cli.output.ladder_text import columns, wrapped
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.store.action_log import ActionLog

SVG = "{http://www.w3.org/2000/svg}"
OTHER = "9a8b1111-5e6f-4788-99aa-bbccddeeff00"
THIRD = "33333333-5e6f-4788-99aa-bbccddeeff00"
ELSEWHERE = "CON-9f8e3c4d-5e6f-4788-99aa-bbccddeeff00"
GONE = reply(404, {"title": "Not Found"})


def at(room: Room, seconds: float) -> str:
    """Return the time a number of seconds from now, as the platform writes it."""
    found = datetime.fromtimestamp(room.clock.time() + seconds, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of(room: Room, leg: str, what: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    return status(what, leg=leg, **({"timestamp": at(room, seconds)} | fields))


def conversation_of(room: Room, leg: str) -> str:
    return str(room(f"call show {leg} -o json").json["conversation_uuid"])


def entries(ran: Ran) -> list[tuple[str, str]]:
    assert ran.exit_code == 0, ran.stderr
    return [(each["what"], each["source"]) for each in ran.json["entries"]]


def canned(
    tmp_path: Path, application: Application, line: str | list[str], *events: Any, **answers: Any
) -> Ran:
    """Run a command against an API that has *records* of legs by their ids, and lists *listed*."""

    def answer(request: Request) -> bytes:
        if request.path == "/v1/calls":
            return reply(body=page(*answers.get("listed", [])))
        found = answers.get("records", {}).get(request.path.rpartition("/")[2])
        return answers.get("other", GONE) if found is None else reply(body=found)

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)
        if events:
            keep(room, *events)
        return room(line)


# With the sandbox


def test_a_leg_is_traced_from_all_sources(room: Room) -> None:
    leg = room.call()
    conversation = conversation_of(room, leg)
    keep(
        room,
        of(room, leg, "started", -2.9, conversation_uuid=conversation),
        of(room, leg, "human", 0.5, conversation_uuid=conversation),
    )
    room.clock.sleep(2)
    assert room(f"mute {leg}").exit_code == 0
    room.clock.sleep(1)
    assert room(f"hangup {leg}").exit_code == 0
    ran = room(f"trace {leg} -o json")

    assert entries(ran) == [
        ("create", "journal"),
        ("created", "journal"),
        ("started", "event"),
        ("answered", "api"),
        ("human", "event"),
        ("mute", "here"),
        ("hangup", "here"),
        ("completed", "api"),
    ]
    assert [each["uuid"] for each in ran.json["legs"]] == [leg]
    assert ran.json["legs"][0]["to"] == {"type": "phone", "number": PERSON}
    assert {each["uuid"] for each in ran.json["entries"]} == {leg}
    assert ran.json["entries"][0]["reference"].startswith("vc-")
    assert ran.json["entries"][4]["events"] == [2]


def keep_move(room: Room, leg: str, left: str, to: str, seconds: float) -> None:
    fields = {"conversation_uuid_from": left, "conversation_uuid_to": to, "uuid": leg}
    keep(room, {**fields, "timestamp": at(room, seconds)})


def test_legs_of_the_same_conversations_are_shown_even_if_they_left(room: Room) -> None:
    """One is with it now, one was with it and left, and one never was."""
    leg, other = room.call(), room.call("447700900002")
    conversation = conversation_of(room, leg)
    assert conversation == conversation_of(room, other), "both joined the room"
    left = room.call("447700900003", "--talk Hi --join elsewhere")
    never = room.call("447700900004", "--talk Hi --join elsewhere")
    first = {"to": "447700900003", "conversation_uuid": ELSEWHERE}
    keep(room, of(room, left, "started", -1.8, **first))
    keep_move(room, left, ELSEWHERE, conversation, -1.5)
    keep(room, of(room, left, "answered", -1, to="447700900003", conversation_uuid=conversation))
    keep_move(room, left, conversation, conversation_of(room, left), -0.5)
    ran = room(f"trace {leg} -o json")

    assert {each["uuid"] for each in ran.json["legs"]} == {leg, other, left}
    assert never not in ran.stdout
    statuses = [each["what"] for each in ran.json["entries"] if each["uuid"] == left and each["events"]]
    assert statuses == ["started", "transfer", "answered", "transfer"], (
        "the whole history, with the earlier conversation"
    )
    assert {each["uuid"] for each in room(f"trace {conversation} -o json").json["legs"]} == {leg, other, left}
    assert room(f"trace {conversation} -q").stdout.split() == [leg, other, left]


def test_a_move_is_shown_at_its_transfer_not_at_the_entry_by_the_flow(room: Room) -> None:
    leg = room.call("447700900081", "--talk Hi --join red")
    room.clock.sleep(5)
    red = conversation_of(room, leg)
    keep_move(room, leg, ELSEWHERE, red, -1)
    room.call("447700900083", "--join blue")
    room.clock.sleep(36)
    assert room(f"move {leg} blue").exit_code == 0
    keep_move(room, leg, red, conversation_of(room, leg), -0.001)
    room.clock.sleep(1)
    ran = room(f"trace {leg} -o json")

    moves = [what for what, _ in entries(ran) if what in ("move", "transfer")]
    assert moves == ["transfer", "move", "transfer"]
    assert "clock" not in [gap["what"] for gap in ran.json["gaps"]]


def test_a_leg_that_was_in_the_room_at_another_time_is_not_shown(room: Room) -> None:
    keep(
        room,
        *(of(room, OTHER, what, second) for what, second in (("started", -900), ("completed", -800))),
        {"recording_url": "https://api.nexmo.com/v1/files/x", "conversation_uuid": CONVERSATION}
        | {"timestamp": at(room, -800)},
        *(of(room, LEG, what, second) for what, second in (("started", -100), ("busy", -90))),
        of(room, THIRD, "ringing", -95),
    )
    found = room(f"trace {LEG} -o json").json
    everything = room(f"trace {CONVERSATION} -o json").json

    assert [each["uuid"] for each in found["legs"]] == [LEG, THIRD]
    assert "record" not in {each["what"] for each in found["entries"]}
    assert [each["uuid"] for each in everything["legs"]] == [OTHER, LEG, THIRD]


def test_a_transcription_is_shown_with_its_recording_however_late_it_comes(room: Room) -> None:
    leg = room.call()
    conversation = conversation_of(room, leg)
    about = {"conversation_uuid": conversation}
    later = {
        "type": "record",
        "status": "transcribed",
        "transcription_url": "https://api.nexmo.com/v1/files/y",
    }
    file = "https://api.nexmo.com/v1/files/x"
    keep(
        room,
        of(room, leg, "started", **about),
        of(room, leg, "completed", 20, duration="17", **about),
        about | {"recording_url": file, "recording_uuid": "r", "timestamp": at(room, 21)},
        about | later | {"recording_uuid": "r", "timestamp": at(room, 920)},
        about | later | {"recording_uuid": "of another day", "timestamp": at(room, 920)},
        about
        | {"recording_url": file, "recording_uuid": "s", "start_time": at(room, 5)}
        | {"timestamp": at(room, 2000)},
    )

    found = [each for each in room(f"trace {leg} -o json").json["entries"] if each["events"]]
    assert sorted(number for each in found for number in each["events"]) == [1, 2, 3, 4, 6]


def test_a_leg_that_only_events_know_is_found_by_the_beginning_of_its_id(room: Room) -> None:
    live = room.call()
    keep(room, of(room, LEG, "busy"))

    assert room(f"trace {LEG[:8].upper()} -q").stdout == f"{LEG}\n"
    assert room(f"trace {LEG.replace('-', '')} -q").stdout == f"{LEG}\n"
    assert room(f"trace {live[:8]} -q").stdout == f"{live}\n"
    assert room("trace - -q", stdin=f"{live}\tx\n").stdout == f"{live}\n"


def test_an_ambiguous_beginning_among_records_and_events_is_4(room: Room) -> None:
    keep(room, of(room, LEG, "busy"), of(room, OTHER, "busy"))
    ran = room("trace 9a8b")

    assert (ran.exit_code, ran.stdout) == (4, "")
    assert LEG in ran.stderr
    assert OTHER in ran.stderr


@pytest.mark.parametrize("what", [LEG, LEG[:6], CONVERSATION])
def test_an_unknown_leg_is_4(room: Room, what: str) -> None:
    keep(room, of(room, THIRD, "busy", conversation_uuid=ELSEWHERE))
    ran = room(f"trace {what}")

    assert (ran.exit_code, ran.stdout) == (4, "")
    assert len(ran.stderr.splitlines()) <= 3


@pytest.mark.parametrize("what", ["CON-1", "con-x", "support-17", "../x"])
def test_an_argument_that_is_neither_leg_nor_conversation_is_2(room: Room, what: str) -> None:
    ran = room(f"trace {what}")

    assert (ran.exit_code, ran.stdout, room.requests()) == (2, "", [])


@pytest.mark.parametrize("conversation", ["CON-w6", "con-w6", "CON-a&b=c/d"])
def test_a_conversation_s_id_of_any_form_is_accepted_if_stored_events_mention_it(
    room: Room, conversation: str
) -> None:
    keep(room, of(room, LEG, "busy", conversation_uuid=conversation))
    ran = room(["trace", conversation, "-o", "json"])

    assert entries(ran) == [("busy", "event")]
    assert room("trace CON-w7").exit_code == 2


def test_a_leg_whose_record_is_gone_is_traced_from_events_and_notes_alone(
    tmp_path: Path, application: Application
) -> None:
    with Canned(lambda request: reply(body=page()) if request.path == "/v1/calls" else GONE) as server:
        room = machine(tmp_path, application, server.url)
        keep(room, status("answered", second=2), status("completed", second=20, duration="18"))
        (directory,) = room.state.iterdir()
        ActionLog(directory).add(1_770_000_010.0, LEG, "mute")
        ran = room(f"trace {LEG} -o json")
        noted = room(f"trace {LEG} -o json", env={})
        ActionLog(directory).add(1_770_000_010.0, OTHER, "mute")
        only_noted = room(f"trace {OTHER} -o json")

    assert entries(ran) == [("answered", "event"), ("mute", "here"), ("completed", "event")]
    assert [gap["what"] for gap in ran.json["gaps"]] == ["started"]
    assert noted.stdout == ran.stdout
    assert entries(only_noted) == [("mute", "here")]
    assert [gap["what"] for gap in only_noted.json["gaps"]] == ["events", "end"]
    assert f"No leg {OTHER} for " in only_noted.json["gaps"][1]["detail"]


def test_without_a_store_the_other_sources_are_traced_and_nothing_is_created(room: Room) -> None:
    leg = room.call(options="--join r --no-journal")
    state = sorted(path.name for path in room.state.rglob("*"))
    ran = room(f"trace {leg} -o json")

    assert entries(ran) == [("answered", "api")]
    assert ran.json["entries"][0]["at"] is None, "a record does not say when"
    assert ran.json["entries"][0]["known_by"] == at(room, 0)
    assert [gap["what"] for gap in ran.json["gaps"]] == ["store"]
    assert ran.stderr == ""
    assert sorted(path.name for path in room.state.rglob("*")) == state


def test_a_call_in_doubt_that_events_prove_is_shown_with_its_request(room: Room) -> None:
    reference = lose(room, "lost-reply")
    leg = next(iter(room.sandbox.exchange.legs))  # type: ignore[union-attr]
    conversation = conversation_of(room, leg)
    keep(room, of(room, leg, "started", conversation_uuid=conversation), query=f"vc={reference}".encode())
    ran = room(f"trace {leg} -o json")

    assert entries(ran)[:3] == [("create", "journal"), ("in-doubt", "journal"), ("started", "event")]
    assert ran.json["gaps"] == []


def test_unsigned_events_prove_no_call(room: Room) -> None:
    reference = lose(room, "lost-reply")
    leg = next(iter(room.sandbox.exchange.legs))  # type: ignore[union-attr]
    keep(room, of(room, leg, "started"), query=f"vc={reference}".encode(), is_signed=False)

    assert "journal" not in room(f"trace {leg}").stdout


# Sources that do not answer


def test_without_the_api_the_other_sources_are_used(tmp_path: Path, application: Application) -> None:
    down = {"other": reply(503), "listed": []}
    ran = canned(tmp_path / "a", application, f"trace {LEG} -o json", status("started"), **down)
    nothing = canned(tmp_path / "b", application, f"trace {LEG}", **down)

    assert entries(ran) == [("started", "event")]
    assert [gap["what"] for gap in ran.json["gaps"]] == ["api"]
    assert "The API cannot be read" in ran.stderr
    assert (nothing.exit_code, nothing.stdout) == (7, "")


@pytest.mark.parametrize("text", [LEG[:8], "to:447700900001", "from:44207946"])
def test_without_the_api_a_leg_is_found_among_stored_events(
    tmp_path: Path, application: Application, text: str
) -> None:
    """A prefix that matches no kept leg, or several, is reported as such."""

    def ran(home: str, *events: dict[str, Any], which: str = text) -> Ran:
        with Canned(lambda _: reply(503)) as server:
            room = machine(tmp_path / home, application, server.url)
            keep(room, *events)
            return room(f"trace {which} -q")

    another = {"to": "1999", "from": "1888", "conversation_uuid": ELSEWHERE}
    found = ran("one", status("started"), status("started", leg=THIRD, **another))
    several = ran("two", status("started"), status("started", leg=LEG[:-1] + "0"))
    none = ran("three", status("started", leg=THIRD, **another))

    assert (found.exit_code, found.stdout) == (0, f"{LEG}\n")
    assert f"{text} was looked up only on this machine: " in found.stderr
    assert (several.exit_code, several.stdout) == (4, "")
    assert (none.exit_code, none.stdout) == (7, "")


def test_a_leg_of_another_profile_is_reported_as_such_even_without_a_store(
    tmp_path: Path, application: Application
) -> None:
    """Here only the action log's entry of a failure names the leg."""

    def here(request: Request) -> bytes:
        return reply(body=page()) if request.path == "/v1/calls" else GONE

    record = {"uuid": LEG, "status": "answered", "conversation_uuid": CONVERSATION}
    with Canned(here) as server, Canned(lambda _: reply(body=record)) as elsewhere:
        room = machine(tmp_path, application, server.url)
        other = Profile(name="other", application_id=OTHER, base_url=elsewhere.url)
        ProfileStore(room.config).add(other, key=application[1])
        assert room(f"mute {LEG}").exit_code == 4
        ran = room(f"trace {LEG} -o json")

    assert entries(ran) == [("mute", "here")]
    assert [gap["what"] for gap in ran.json["gaps"]] == ["end", "store"]
    assert f"No leg {LEG} for " in ran.json["gaps"][0]["detail"]
    assert "Profile other has it." in ran.json["gaps"][0]["detail"]


PLAIN = LEG.replace("-", "")


@pytest.mark.parametrize(
    ("knows", "which"),
    [
        *(("api", each) for each in (PLAIN, PLAIN[:9], CONVERSATION)),
        *((knows, each) for knows in ("events", "both") for each in (PLAIN, LEG, PLAIN[:9], CONVERSATION)),
    ],
)
def test_a_leg_has_the_id_that_the_platform_uses(
    tmp_path: Path, application: Application, which: str, knows: str
) -> None:
    """The API knows a leg by no other form: inbound ones have 32 digits."""
    path = tmp_path / "x.svg"
    record = {"uuid": PLAIN, "status": "answered", "conversation_uuid": CONVERSATION, "direction": "inbound"}
    asked: list[str] = []

    def answer(request: Request) -> bytes:
        if request.path == "/v1/calls":
            return reply(body=page(*[record] * (knows != "events")))
        asked.append(request.path.rpartition("/")[2])
        is_known = knows != "events" and asked[-1] == PLAIN
        return reply(body=record) if is_known else GONE

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)
        if knows != "api":
            keep(room, status("started", leg=PLAIN), status("human", leg=PLAIN, second=3))
        quiet = room(f"trace {which} -q")
        full_form = room(f"trace {which} -o json")
        piped = room(["trace", which, "--svg", str(path)])
        drawn = room(f"trace {which} -o table").stdout

    assert quiet.stdout == f"{PLAIN}\n", quiet.stderr
    found = full_form.json
    assert {each["uuid"] for each in (*found["legs"], *found["entries"])} == {PLAIN}
    assert {gap["uuid"] for gap in found["gaps"]} <= {PLAIN, None}
    assert {row[1] for row in piped.rows} <= {PLAIN, "-"}
    for text in (full_form.stdout, piped.stdout, drawn, path.read_text()):
        assert PLAIN in text
    for text in (full_form.stdout, piped.stdout, drawn):
        assert LEG not in text
    assert set(asked) <= {PLAIN}, "by the id that the API knows"


def test_a_failing_store_is_skipped(room: Room) -> None:
    leg = room.call(BY_HAND, wait=None)
    keep(room, of(room, leg, "started"))
    (path,) = room.state.rglob("events.db")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    ran = room(f"trace {leg} -o json")

    assert ("create", "journal") in entries(ran)
    assert [gap["what"] for gap in ran.json["gaps"]] == ["events"]
    assert "was written by a newer version of voicectl" in ran.stderr


def test_refused_credentials_are_3(tmp_path: Path, application: Application) -> None:
    ran = canned(tmp_path, application, f"trace {LEG}", status("started"), other=reply(401))
    assert (ran.exit_code, ran.stdout) == (3, "")


# Output formats


def full(room: Room) -> Room:
    """A conversation of three legs: moved, muted, ended, and with a gap."""
    base = {"conversation_uuid": CONVERSATION}
    keep(
        room,
        of(room, LEG, "started", 1),
        of(room, LEG, "answered", 3),
        of(room, OTHER, "started", 4, to="447700900002"),
        of(room, OTHER, "answered", 5, to="447700900002"),
        of(room, THIRD, "ringing", 6, direction="inbound"),
        {"payload": {"step": 1}, "timestamp": at(room, 7), **base},
        {"dtmf": {"digits": "4711"}, "uuid": LEG, "timestamp": at(room, 8), **base},
        of(room, THIRD, "completed", 19, duration="9", direction="inbound"),
        of(room, LEG, "completed", 20, duration="17", disconnected_by="user"),
    )
    (directory,) = room.state.iterdir()
    ActionLog(directory).add(room.clock.time() + 9, OTHER, "mute")
    return room


LADDER = """\
1 9a8b7c6d-5e4f-4321-8fed-cba987654321  447700900001  outbound, completed
2 9a8b1111-5e6f-4788-99aa-bbccddeeff00  447700900002  outbound, answered
3 33333333-5e6f-4788-99aa-bbccddeeff00  442079460000  inbound, completed

              here  1   2   3
2026-02-02 UTC
 02:40:01.000       *           1 started (event)
 02:40:03.000       *           1 answered (event)
 02:40:04.000       |   *       2 started (event)
 02:40:05.000       |   *       2 answered (event)
 02:40:06.000       |   |   *   3 ringing (event)
 02:40:07.000       |   |   |   notify, payload {"step": 1} (event)
 02:40:08.000       o   |   |   1 input, keys 4 (event)
 02:40:09.000 +-----+--->   |   2 mute (here)
                    |   ?   |   2 gap, end: The API has no record of this leg,
                    |   |   |   and no event reports its end.
                    |   |   ?   3 gap, answered: No event reports it, but the
                    |   |   |   leg is recorded as completed.
 02:40:19.000       |   |   x   3 completed, duration 9 (event)
 02:40:20.000       x   |       1 completed, duration 17, disconnected_by user
                        |       (event)

* a status   x the end of a leg   o another event   > done from this machine
? a gap
"""

WIDE = """\
1 9a8b7c6d-5e4f-4321-8fed-cba987654321  447700900001  outbound, completed
2 9a8b1111-5e6f-4788-99aa-bbccddeeff00  447700900002  outbound, answered
3 33333333-5e6f-4788-99aa-bbccddeeff00  442079460000  inbound, completed

              here  1             2             3
                    9a8b7c6d      9a8b1111      33333333
                    447700900001  447700900002  442079460000
2026-02-02 UTC
 02:40:01.000       *                                         1 started (event)
 02:40:03.000       *                                         1 answered (event)
 02:40:04.000       |             *                           2 started (event)
 02:40:05.000       |             *                           2 answered (event)
 02:40:06.000       |             |             *             3 ringing (event)
 02:40:07.000       |             |             |             notify, payload {"step": 1} (event)
 02:40:08.000       o             |             |             1 input, keys 4 (event)
 02:40:09.000 +-----+------------->             |             2 mute (here)
                    |             ?             |             2 gap, end: The API has no record of this leg, and no
                    |             |             |             event reports its end.
                    |             |             ?             3 gap, answered: No event reports it, but the leg is
                    |             |             |             recorded as completed.
 02:40:19.000       |             |             x             3 completed, duration 9 (event)
 02:40:20.000       x             |                           1 completed, duration 17, disconnected_by user (event)

* a status   x the end of a leg   o another event   > done from this machine   ? a gap
"""


@pytest.mark.parametrize(("width", "shown"), [(80, LADDER), (118, WIDE)])
def test_on_a_terminal_it_is_a_ladder_of_the_legs(
    room: Room, monkeypatch: pytest.MonkeyPatch, width: int, shown: str
) -> None:
    """If there is room, the heads of the lanes show the beginning of the leg's id, and the party."""
    monkeypatch.setenv("COLUMNS", str(width))
    full(room)
    for terminal, options in ((True, ""), (False, " -o table")):
        ran = room(f"trace {CONVERSATION}{options}", terminal=terminal, env={"NO_COLOR": "1"})

        assert (ran.exit_code, ran.stderr) == (0, "")
        assert ran.stdout == shown


def test_only_errors_and_gaps_are_red(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    full(room)
    keep(room, of(room, LEG[:-1] + "2", "busy", 30))
    ran = room(f"trace {CONVERSATION}", terminal=True)
    plain = room(f"trace {CONVERSATION}", terminal=True, env={"NO_COLOR": "1"}).stdout
    escape = "\x1b"
    red = re.findall(f"{escape}\\[31m(.*?){escape}", ran.stdout)

    assert re.sub(f"{escape}\\[[0-9;]*m", "", ran.stdout) != plain, "it explains the colors"
    assert red[:2] == ["?", "2 gap, end: The API has no record of this"]
    assert {each[:6] for each in red if each[0].isdecimal()} == {"2 gap,", "3 gap,", "4 busy", "4 gap,"}
    assert f"1 {escape}[32manswered{escape}[0m (event)" in ran.stdout
    assert f"2 {escape}[36mmute{escape}[0m (here)" in ran.stdout
    assert "green: answered   yellow: not answered yet   red: wrong or missing" in ran.stdout
    assert "red: wrong" not in plain


def test_on_a_terminal_times_are_local(room: Room, monkeypatch: pytest.MonkeyPatch, elsewhere: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = full(room)(f"trace {CONVERSATION}", terminal=True).stdout

    assert "2026-02-02 UTC+05:30\n 08:10:01.000 " in shown
    assert "02:40:01.000" in room(f"trace {CONVERSATION} -o table").stdout, "as in every pipe"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the local time zone of this process to Asia/Kolkata (UTC+5:30) during a test."""
    monkeypatch.setenv("TZ", "XXX-5:30")
    time.tzset()
    yield "XXX"
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("width", [16, 20, 40, 56, 60, 200])
def test_no_line_is_longer_than_the_terminal_and_nothing_is_truncated(
    room: Room, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = full(room)(f"trace {CONVERSATION}", terminal=True, env={"NO_COLOR": "1"}).stdout

    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown
    for text in (LEG, OTHER, THIRD, "02:40:20.000", "disconnected_by"):
        assert text in "".join(shown.split()), text
    lanes = {
        16: "",
        20: "",
        40: "",
        56: "here  1   +",
        60: "here  1   2   3",
        200: "here  1             2   ",
    }
    assert lanes[width] in shown
    assert ("here  1" in shown) == bool(lanes[width])


def test_in_a_pipe_each_entry_and_each_gap_is_a_line(room: Room) -> None:
    rows = full(room)(f"trace {CONVERSATION}").rows

    assert [row[3] for row in rows] == [
        *("started", "answered", "started", "answered", "ringing", "notify", "input", "mute"),
        *("gap", "gap", "completed", "completed"),
    ]
    assert rows[0] == [
        *("2026-02-02T02:40:01.000Z", LEG, PERSON, "started", "event", "-", CONVERSATION, "[1]"),
    ]
    assert rows[9][1:6] == [
        *(THIRD, "442079460000", "gap", "-"),
        "answered: No event reports it, but the leg is recorded as completed.",
    ]
    assert [row[0] for row in rows if row[5].startswith("payload")] == ["2026-02-02T02:40:07.000Z"]
    assert room(f"trace {CONVERSATION} --fields what,facts.duration").rows[-1] == ["completed", "17"]


def test_json_is_one_object_and_json_lines_are_the_lines_of_the_pipe(room: Room) -> None:
    found = full(room)(f"trace {CONVERSATION} -o json").json
    lines = [json.loads(line) for line in room(f"trace {CONVERSATION} -o jsonl").stdout.splitlines()]

    assert list(found) == ["legs", "entries", "gaps"]
    assert [each for each in lines if each["what"] != "gap"] == found["entries"]
    assert [gap["before"] for gap in found["gaps"]] == [8, 8]
    assert "4711" not in json.dumps(found), "a PIN goes into no report"
    chosen = room(f"trace {CONVERSATION} -o json --fields at,what").json
    assert chosen["entries"][0] == {"at": "2026-02-02T02:40:01.000Z", "what": "started"}
    assert room("trace x --fields help").stdout.split()[:4] == ["at", "uuid", "who", "what"]


def test_a_pipe_loads_no_rich_and_no_svg(start_room: StartRoom) -> None:
    room = full(start_room(clock=SystemClock()))
    heavy = loaded(room, "trace", CONVERSATION)
    assert not heavy & {"rich", "xml", "httpx", "asyncio"}
    assert not loaded(room, "trace", CONVERSATION, "-o", "table") & {"rich", "xml"}


# SVG


def parsed(path: Path) -> tuple[str, ElementTree.Element]:
    text = path.read_bytes().decode()
    return text, ElementTree.fromstring(text)


def test_an_svg_contains_the_ladder_and_no_script(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "incident.svg"
    ran = full(room)(["trace", CONVERSATION, "--svg", str(path)])
    text, root = parsed(path)

    assert ran.exit_code == 0
    assert ran.stdout == room(f"trace {CONVERSATION}").stdout
    assert ran.stderr == f"{path} was written.\n"
    assert root.tag == f"{SVG}svg"
    assert {each.tag.removeprefix(SVG) for each in root.iter()} == {
        *("svg", "title", "rect", "line", "path", "circle", "text"),
    }
    shown = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert "2 mute (here)" in shown
    assert any(each.startswith(f"1  {LEG}") for each in shown)
    assert f"Trace of {CONVERSATION}, made {at(room, 0)[:19]}Z" in shown
    assert "href" not in text
    assert not unsafe(text)


def test_marks_of_an_svg_are_in_the_lanes_of_their_legs(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "incident.svg"
    full(room)(["trace", CONVERSATION, "--svg", str(path)])
    _, root = parsed(path)
    texts = {each.text: each for each in root.iter(f"{SVG}text")}
    lanes = {name: float(texts[f"{name} {leg[:8]}"].get("x", "")) for name, leg in (("1", LEG), ("2", OTHER))}
    marks = {float(each.get("cy", "")): each for each in root.iter(f"{SVG}circle")}

    def mark(text: str) -> ElementTree.Element:
        return marks[float(texts[text].get("y", "")) - 4]

    assert lanes["2"] - lanes["1"] > len("447700900001") * 7
    assert texts["447700900001"].get("x") == texts[f"1 {LEG[:8]}"].get("x")
    assert float(mark("1 answered (event)").get("cx", "")) == lanes["1"]
    assert float(mark("2 started (event)").get("cx", "")) == lanes["2"]
    gap = next(each for each in texts if each and each.startswith("2 gap, end"))
    assert texts[gap].get("fill") == mark(gap).get("stroke") == "#cf222e"
    reds = [each for each in root.iter() if "#cf222e" in (each.get("fill"), each.get("stroke"))]
    assert len(reds) == 6, "two gaps, each a text and a mark, and two entries of the key"
    right = float(root.get("width", "0"))
    assert all(float(each.get("x", "")) + 7.3 * len(each.text or "") <= right for each in texts.values())


def test_names_of_lanes_do_not_overlap_even_for_similar_ids(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "incident.svg"
    keep(room, *(of(room, LEG[:-1] + digit, "started", to="sip:山田太郎@pbx.example.org") for digit in "123"))
    room(["trace", CONVERSATION, "--svg", str(path)])
    heads = [each for each in parsed(path)[1].iter(f"{SVG}text") if each.get("text-anchor") == "middle"]

    assert [each.text for each in heads] == ["1", "2", "3", *["sip:山田太郎@…"] * 3]
    assert float(heads[1].get("x", "")) - float(heads[0].get("x", "")) >= columns("sip:山田太郎@…") * 7.3


def test_an_existing_report_is_not_replaced(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "incident.svg"
    path.write_text("an earlier one")
    dangling = tmp_path / "link.svg"
    dangling.symlink_to(tmp_path / "nowhere")
    full(room)
    before = len(room.requests())
    for each in (path, dangling, tmp_path):
        ran = room(["trace", CONVERSATION, "--svg", str(each)])

        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "already exists" in ran.stderr
    assert path.read_text() == "an earlier one"
    assert len(room.requests()) == before, "it is refused before anything is asked"
    assert not (tmp_path / "nowhere").exists()


def test_an_unwritable_report_is_2_and_a_dry_run_writes_none(room: Room, tmp_path: Path) -> None:
    full(room)
    for path in (tmp_path / "no" / "x.svg", Path(sys.executable) / "x.svg"):
        ran = room(["trace", CONVERSATION, "--svg", str(path)])
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "cannot be written" in ran.stderr
    path = tmp_path / "x.svg"
    ran = room(["trace", CONVERSATION, "--svg", str(path), "--dry-run"])
    assert (ran.exit_code, path.exists()) == (0, False)


# Hostile text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_from_outside_is_escaped(tmp_path: Path, application: Application, text: str) -> None:
    events = [
        status(text, **{"from": text, "to": text}),
        status("completed", second=9, detail=text, sip_code={text: text}, duration=text),
        {"uuid": LEG, "conversation_uuid": text, "reason": text, "timestamp": text},
        {"uuid": LEG, "conversation_uuid_from": text, "conversation_uuid_to": CONVERSATION, "type": text},
        {"payload": {text: text}, "conversation_uuid": CONVERSATION},
        {text: text, "uuid": LEG},
    ]
    record = {"uuid": LEG, "status": text, "conversation_uuid": CONVERSATION, "to": {"number": text}}
    forms = ["", "-o table", "-o json", "-o jsonl", "-o csv", "-q", "--fields what,detail,facts -o table"]
    for number, form in enumerate(forms):
        home = tmp_path / str(number)
        path = home / "x.svg"
        line = ["trace", LEG, "--svg", str(path), *form.split()]
        ran = canned(
            home, application, line, *events, records={LEG: record}, listed=[record | {"uuid": OTHER}]
        )

        assert ran.exit_code == 0, ran.stderr
        assert not unsafe(ran.stdout + ran.stderr)
        svg, root = parsed(path)
        assert not unsafe(svg)
        assert "\t" not in svg
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            *("svg", "title", "rect", "line", "path", "circle", "text"),
        }


def test_characters_invalid_in_xml_are_replaced(tmp_path: Path, application: Application) -> None:
    path = tmp_path / "x.svg"
    line = ["trace", LEG, "--svg", str(path)]
    event = status("busy", detail="a\ufffe\uffffb\U0001ffff ]]> <script>alert(1)</script>")
    assert canned(tmp_path, application, line, event).exit_code == 0
    text, root = parsed(path)

    assert "<script" not in text
    assert any("<script>alert(1)</script>" in (each.text or "") for each in root.iter(f"{SVG}text"))


def test_wide_characters_count_double_and_long_words_are_broken() -> None:
    assert wrapped("山田太郎 x", 4) == ["山田", "太郎", "x"]
    assert wrapped("abcdefgh ij", 4) == ["abcd", "efgh", "ij"]
    assert wrapped("", 4) == [""]
    assert columns("e\u0301山") == 3


# Limits


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing tells the peak of a process")
def test_a_conversation_of_a_hundred_legs_and_ten_thousand_events_uses_limited_memory(
    start_room: StartRoom,
) -> None:
    room = start_room(clock=SystemClock())
    legs = [f"{number:08x}-5e6f-4788-99aa-bbccddeeff00" for number in range(100)]
    said = ["started", "ringing", "answered", *["a word from the future"] * 96, "completed"]
    keep(
        room,
        *(
            of(room, leg, what, place / 10, number=number)
            for place, what in enumerate(said)
            for number, leg in enumerate(legs)
        ),
    )
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, "trace", CONVERSATION, "--svg", str(room.home / "x.svg")],
        env=room.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()

    assert ran.returncode == 0, ran.stderr
    mebibytes = float(ran.stderr.splitlines()[-1])
    assert len(lines) == 10_000
    assert mebibytes < 250
    assert (room.home / "x.svg").stat().st_size < 5 << 20


MEASURED = """
import os, re, sys
from pathlib import Path
leave = os._exit
def tell(status):
    sys.stdout.flush()
    (peak,) = re.findall("VmHWM: *([0-9]+) kB", Path("/proc/self/status").read_text().replace("\\t", " "))
    print(int(peak) / 1024, file=sys.stderr, flush=True)
    leave(status)
os._exit = tell
from voicectl.__main__ import main
main()
"""


def test_of_too_many_events_the_last_are_traced_and_the_rest_is_reported(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(room, *(of(room, LEG, "ringing", second, number=second) for second in range(30)))
    monkeypatch.setattr("voicectl.core.timeline.sources.MAX_EVENTS", 20)
    ran = room(f"trace {LEG} -o json")

    assert [each["events"] for each in ran.json["entries"]] == [[number] for number in range(11, 31)]
    assert "Events before the last 20 were left out." in ran.stderr


def test_of_too_many_legs_only_some_are_requested_which_is_reported(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    legs = [f"{number:08x}-5e6f-4788-99aa-bbccddeeff00" for number in range(14)]
    keep(room, *(of(room, leg, "started") for leg in legs), of(room, legs[0], "busy", 1))
    ran = room(f"trace {CONVERSATION} -o json")

    assert len(ran.json["legs"]) == 14
    assert "Only 10 of 13 records of other legs were requested." in ran.stderr
    assert len(room.requests("getCall")) <= 10
    monkeypatch.setattr("voicectl.core.timeline.sources.MAX_LEGS", 5)
    few = room(f"trace {CONVERSATION} -o json")
    assert len(few.json["legs"]) == 5
    assert "Only 5 other legs are shown; 14 were found." in few.stderr
