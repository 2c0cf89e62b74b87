"""Tables fit the terminal. ``tables/`` shows each listing command at six widths, as a terminal shows it.

After an intended change, update these files: ``UPDATE_TABLES=1 pytest tests/cli/output/test_tables.py``.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from rich.cells import cell_len

from tests.conftest import StartRoom
from tests.support.hostile import HOSTILE, unsafe
from tests.support.kept import keep, status
from tests.support.machines import machine
from tests.support.recordings import recorded
from tests.support.room import BUSY, BY_HAND, PERSON, Ran, Room
from tests.support.servers import LEG, Canned, Request, page, reply
from tests.support.tty import Tty
from voicectl import times
from voicectl.cli.output import views
from voicectl.cli.output.fit import fitted
from voicectl.cli.output.writer import Format, View, Writer
from voicectl.clock import SystemClock
from voicectl.core.calls.references import shortest
from voicectl.sandbox.account.identity import Identity
from voicectl.voice.call import plain

Application = tuple[Identity, RSAPrivateKey]

GOLDEN = Path(__file__).parent / "tables"
WIDTHS = (60, 79, 80, 100, 120, 200)
ROOMS = ("support-17", "قسم الدعم الفني", "🎉 party 山田", "long " * 60)
CHANGING = (
    (re.compile(r"5a4db0c5(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "5a4db0c5-0000-4000-8000-000000000000"),
    (re.compile(r"vc-[0-9a-f]{16}"), "vc-0123456789abcdef"),
    (re.compile(r"127\.0\.0\.1:\d{5}"), "127.0.0.1:12345"),
    (re.compile(r"127\.0\.0\.1:\d{1,4}…"), lambda found: "127.0.0.1:12345"[: len(found[0]) - 1] + "…"),
    (re.compile(r"SHA256:[0-9a-f]+"), "SHA256:"),
)
COMMANDS = (
    "sandbox log --limit 4",
    "call list",
    "call list --all",
    "call list --match-to '*1' --limit 2",
    "call reconcile",
    "conversation list",
    "conversation events support-17",
    "webhook list",
    "recording list",
    "profile list",
    "user list",
    "sandbox fault list",
    "commands --limit 8",
)


@pytest.fixture
def india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time zone, which is five and a half hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def busy(room: Room, india: None) -> Room:
    """A machine with output for every listing command, at 08:10 in its time zone."""
    for name in ROOMS:
        for number in (PERSON, "447700900002"):
            assert (
                room(["call", "create", "--to", number, "--join", name, "--wait", "answered"]).exit_code == 0
            )
    room(f"call create --to {BY_HAND} --talk Hi")
    room(f"call create --to {BUSY} --talk Hi --wait ended")
    room.clock.sleep(130)
    uuid = room("call list -q").stdout.split()[-1]
    keep(room, status("ringing", leg=uuid), status("answered", leg=uuid, second=2))
    keep(room, recorded("https://api.nexmo.com"), received=room.clock.time() - 86_400)
    assert room.sandbox is not None
    own = {"application_id": room.sandbox.identity.application_id, "region": "na-east"}
    room.sandbox.users.add("alice", {"display_name": "Alice Jones"}, **own)
    room.sandbox.users.add(ROOMS[1], {}, **own)
    room.sandbox.faults.add({"what": "lost-request", "on": "createCall", "times": 1})
    assert room("call create --to 447700900009 --talk Hi").exit_code == 12
    return room


def screen(ran: Ran, width: int) -> str:
    """Return the output of a command as a terminal of that width shows it."""
    terminal = pyte.Screen(width, 150)
    pyte.Stream(terminal).feed((ran.stdout + ran.stderr).replace("\n", "\r\n"))
    return "\n".join(line.rstrip() for line in terminal.display).rstrip()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Return a function that runs a command on a terminal of the given width."""

    def run(room: Room, line: str, width: int) -> Ran:
        monkeypatch.setenv("COLUMNS", str(width))
        env = {"NO_COLOR": "1"} | ({"VOICECTL_SANDBOX": room.url} if line.startswith("sandbox") else {})
        return room(line, terminal=True, env=env)

    return run


