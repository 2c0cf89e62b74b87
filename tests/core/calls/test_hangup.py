"""Hanging up is repeated until it succeeds or its time is up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.machines import Application, machine
from tests.support.room import BUSY, BY_HAND, Ran, Room
from tests.support.servers import LEG, Canned, reply

BAD_STATE = reply(400, {"type": "BAD_REQUEST", "error_title": "Bad Request"})
NOT_FOUND = reply(404, {"title": "Not Found"})
LIVE = reply(body={"uuid": LEG, "status": "answered"})
OVER = reply(body={"uuid": LEG, "status": "completed"})
BROKEN = reply(503)
DONE = reply(204)


def hangup(tmp_path: Path, application: Application, *answers: bytes) -> tuple[Ran, list[str], float]:
    """Hang up, and return the result, the requests sent, and the time taken."""
    with Canned(*answers) as server:
        room = machine(tmp_path, application, server.url)
        started = room.clock.monotonic()
        ran = room(f"hangup {LEG} -o json")
    return ran, [request.method for request in server.requests], room.clock.monotonic() - started


def test_a_call_that_was_just_created_is_hung_up_as_soon_as_the_platform_allows_it(
    start_room: StartRoom,
) -> None:
    room = start_room(settle=2)
    leg = room.call(BY_HAND, wait=None)
    ran = room(f"hangup {leg} -o json")

    assert ran.exit_code == 0, ran.stderr
    assert ran.json["outcome"] == "done"
    statuses = [entry["status"] for entry in room.requests("updateCall")]
    assert statuses[:-1] == [400] * (len(statuses) - 1) != []
    assert room(f"call show {leg} -o json").json["status"] == "cancelled"


def test_a_platform_that_refuses_for_20_seconds_is_taken_at_its_word(start_room: StartRoom) -> None:
    room = start_room(settle=60)
    leg = room.call(BY_HAND, wait=None)
    started = room.clock.monotonic()
    ran = room(f"hangup {leg} -o json")

    assert ran.exit_code == 5
    assert ran.error["http_status"] == 400
    assert 18 <= room.clock.monotonic() - started <= 21


def test_a_leg_that_has_ended_counts_as_done(room: Room) -> None:
    leg = room.call(BUSY, wait="ended")
    ran = room(f"hangup {leg} -o json")

    assert ran.exit_code == 0
    assert ran.json["outcome"] == "already"


def test_an_unknown_leg_is_4(room: Room) -> None:
    ran = room(f"hangup {LEG} -o json")

    assert (ran.exit_code, ran.stdout) == (4, "")
    assert room.url.removeprefix("http://").partition(":")[0] in ran.error["message"]


def test_a_lost_reply_is_followed_by_another_attempt(room: Room) -> None:
    leg = room.call()
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "lost-reply", "on": "updateCall", "times": 1})
    ran = room(f"hangup {leg} -o json")

    assert ran.exit_code == 0
    assert room(f"call show {leg} -o json").json["status"] == "completed"


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        pytest.param([BAD_STATE, LIVE, BAD_STATE, LIVE, DONE], "done", id="refused twice"),
        pytest.param([BAD_STATE, OVER], "already", id="refused since it is over"),
        pytest.param([NOT_FOUND, OVER], "already", id="unknown since it is over"),
        pytest.param([NOT_FOUND, LIVE, DONE], "done", id="unknown, and the record says live"),
        pytest.param([BAD_STATE, BROKEN, BROKEN, BROKEN, DONE], "done", id="the record cannot be read"),
        pytest.param([BAD_STATE, NOT_FOUND, NOT_FOUND, DONE], "done", id="too new for a record"),
        pytest.param([BROKEN, BROKEN, BROKEN, BROKEN, DONE], "done", id="broken four times"),
        pytest.param([BROKEN, BAD_STATE, LIVE, BROKEN, DONE], "done", id="broken and refused in turn"),
        pytest.param([reply(429), reply(429), DONE], "done", id="limited twice"),
        pytest.param([b"?\r\n", DONE], "done", id="an answer without sense"),
        pytest.param([reply(200, b"<html>"), DONE], "done", id="a page that is not the API's"),
    ],
)
def test_it_retries_until_it_succeeds(
    tmp_path: Path, application: Application, answers: list[bytes], outcome: str
) -> None:
    ran, methods, took = hangup(tmp_path, application, *answers)

    assert ran.exit_code == 0, ran.stderr
    assert ran.json["outcome"] == outcome
    assert len(methods) == len(answers)
    assert took <= 20


@pytest.mark.parametrize(
    ("answers", "status", "most"),
    [
        pytest.param([NOT_FOUND], 4, 3, id="unknown to both, by both spellings"),
        pytest.param([reply(401)], 3, 1, id="no credentials"),
        pytest.param([reply(403)], 3, 1, id="not allowed"),
        pytest.param([reply(409)], 5, 1, id="in conflict"),
        pytest.param([reply(302, location="/")], 7, 1, id="a redirect"),
        pytest.param([reply(429, retry_after="3600")], 6, 1, id="limited for an hour"),
        pytest.param([BAD_STATE, reply(401)], 3, 2, id="no credentials for the record"),
    ],
)
def test_permanent_errors_are_final(
    tmp_path: Path, application: Application, answers: list[bytes], status: int, most: int
) -> None:
    ran, methods, _ = hangup(tmp_path, application, *answers)

    assert (ran.exit_code, ran.stdout) == (status, "")
    assert len(methods) == most


def test_a_platform_that_is_broken_for_20_seconds_is_7(tmp_path: Path, application: Application) -> None:
    ran, methods, took = hangup(tmp_path, application, BROKEN)

    assert ran.exit_code == 7
    assert set(methods) == {"PUT"}
    assert 15 <= took <= 21


def test_it_takes_precedence_over_waiting_requests_and_needs_no_limiter(room: Room) -> None:
    leg = room.call()
    (pace,) = room.state.rglob("pace")
    now = room.clock.monotonic()
    pace.write_text(f"{now + 50:20.6f} {now + 50:20.6f}\n")
    slept = len(room.clock.slept)
    assert room(f"hangup {leg}").exit_code == 0
    assert room.clock.slept[slept:] == []

    other = room.call(wait=None)
    pace.unlink()
    pace.mkdir()
    ran = room(f"hangup {other}")
    assert ran.exit_code == 0
    assert "Requests are not rate limited" in ran.stderr
