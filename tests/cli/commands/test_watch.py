"""``watch`` in a pipe: a line for each change, on a clock that the test controls."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from tests.support.kept import CONVERSATION, LEG, EventfulClock, keep, status
from tests.support.machines import Application, machine
from tests.support.room import BUSY, BY_HAND, PERSON, RINGS, Ran, Room
from tests.support.servers import Canned, Request, page, reply
from voicectl.cli.commands.watch import VIEW
from voicectl.errors import Interrupted

SIGINT = 2
OTHER = "1a8b1111-5e6f-4788-99aa-bbccddeeff00"
HANGS_UP = "447700900503"

Happening = tuple[float, Callable[[], object]]


def interrupt() -> None:
    raise Interrupted(SIGINT)


def watch(room: Room, line: str, *happenings: Happening, seconds: float = 30) -> Ran:
    """Run ``watch`` until Ctrl-C after the given seconds; run each of *happenings* at its own time before."""
    clock = room.clock
    assert isinstance(clock, EventfulClock)
    for after, happen in (*happenings, (seconds, interrupt)):
        clock.after(after, happen)
    return room(f"watch {line}")


def shown(ran: Ran, *columns: str) -> list[tuple[str, ...]]:
    """Return these columns of each line."""
    places = [VIEW.columns.index(each) for each in columns]
    assert all(len(row) == len(VIEW.columns) for row in ran.rows)
    return [tuple(row[place] for place in places) for row in ran.rows]


@pytest.fixture
def room(start_room: StartRoom) -> Room:
    return start_room(clock=EventfulClock())


@contextmanager
def api(home: Path, application: Application, *answers: Any) -> Iterator[tuple[Room, Canned]]:
    """Return a machine whose API sends *answers*, on a clock that can run functions."""
    with Canned(*answers) as server:
        room = machine(home, application, server.url)
        room.clock = EventfulClock()
        yield room, server


def record(uuid: str = LEG, **fields: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "conversation_uuid": CONVERSATION,
        "status": "answered",
        "direction": "outbound",
        "to": {"type": "phone", "number": PERSON},
        "from": {"type": "phone", "number": "442079460000"},
    } | fields


def listing(*records: dict[str, Any]) -> Callable[[Request], bytes]:
    """Return an API that has only these live legs."""

    def answer(request: Request) -> bytes:
        leg = request.path.removeprefix("/v1/calls").strip("/")
        if leg:
            found = [each for each in records if each["uuid"] == leg]
            return reply(200, found[0]) if found else reply(404, {"title": "Not Found"})
        return reply(200, page(*(each for each in records if each["status"] == request.query["status"])))

    return answer


# lines


def test_each_change_is_a_line(room: Room) -> None:
    leg = room.call()
    room(f"mute {leg}")
    ending = room.call(HANGS_UP, "--talk Hello --join other", wait=None)

    ran = watch(room, "", (12, lambda: room(f"unmute {leg}")), (15, lambda: room(f"move {leg} lobby")))

    assert ran.exit_code == 130
    assert ran.stderr == ""
    mine = [row[1:] for row in shown(ran, "uuid", "status", "change", "muted") if row[0] == leg]
    assert mine == [
        ("answered", "seen", "true"),
        ("answered", "marks", "false"),
        ("answered", "conversation", "false"),
    ]
    theirs = [row[1:] for row in shown(ran, "uuid", "status", "change") if row[0] == ending]
    assert [each for each in theirs if each[1] != "conversation"] == [
        ("started", "seen"),
        ("ringing", "status"),
        ("answered", "status"),
        ("completed", "status"),
    ]
    times = [row[0] for row in shown(ran, "at")]
    assert times == sorted(times)


def test_a_line_shows_the_age_of_a_leg_and_its_source(room: Room) -> None:
    ours = room.call()
    room.clock.sleep(200)
    theirs = room("sandbox ring --to 442079460000 -q", env={"VOICECTL_SANDBOX": room.url}).stdout.strip()

    ran = watch(room, "", seconds=1)

    ages = {row[0]: row[1:] for row in shown(ran, "uuid", "age", "since", "since_source")}
    assert ages[ours] == ("3m", "2026-02-02T02:40:00Z", "journal")
    assert ages[theirs][0].startswith(">")
    assert ages[theirs][2] == "first sight"


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_is_one_line_per_change_with_the_api_s_record(room: Room, form: str) -> None:
    leg = room.call()

    one = json.loads(watch(room, f"-o {form}", seconds=3).stdout)

    assert one["uuid"] == leg
    assert one["to"] == {"type": "phone", "number": PERSON}
    assert one["_links"]["self"]["href"].endswith(leg)
    assert (one["change"], one["muted"], one["status_source"]) == ("seen", None, "api")


def test_other_formats(room: Room) -> None:
    leg = room.call()

    assert watch(room, "-q", seconds=1).stdout == f"{leg}\n"
    assert watch(room, "--fields to.number,change", seconds=1).stdout == f"{PERSON}\tseen\n"
    assert watch(room, "-o table", seconds=1).stdout.split()[1:3] == [leg, "answered"]
    assert watch(room, "-o csv", seconds=1).stdout.startswith("uuid,status,direction,")
    assert room("watch --fields help").stdout.splitlines()[0] == "uuid"


def test_outside_text_is_escaped(tmp_path: Path, application: Application) -> None:
    hostile = record(status="answered", direction="\x1b[31m\u202e", to={"uri": "sip:\x07@x"})
    with api(tmp_path, application, listing(hostile)) as (room, _):
        ran = watch(room, "", seconds=1)
        lines = watch(room, "-o table", seconds=1)

    assert shown(ran, "direction", "to") == [("\\x1b[31m\\u202e", "sip:\\x07@x")]
    assert "\x1b" not in lines.stdout


# events


def test_events_and_api_records_form_one_stream(room: Room) -> None:
    leg = room.call(BY_HAND, wait=None)
    control = {"VOICECTL_SANDBOX": room.url}
    keep(room, status("started", leg=leg))

    ran = watch(
        room,
        "--interval 10",
        (3, lambda: keep(room, status("ringing", leg=leg, second=1))),
        (4, lambda: room(f"sandbox answer {leg}", env=control)),
        (14, lambda: keep(room, status("answered", leg=leg, second=4))),
        (15, lambda: keep(room, status("ringing", leg=leg, second=1), status("human", leg=leg, second=5))),
        (16, lambda: keep(room, status("completed", leg=leg, second=9, duration="5"))),
    )

    rows = [row for row in shown(ran, "status", "change", "status_source") if row[1] != "conversation"]
    assert rows == [
        ("started", "seen", "api"),
        ("ringing", "status", "event"),
        ("answered", "status", "api"),
        ("human", "status", "event"),
        ("completed", "status", "event"),
        ("completed", "disagreement", "event"),
    ]
    assert ran.rows[-1][-1] == "The API reports answered, but an event reports completed."
    assert {row[0] for row in shown(ran, "since_source")} == {"journal"}


def test_legs_that_only_events_know_are_seen_at_once_and_in_order(room: Room) -> None:
    keep(room, status("completed", leg=OTHER))  # of a call that had ended before

    ran = watch(
        room,
        "--interval 60",
        (5, lambda: keep(room, status("answered", second=9), status("started"), status("ringing", second=2))),
        seconds=20,
    )

    assert shown(ran, "uuid", "status", "change", "age") == [
        (LEG, "started", "seen", "5s"),
        (LEG, "ringing", "status", "5s"),
        (LEG, "answered", "status", "5s"),
    ]


def test_a_failing_store_is_reported_and_tried_again(room: Room) -> None:
    leg = room.call()
    keep(room, status("answered", leg=leg))
    (path,) = room.state.rglob("events.db")
    content = path.read_bytes()

    def spoil() -> None:
        for each in path.parent.glob("events.db*"):
            each.unlink()
        path.write_bytes(b"no database at all, but long enough" * 40)

    def mend() -> None:
        path.write_bytes(content)

    spoil()
    ran = watch(
        room,
        "",
        (10, mend),
        (20, lambda: keep(room, status("completed", leg=leg, second=9))),
    )

    assert ran.stderr.count("warning: Stored events cannot be read: ") == 1
    assert ran.stderr.count("The event store is working again.") == 1
    assert shown(ran, "status")[:2] == [("answered",), ("completed",)]


# Which legs are requested, and how often


def test_only_named_legs_are_requested_one_by_one(room: Room) -> None:
    leg, ending = room.call(), room.call(HANGS_UP, wait=None)
    room.call()
    before = len(room.requests())

    ran = watch(room, f"{leg} {ending[:8]}", seconds=60)

    assert {row[0] for row in ran.rows} == {leg, ending}
    asked = [str(each["operation"]) for each in room.requests()[before:]]
    assert asked[:4] == ["getCalls"] * 4  # for the beginning of an id
    assert set(asked[4:]) == {"getCall"}


def test_many_named_legs_are_found_in_the_list(tmp_path: Path, application: Application) -> None:
    records = [record(f"{each:08x}-4a51-4f6b-86e1-46edebcf9356") for each in range(40)]
    names = [each["uuid"] for each in records[:20]]
    with api(tmp_path, application, listing(*records)) as (room, server):
        ran = watch(room, " ".join(names), seconds=1)

    assert [row[0] for row in ran.rows] == names
    assert len(server.requests) == 4


def test_it_polls_less_often_while_nothing_changes(room: Room) -> None:
    room.call()
    before = len(room.requests("getCalls"))

    watch(room, "", seconds=120)
    quiet = len(room.requests("getCalls")) - before
    watch(room, "--interval 60", seconds=121)

    assert 4 * 12 <= quiet <= 4 * 16
    assert len(room.requests("getCalls")) - before - quiet == 4 * 3


def test_a_leg_that_ends_unseen_is_requested(room: Room) -> None:
    leg = room.call(HANGS_UP, wait=None)
    other = room.call(BUSY, wait=None)

    ran = watch(room, "--interval 20", seconds=50)

    assert [row for row in shown(ran, "uuid", "status") if row[0] == leg][-1] == (leg, "completed")
    assert [row for row in shown(ran, "uuid", "status") if row[0] == other][-1] == (other, "busy")


def test_a_leg_that_the_api_forgot_is_gone(tmp_path: Path, application: Application) -> None:
    answers = iter([reply(200, page(record())), *[reply(200, page())] * 7])
    gone = reply(404, {"title": "Not Found"})
    with api(
        tmp_path,
        application,
        lambda request: gone if request.path.startswith("/v1/calls/") else next(answers),
    ) as (
        room,
        _,
    ):
        ran = watch(room, "", seconds=2.5)

    assert shown(ran, "uuid", "status", "change") == [(LEG, "answered", "seen"), (LEG, "answered", "gone")]


def test_a_conversation_is_watched_by_its_name_or_its_id(room: Room) -> None:
    leg = room.call(PERSON, "--talk Hello --join support-17")
    room.call(PERSON, "--talk Hello --join other")
    conversation = room(f"call show {leg} --fields conversation_uuid").stdout.strip()

    for named in ("support-17", conversation):
        ran = watch(room, f"--conversation {named}", (5, lambda: room(f"move {leg} elsewhere")), seconds=20)
        assert [row[0] for row in shown(ran, "uuid")] == [leg, leg]
        assert [row[0] for row in shown(ran, "change")] == ["seen", "conversation"]
        room(f"move {leg} support-17")


def test_legs_are_watched_by_their_numbers_and_direction(room: Room) -> None:
    ours = room.call("447700900031")
    room.call("447700900042")
    theirs = room("sandbox ring --to 442079460000 --from 447700900031 -q", env={"VOICECTL_SANDBOX": room.url})

    for line, leg in (
        ("--match-to '*0031'", ours),
        ("--match-to +447700900031 --direction outbound", ours),
        ("--match-from 4477* --lines", theirs.stdout.strip()),
        ("--direction inbound", theirs.stdout.strip()),
    ):
        assert {row[0] for row in watch(room, line, seconds=3).rows} == {leg}, line


def test_a_leg_that_no_longer_has_the_watched_status_is_shown_once_more(room: Room) -> None:
    leg = room.call(BY_HAND, wait=None)
    room.call()
    control = {"VOICECTL_SANDBOX": room.url}

    ran = watch(
        room,
        "--status ringing",
        (9, lambda: room(f"sandbox answer {leg}", env=control)),
        (20, lambda: room(f"hangup {leg}")),
        seconds=40,
    )

    rows = [row for row in shown(ran, "uuid", "status", "change") if row[2] != "conversation"]
    assert rows == [(leg, "ringing", "seen"), (leg, "answered", "status")]


def test_for_waits_only_for_the_legs_that_the_options_select(room: Room) -> None:
    room.call(RINGS, wait=None)
    leg = room.call("447700900031", wait=None)

    ran = watch(room, "--match-to '*0031' --for answered", seconds=60)

    assert (ran.exit_code, {row[0] for row in ran.rows}) == (0, {leg})


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--timeout 5", 2),
        ("--status completed", 2),
        ("--match-to ''", 2),
        (f"{LEG} --match-to 4477*", 2),
        ("--for nonsense", 2),
        ("--for human", 2),
        ("--interval 0", 2),
        ("--interval soon", 2),
        (f"{LEG} --conversation {CONVERSATION}", 2),
        ("--conversation no-such-room", 4),
        ("--conversation CON-1", 2),
        (f"{LEG}", 4),
        ("1234", 4),
        ("../x", 2),
        ("- -", 2),
        ("-", 2),
    ],
)
def test_invalid_arguments_are_refused(room: Room, line: str, code: int) -> None:
    ran = watch(room, line)

    assert (ran.exit_code, ran.stdout) == (code, "")


def test_legs_are_read_from_a_list(room: Room) -> None:
    leg = room.call()
    room.call()

    ran = room("watch - --for answered", stdin=f"{leg}\tanswered\n")

    assert (ran.exit_code, [row[0] for row in ran.rows]) == (0, [leg])


# --for


def test_it_ends_once_every_leg_has_the_status(room: Room) -> None:
    legs = [room.call(HANGS_UP, wait=None), room.call(HANGS_UP, wait=None)]

    ran = watch(room, f"{' '.join(legs)} --for ended --interval 1", seconds=60)

    assert ran.exit_code == 0
    assert [row[0] for row in shown(ran, "status")][-2:] == ["completed", "completed"]
    assert room("watch --for ended").exit_code == 0  # none is left


def test_it_is_8_if_that_takes_too_long(room: Room) -> None:
    leg = room.call(RINGS, wait=None)
    began = room.clock.monotonic()

    ran = watch(room, f"{leg} --for answered --timeout 20")

    assert ran.exit_code == 8
    assert room.clock.monotonic() - began == pytest.approx(20, abs=0.1)
    assert "did not reach 'answered' within 20 s" in ran.stderr
    none = watch(room, "--for completed --timeout 1 --conversation " + CONVERSATION)
    assert (none.exit_code, none.stdout) == (8, "")
    assert "No live leg appeared within 1 s, so none reached 'completed'." in none.stderr


def test_it_is_11_if_a_leg_ends_with_another_status(room: Room) -> None:
    leg, other = room.call(BUSY, wait=None), room.call(PERSON, wait=None)

    ran = watch(room, f"{leg} {other} --for answered")

    assert ran.exit_code == 11
    assert "ended with status busy, and did not reach 'answered'" in ran.stderr
    assert (other, "answered") in shown(ran, "uuid", "status")


def test_an_event_ends_it_even_if_it_is_slightly_late(room: Room) -> None:
    leg = room.call(HANGS_UP, "--talk Hello --join room", wait=None)
    keep(room, status("started", leg=leg))

    ran = watch(
        room, f"{leg} --for human --interval 1", (4, lambda: keep(room, status("human", leg=leg, second=3)))
    )

    assert ran.exit_code == 0
    assert shown(ran, "status")[-1] == ("human",)


def test_a_leg_that_is_gone_is_11(tmp_path: Path, application: Application) -> None:
    with api(tmp_path, application, reply(200, record()), reply(404, {"title": "Not Found"})) as (room, _):
        ran = watch(room, f"{LEG} --for ended")

    assert ran.exit_code == 11
    assert "no longer has a record of leg" in ran.stderr


# An API that does not answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(503), "The API has not responded for"),
        (reply(429, {"title": "Too many"}, retry_after="59"), "Rate limited: no data from the API for"),
    ],
)
def test_it_continues_while_the_api_does_not_answer_for_a_minute(
    tmp_path: Path, application: Application, answer: bytes, said: str
) -> None:
    live = listing(record())
    is_down = False

    def down() -> None:
        nonlocal is_down
        is_down = not is_down

    with api(tmp_path, application, lambda request: answer if is_down else live(request)) as (room, server):
        keep(room, status("answered"))
        count = 0

        def asked() -> None:
            nonlocal count
            count = len(server.requests)

        ran = watch(
            room,
            "",
            (2, down),
            (30, lambda: keep(room, status("completed", second=30, duration="30"))),
            (62, asked),
            (62, down),
            seconds=90,
        )

    assert ran.exit_code == 130
    assert shown(ran, "status")[:2] == [("answered",), ("completed",)]
    assert ran.stderr.count(said) == 1
    assert ran.stderr.count("The API is answering again.") == 1
    assert count < 40


def test_it_starts_while_the_api_does_not_answer(tmp_path: Path, application: Application) -> None:
    live = listing(record())
    answers = itertools.count()
    down = reply(503)
    with api(tmp_path, application, lambda request: down if next(answers) < 9 else live(request)) as (
        room,
        _,
    ):
        ran = watch(room, "", seconds=60)
        never = watch(room, f"{LEG} --for answered --timeout 5", seconds=60)

    assert shown(ran, "uuid", "status") == [(LEG, "answered")]
    assert never.exit_code == 0


def test_it_is_7_if_no_request_was_answered_in_time(tmp_path: Path, application: Application) -> None:
    with api(tmp_path, application, reply(503)) as (room, _):
        ran = watch(room, f"{LEG} --for answered --timeout 5", seconds=60)

    assert (ran.exit_code, ran.stdout) == (7, "")


def test_refused_credentials_end_it(tmp_path: Path, application: Application) -> None:
    with api(tmp_path, application, reply(401, {"title": "Unauthorized"})) as (room, _):
        assert watch(room, "").exit_code == 3


# Many legs


def test_ten_thousand_legs_are_watched_within_the_shared_rate_limit(
    tmp_path: Path, application: Application
) -> None:
    numbers = range(10_000)
    records = [record(f"{each:08x}-4a51-4f6b-86e1-46edebcf9356") for each in numbers]
    pages = [
        reply(200, page(*records[at : at + 100], following=f"/v1/calls?record_index={at // 100 + 1}"))
        for at in numbers[:-100:100]
    ]
    pages.append(reply(200, page(*records[-100:])))
    none = reply(200, page())

    def answer(request: Request) -> bytes:
        if request.query.get("status", "answered") != "answered":
            return none
        return pages[int(request.query.get("record_index", 0))]

    with api(tmp_path, application, answer) as (room, server):
        began = room.clock.monotonic()
        ran = watch(room, "-q", seconds=60)

    assert len(set(ran.stdout.split())) == 10_000
    assert len(server.requests) / (room.clock.monotonic() - began) < 6


def test_it_says_whether_events_can_arrive_and_when_the_last_one_did(room: Room) -> None:
    keep(room, status("ringing"))
    room.clock.sleep(7200)
    other = room.call()
    line = f"watch {other} --for answered"
    silent = "No receiver ('webhook serve') is running on this machine; the last event came 2h ago.\n"

    assert silent in room(line).stderr
    with room.spawn("webhook serve --port 0 --allow-unsigned") as served:
        try:
            assert served.stderr is not None
            served.stderr.readline()
            assert "receiver" not in room(line).stderr
        finally:
            served.kill()
    assert silent in room(line).stderr  # it was killed, and could not announce its end


def test_on_a_machine_that_never_received_events_receivers_are_not_mentioned(room: Room) -> None:
    assert "receiver" not in room(f"watch {room.call()} --for answered").stderr


def test_a_store_filled_by_other_machines_says_nothing_of_a_receiver_here(room: Room, postgres: str) -> None:
    leg = room.call()

    assert "receiver" not in room(f"watch {leg} --for answered", env={"VOICECTL_STORE": postgres}).stderr