def test_every_list_is_a_table_at_every_width(busy: Room, at: Callable[..., Ran]) -> None:
    for command in COMMANDS:
        shown = ""
        for width in WIDTHS:
            ran = at(busy, command, width)
            assert ran.exit_code == 0, (command, ran.stderr)
            assert max(map(cell_len, ran.stdout.splitlines())) <= width, (command, width)
            assert "─" * 20 in ran.stdout.splitlines()[1], (command, width)
            shown += f"{'=' * 10} {width} columns\n{screen(ran, width)}\n"
        for pattern, instead in CHANGING:
            shown = pattern.sub(instead, shown)
        golden = GOLDEN / f"{re.sub('[^a-z]+', '-', command).strip('-')}.txt"
        if os.environ.get("UPDATE_TABLES"):
            golden.write_text(shown)
        assert shown == golden.read_text(), f"{command}: see the docstring of this module"


def test_lists_of_some_legs_are_tables_too(busy: Room, at: Callable[..., Ran]) -> None:
    one, other = busy("call list -q").stdout.split()[:2]
    assert busy(f"talk {one} Hello").exit_code == 0
    busy.clock.sleep(5)
    lines = (
        "conversation show support-17",
        f"wait {one} {other} --for answered",
        f"sandbox hear {one}",
        f"webhook replay 1 2 --to {busy.url}",
    )
    for line in lines:
        for width in WIDTHS:
            header, rule, *rows = at(busy, line, width).stdout.split("\n\n")[0].splitlines()
            assert set(rule) == {"─"}, line
            assert rows, line
            assert max(map(cell_len, (header, rule, *rows))) <= width, line


@pytest.mark.parametrize("width", [1, 5, 20, 39])
def test_a_very_narrow_terminal_shows_the_first_columns(
    busy: Room, at: Callable[..., Ran], width: int
) -> None:
    lines = at(busy, "call list", width).stdout.splitlines()

    first = [line.split()[0] for line in (lines[0], *lines[2:])]
    assert first[0] == "uuid"
    assert {len(uuid) for uuid in first[1:]} == {8}
    assert width < 20 or max(map(cell_len, lines)) <= width


def test_a_terminal_without_a_width_has_80_columns(now: Room) -> None:
    room = now
    with Tty(room, "call list --limit 1", columns=80, env={"NO_COLOR": "1"}) as tty:
        assert tty.end() == 0
    usual = tty.raw
    with Tty(room, "call list --limit 1", columns=0, env={"NO_COLOR": "1"}) as tty:
        assert tty.end() == 0

    assert b"\xe2\x94\x80" * 80 in usual
    assert b"\xe2\x94\x80" * 80 in tty.raw


def test_wide_output_and_a_pipe_shorten_nothing(busy: Room, at: Callable[..., Ran]) -> None:
    leg = busy("call list -q").stdout.split()[0]
    wide = at(busy, "call list -o wide", 60).stdout
    piped = busy("call list -o table").stdout

    header = wide.splitlines()[0].split()
    assert set(header) == {*views.LISTED.columns, "room", "age"}
    assert piped.splitlines()[0].split() == list(views.LISTED.table)
    for shown in (wide, piped):
        assert leg in shown
        assert ("long " * 60).strip() in shown
        assert "…" not in shown


def test_the_help_names_the_columns_in_the_order_of_their_priority(bare: Room) -> None:
    help_text = " ".join(bare("call list --help").stdout.split())

    assert (
        "Table columns (a narrow terminal shows only the first few): uuid, status, from, to, room, age,"
        " direction, duration." in help_text
    )


def test_requested_fields_are_never_left_out(busy: Room, at: Callable[..., Ran]) -> None:
    fields = "uuid,conversation_uuid,room,status"
    ran = at(busy, f"call list --fields {fields}", 40)

    assert ran.stdout.splitlines()[0].split() == fields.split(",")


