"""The rules of waiting that ``wait`` and ``watch --for`` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.kept import LEG, EventfulClock, keep, status
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import Canned, Request, page, reply

GONE = reply(404, {"title": "Not Found"})
OTHER = "1a8b1111-5e6f-4788-99aa-bbccddeeff00"
LEGS = [f"{number:08x}-4a51-4f6b-86e1-46edebcf9356" for number in range(20)]

Later = tuple[float, Callable[[Room], object]]


def says(status: str, uuid: str = LEG, **fields: Any) -> bytes:
    return reply(body={"uuid": uuid, "status": status} | fields)


@pytest.fixture(params=["wait", "watch"])
def verb(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    home: Path,
    application: Application,
    line: str,
    *answers: Any,
    kept: list[dict[str, Any]] | None = None,
    later: Later | None = None,
) -> tuple[Ran, Canned, float]:
    """Run a command against canned answers, and return its result, the requests and the time taken."""
    with Canned(*answers) as server:
        room = machine(home, application, server.url)
        room.clock = clock = EventfulClock()
        if kept is not None:
            keep(room, *kept)
        if later is not None:
            clock.after(later[0], lambda: later[1](room))
        return room(line), server, clock.passed


def test_the_api_is_asked_once_however_short_the_timeout(
    tmp_path: Path, application: Application, verb: str
) -> None:
    ran, server, took = run(
        tmp_path, application, f"{verb} {LEG} --for answered --timeout 0", says("ringing")
    )

    assert (ran.exit_code, ran.rows[0][:2], len(server.requests)) == (8, [LEG, "ringing"], 1)
    assert took < 0.1


def test_an_empty_list_of_legs_succeeds_at_once(room: Room) -> None:
    ran = room("wait - --for answered -o json", stdin="")

    assert (ran.exit_code, ran.json, room.requests()) == (0, [], [])


def test_an_event_that_is_slightly_late_shows_the_answer(
    tmp_path: Path, application: Application, verb: str
) -> None:
    def answer(room: Room) -> None:
        keep(room, status("answered", second=2))

    ran, _, took = run(
        tmp_path,
        application,
        f"{verb} {LEG} --for answered",
        says("completed"),
        kept=[status("ringing", leg=OTHER)],
        later=(0.5, answer),
    )

    assert ran.exit_code == 0
    assert took < 1
    ran, _, took = run(
        tmp_path / "no event",
        application,
        f"{verb} {LEG} --for answered",
        says("completed"),
        kept=[status("ringing", leg=OTHER)],
    )
    assert ran.exit_code == 11
    assert took < 1.5


def test_a_leg_that_is_no_longer_known_is_11_and_shown_as_last_seen(
    tmp_path: Path, application: Application, verb: str
) -> None:
    ran, *_ = run(tmp_path, application, f"{verb} {LEG} --for ended", says("answered"), GONE)

    assert (ran.exit_code, ran.rows[0][:2]) == (11, [LEG, "answered"])
    assert "no longer has a record of leg" in ran.stderr


def test_a_leg_that_only_events_know_can_be_waited_for(
    tmp_path: Path, application: Application, verb: str
) -> None:
    ran, _, took = run(
        tmp_path,
        application,
        f"{verb} {LEG} --for ended",
        says("answered"),
        GONE,
        kept=[status("answered")],
        later=(40, lambda room: keep(room, status("completed", second=40))),
    )

    assert (ran.exit_code, ran.rows[-1][:2]) == (0, [LEG, "completed"])
    assert took == pytest.approx(40, abs=0.3)


def test_the_api_may_fail_for_a_leg_that_events_report(
    tmp_path: Path, application: Application, verb: str
) -> None:
    def answer(request: Request) -> bytes:
        return reply(503) if LEG in request.path else says("answered", OTHER)

    ran, *_ = run(
        tmp_path,
        application,
        f"{verb} {LEG} {OTHER} --for answered",
        answer,
        kept=[status("ringing")],
        later=(20, lambda room: keep(room, status("answered", second=20))),
    )

    assert ran.exit_code == 0
    assert ran.stderr.count("warning: ") == 1


def test_many_legs_are_found_in_the_list(tmp_path: Path, application: Application, verb: str) -> None:
    def answer(request: Request) -> bytes:
        if request.query.get("status") != "answered":
            return reply(200, page())
        return reply(200, page(*({"uuid": uuid, "status": "answered"} for uuid in LEGS)))

    ran, server, _ = run(tmp_path, application, f"{verb} {' '.join(LEGS)} --for answered", answer)

    assert (ran.exit_code, [row[0] for row in ran.rows]) == (0, LEGS)
    assert len(server.requests) <= 4


def test_many_legs_that_have_ended_are_requested_at_once(
    tmp_path: Path, application: Application, verb: str
) -> None:
    def answer(request: Request) -> bytes:
        uuid = request.path.rpartition("/")[2]
        return says("completed", uuid) if uuid in LEGS else reply(200, page())

    ran, _, took = run(tmp_path, application, f"{verb} {' '.join(LEGS)} --for ended --timeout 1", answer)

    assert (ran.exit_code, [row[:2] for row in ran.rows]) == (0, [[uuid, "completed"] for uuid in LEGS])
    assert took < 1


def test_a_wait_for_a_status_that_only_events_report_says_that_none_could_come(room: Room) -> None:
    keep(room, status("ringing"))

    leg = room(f"call create --to {PERSON} --talk Hello --join room -q --wait human --timeout 5")

    assert leg.exit_code == 8
    assert leg.stderr.startswith(
        "warning: Only events report 'human', and no receiver is running on this machine"
    )
    ran = room(f"wait {leg.stdout.strip()} --for human --timeout 5")
    assert ran.exit_code == 8
    assert "no receiver is running on this machine. To start one: voicectl webhook serve" in ran.stderr


def test_a_misspelt_status_is_refused_with_a_suggestion(room: Room) -> None:
    ran = room("wait abcd --for anwsered")

    assert ran.exit_code == 2
    assert "'anwsered' is not a status to wait for. Did you mean answered?" in ran.stderr
