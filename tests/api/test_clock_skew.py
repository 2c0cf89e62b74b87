"""A machine whose clock is wrong: voicectl signs with the time of the API, or reports how far off the clock is."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import Canned, Request, page, reply

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR


def run(room: Room, skew: float, line: str = "call list -o json") -> Ran:
    """Run a command on a machine whose clock is *skew* seconds ahead of the API's."""
    return room(line, clock=FakeClock(room.clock.time() + skew))


@pytest.mark.parametrize("skew", [0, 2, -2, 4.9, 30, -30, 59, -7 * MINUTE, -14 * MINUTE])
def test_a_small_difference_goes_unnoticed(room: Room, skew: float) -> None:
    ran = run(room, skew)

    assert (ran.exit_code, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    "skew",
    [
        7 * MINUTE + 12,
        -(16 * MINUTE + 1),
        HOUR,
        -HOUR,
        23 * HOUR + 0.9,
        DAY,
        -DAY,
        DAY + 0.5,
        -DAY - 0.5,
    ],
)
def test_a_401_corrects_the_clock_and_the_request_is_signed_again(room: Room, skew: float) -> None:
    for line in ("call list -o json", f"call create --to {PERSON} --talk Hello -o json"):
        ran = run(room, skew, line)
        assert (ran.exit_code, ran.stderr) == (0, "")


@pytest.mark.parametrize("skew", [10 * MINUTE, -15 * MINUTE, HOUR])
def test_the_first_command_may_be_one_that_must_not_repeat(room: Room, skew: float) -> None:
    """A 401 changed nothing, so the call is placed once."""
    ran = run(room, skew, f"call create --to {PERSON} --talk Hello -o json")
    assert (ran.exit_code, ran.stderr) == (0, "")

    assert [call["uuid"] for call in run(room, skew, "call list --all -o json").json] == [ran.json["uuid"]]


@pytest.mark.parametrize("skew", [15 * MINUTE, -15 * MINUTE - 1])
def test_a_clock_is_corrected_without_any_file(room: Room, skew: float) -> None:
    leg = room(f"call create --to {PERSON} --talk Hello -o json").json["uuid"]
    (directory,) = room.state.iterdir()
    (directory / "clock-offset").mkdir()  # nothing can be stored there

    ran = run(room, skew, f"hangup {leg}")

    assert ran.exit_code == 0
    assert room(f"call show {leg} -o json").json["status"] == "cancelled"


def test_a_corrected_clock_is_detected_too(room: Room) -> None:
    assert run(room, -5 * HOUR).exit_code == 0
    assert list(room.state.rglob("clock-offset"))

    assert run(room, 0).exit_code == 0
    assert not list(room.state.rglob("clock-offset"))


def test_a_request_is_signed_again_only_once(tmp_path: Path, application: Application) -> None:
    """A server with a different ``Date`` each time is trusted only once."""
    hours = iter(range(1, 20))

    def refuse(_: Request) -> bytes:
        moment = FakeClock().time() + next(hours) * HOUR
        return reply(401, {"title": "Unauthorized"}, date=formatdate(moment, usegmt=True))

    with Canned(refuse) as server:
        ran = machine(tmp_path, application, server.url)(f"call create --to {PERSON} --talk Hello -o json")

    assert ran.exit_code == 3
    assert "This machine's clock is 2 h slow" in ran.error["hint"]
    first, second = [request.headers["authorization"] for request in server.requests]
    assert first != second


@pytest.mark.parametrize(
    ("skew", "words"),
    [(7 * MINUTE + 12, "7 min 12 s fast"), (-2 * HOUR - 1, "2 h 1 s slow"), (DAY, "24 h fast")],
)
def test_a_401_after_the_correction_is_reported_with_the_offset(
    tmp_path: Path, application: Application, skew: float, words: str
) -> None:
    date = formatdate(FakeClock().time() - skew, usegmt=True)
    with Canned(reply(401, {"title": "Unauthorized"}, date=date)) as server:
        room = machine(tmp_path, application, server.url)
        for requests in (2, 3):  # the second command signs for the right time at once
            ran = room("call list -o json")
            assert (ran.exit_code, len(server.requests)) == (3, requests)
            assert ran.error["hint"].startswith(
                "Check that the private key belongs to this application."
                f" This machine's clock is {words}; voicectl has already allowed for this."
            )


def test_a_403_is_final_whatever_the_clock(tmp_path: Path, application: Application) -> None:
    date = formatdate(FakeClock().time() + HOUR, usegmt=True)
    with Canned(reply(403, {"title": "Forbidden"}, date=date)) as server:
        ran = machine(tmp_path, application, server.url)("call list -o json")

    assert (ran.exit_code, len(server.requests)) == (3, 1)


@pytest.mark.parametrize(("skew", "words"), [(3 * DAY, "72 h fast"), (-400 * DAY, "9600 h slow")])
def test_a_difference_of_days_is_reported_but_not_corrected(room: Room, skew: float, words: str) -> None:
    """Otherwise a server could obtain tokens for any date."""
    for _ in range(2):
        ran = run(room, skew)
        assert ran.exit_code == 3
        assert f"This machine's clock is {words}" in ran.error["hint"]
        assert "next command" not in ran.error["hint"]


def test_a_call_refused_because_of_the_clock_is_not_in_doubt(room: Room) -> None:
    line = f"call create --to {PERSON} --talk Hello -o json --idempotency-key k"
    ran = run(room, 3 * DAY, line)
    assert ran.exit_code == 3
    assert run(room, 0, "call reconcile -o json").json == []

    ran = run(room, 0, line)
    assert ran.exit_code == 0
    assert "replayed" not in ran.json


def test_a_wrong_key_is_not_a_clock_problem(tmp_path: Path, application: Application) -> None:
    with Canned(reply(401, {"title": "Unauthorized"})) as server:
        ran = machine(tmp_path, application, server.url)("call list -o json")

    assert ran.exit_code == 3
    assert "Check that the private key belongs to this application." in ran.error["hint"]
    assert application[0].application_id in ran.error["hint"]
    assert "SHA256:" in ran.error["hint"]
    assert "clock" not in ran.error["hint"]


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Mon, 99 Foo 2026 99:99:99 GMT",
        "0",
        "Thu, 01 Jan 99999999 00:00:00 GMT",
        f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
        "\xff",
    ],
)
def test_an_invalid_date_changes_nothing(tmp_path: Path, application: Application, date: str) -> None:
    with Canned(reply(body=page(), date=date)) as server:
        room = machine(tmp_path, application, server.url)
        ran = room("call list")

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert not list(room.state.rglob("clock-offset"))


@pytest.mark.parametrize("content", [b"", b"x", b"nan", b"inf", b"1e300", b"\xff" * 100, b"9" * 5000])
def test_an_impossible_offset_is_learnt_again(room: Room, content: bytes) -> None:
    room("call list")
    (directory,) = room.state.iterdir()
    (directory / "clock-offset").write_bytes(content)

    assert (room("call list").exit_code, room("call list").stderr) == (0, "")