def test_ids_are_shortened_as_long_as_they_are_unique_among_all_listed_legs(
    at: Callable[..., Ran], serve: Serve
) -> None:
    same = "63f61863-4a51-4f6b-86e1-46edebcf9357"
    serve.answer = lives(
        {"uuid": LEG, "to": {"number": "1"}},
        {"uuid": same, "to": {"number": "2"}},
        {"uuid": "0" * 32, "to": {"number": "2"}},
        {"uuid": "not an id", "to": {"number": "2"}},
    )

    ran = at(serve.room, "call list --match-to 2", 120)

    assert [line.split("  ")[0] for line in ran.stdout.splitlines()[2:]] == [same, "00000000", "not an id"]


def test_a_shortened_id_is_accepted_as_a_leg(voicectl: Room) -> None:
    voicectl.call()
    voicectl.call("447700900002")
    shown = [
        line.split()[0]
        for line in voicectl("call list", terminal=True, env={"NO_COLOR": "1"}).stdout.splitlines()
    ][2:]

    assert {len(each) for each in shown} == {8}
    assert [voicectl(f"mute {each}").exit_code for each in shown] == [0, 0]


@pytest.mark.parametrize(
    ("uuids", "short"),
    [
        ([LEG], [LEG[:8]]),
        ([LEG, LEG[:-1] + "0"], [LEG, LEG[:-1] + "0"]),
        ([LEG, LEG[:9] + "5" + LEG[10:]], [LEG[:10], LEG[:9] + "5"]),
        ([LEG, LEG.upper()], [LEG[:8]]),
        ([LEG, plain(LEG[:9]) + "f" * 24], [LEG[:10], plain(LEG)[:8] + "f"]),
        (["../x", LEG], [LEG[:8]]),
        ([], []),
    ],
)
def test_shortest_unique_prefixes(uuids: list[str], short: list[str]) -> None:
    found = shortest(uuids)

    assert sorted(each.lower() for each in found.values()) == sorted(short)
    assert all(uuid.startswith(beginning) for uuid, beginning in found.items())


@pytest.fixture
def now(start_room: StartRoom) -> Room:
    """A machine on the machine's own clock, with a leg in a room that has a long Arabic name."""
    room = start_room(clock=SystemClock(), speed=20)
    room(["call", "create", "--to", PERSON, "--join", "قسم الدعم الفني العربي" * 3, "--wait", "answered"])
    return room


# names of rooms


class Serve:
    """A machine whose platform gives the answers that a test sets."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.answer: Callable[[Request], bytes] = lambda _: reply(200, page())


@pytest.fixture
def serve(tmp_path: Path, application: Application) -> Iterator[Serve]:
    current: list[Serve] = []
    with Canned(lambda request: current[0].answer(request)) as server:
        current.append(Serve(machine(tmp_path / "home", application, server.url)))
        yield current[0]


def lives(*records: dict[str, Any], rooms: dict[str, str] | None = None) -> Callable[[Request], bytes]:
    """Return a platform with these answered legs and these rooms, whose names are given by id."""
    named = [{"id": id_, "name": name, "state": "ACTIVE"} for id_, name in (rooms or {}).items()]

    def answer(request: Request) -> bytes:
        if request.path == "/v1/conversations":
            return reply(200, {"page_size": 100, "_embedded": {"conversations": named}, "_links": {}})
        is_asked = request.query.get("status") in (None, "answered")
        return reply(200, page(*({"status": "answered"} | each for each in records if is_asked)))

    return answer


CON = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"


@pytest.mark.parametrize("name", [*HOSTILE.values(), "قسم " * 100, "👩\u200d👩\u200d👧 ☎️" * 50, "x" * 300])
@pytest.mark.parametrize("width", [20, 60, 80])
def test_any_room_name_keeps_the_table_aligned_and_safe(
    serve: Serve, at: Callable[..., Ran], name: str, width: int
) -> None:
    serve.answer = lives({"uuid": LEG, "conversation_uuid": CON}, {"uuid": "0" * 32}, rooms={CON: name})

    ran = at(serve.room, "call list --fields uuid,room,status", width)

    lines = ran.stdout.splitlines()
    assert len(lines) == 4
    assert not unsafe(ran.stdout + ran.stderr)
    assert width == 20 or max(map(cell_len, lines)) <= width
    ends = zip(lines[::2], ("status", "answered"), strict=True)  # the last column of the header and of a row
    where = {cell_len(line[: line.rindex(last)]) for line, last in ends}
    assert len(where) == 1, "the columns are aligned"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_characters_that_the_encoding_lacks_are_replaced(now: Room, encoding: str) -> None:
    with Tty(now, "call list", columns=80, env={"NO_COLOR": "1", "PYTHONIOENCODING": encoding}) as tty:
        assert tty.end() == 0

    assert "\\u0642" in tty.text
    assert "-" * 60 in tty.lines[1]
    assert encoding == "cp1252" or tty.raw.isascii()
    assert not any(tty.lines[4:])


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("hello", 5, "hello"),
        ("hello!", 5, "hell…"),
        ("山田太郎", 5, "山田…"),
        ("山田太郎", 4, "山 …"),
        ("🎉🎉🎉", 3, "🎉…"),
        ("hello", 1, "…"),
        ("hello", 0, ""),
    ],
)
def test_a_long_cell_is_truncated(text: str, width: int, shown: str) -> None:
    assert fitted(text, width) == shown
    assert cell_len(shown) <= width


def test_ten_thousand_legs_are_one_table() -> None:
    out = io.StringIO()
    view = View(columns=("uuid", "status", "room"))
    with Writer(
        out, view, Format.TABLE, is_many=True, fields=None, is_quiet=False, is_colored=True, width=60
    ) as writer:
        for number in range(10_000):
            uuid = f"{number * 7919:08x}-4a51-4f6b-86e1-46edebcf9357"
            writer.add({"uuid": uuid, "status": "answered", "room": f"قسم {number} " * 20})

    header, rule, *rows = out.getvalue().splitlines()
    assert len(rows) == 10_000
    assert len({row.split()[0] for row in rows}) == 10_000
    assert len(rule) == 60
    assert header.startswith("\x1b[1muuid\x1b[0m")
    assert max(cell_len(re.sub(r"\x1b\[[0-9]*m", "", row)) for row in rows) <= 60


# times


def test_times_are_local_and_short_on_a_terminal_only(busy: Room, at: Callable[..., Ran]) -> None:
    def received(ran: Ran) -> list[str]:
        assert ran.exit_code == 0, ran.stderr
        return [line.split("  ")[1].strip() for line in ran.stdout.splitlines()[2:]]

    piped = [row[1] for row in busy("webhook list").rows]
    assert piped[0].startswith("2026-02-02T02:42:35.")
    assert received(at(busy, "webhook list", 80)) == ["08:12:35", "08:12:35", "1 Feb 08:12"]
    for options in ("--utc", "-o wide", "-o wide --utc"):
        assert received(at(busy, f"webhook list {options}", 80)) == piped
    assert "08:12:35" not in busy("webhook list -o table").stdout


def test_a_single_record_has_local_times_too_and_whole_ids(busy: Room, at: Callable[..., Ran]) -> None:
    leg = busy("call list -q").stdout.split()[0]
    assert busy(f"hangup {leg}").exit_code == 0

    shown = at(busy, f"call show {leg}", 30).stdout
    assert f"uuid               {leg}\n" in shown
    assert re.search(r"^end_time  +08:12:\d\d$", shown, re.MULTILINE)
    assert "2026-02-02T02:42:" in at(busy, f"call show {leg} --utc", 80).stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-02-02T02:40:00.250Z", "08:10:00"),
        ("2026-02-01T18:30:00Z", "00:00:00"),
        ("2026-02-01T18:29:59Z", "1 Feb 23:59"),
        ("2025-12-31T18:30:00Z", "1 Jan 00:00"),
        ("2025-12-31T18:29:00Z", "31 Dec 2025"),
        ("2026-02-03T02:40:00+05:30", "3 Feb 02:40"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("-", "-"),
        ("soon", "soon"),
    ],
)
def test_local_times(india: None, text: str, shown: str) -> None:
    assert times.local(text, now=1_770_000_000.0) == shown
