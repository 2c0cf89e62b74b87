"""Several targets: the effect of one failure on the others and on the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import Application, machine
from tests.support.room import Ran
from tests.support.servers import Canned, Request, page, reply
from voicectl.voice.call import plain

LEGS = [f"00000000-0000-4000-8000-{number:012}" for number in range(5)]
NUMBERS = [f"44770090000{number}" for number in range(5)]
DONE = reply(204)
UNKNOWN = reply(500)


class Platform:
    """Answers the changes in turn with *statuses*, and has no records."""

    def __init__(self, *statuses: int) -> None:
        self.left = list(statuses)

    def __call__(self, request: Request) -> bytes:
        if request.method == "GET":
            return reply(body=page())
        status = self.left.pop(0)
        return reply(status, {"uuid": LEGS[len(self.left)], "status": "started"} if status == 201 else b"")


def records(ran: Ran) -> list[dict[str, Any]]:
    return ran.json if ran.stdout else []


def changes(server: Canned) -> int:
    return sum(request.method != "GET" for request in server.requests)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("verb", ["mute", "hangup", "move"])
def test_refused_credentials_stop_everything_with_one_message(
    tmp_path: Path, application: Application, verb: str, status: int
) -> None:
    with Canned(Platform(204, 204, status)) as server:
        room = machine(tmp_path, application, server.url)
        line = " ".join([verb, *LEGS, *(["room", "--no-wait"] if verb == "move" else []), "-o json"])
        ran = room(line)

    assert ran.exit_code == 3
    assert [record["uuid"] for record in ran.json] == LEGS[:2]
    assert len(ran.stderr.splitlines()) == 1
    assert ran.error["http_status"] == status
    assert changes(server) == 3


@pytest.mark.parametrize("options", ["", "--wait answered", "-q", "--wait answered -q"])
def test_refused_credentials_stop_calls_not_yet_placed(
    tmp_path: Path, application: Application, options: str
) -> None:
    with Canned(Platform(201, 201, 401)) as server:
        room = machine(tmp_path, application, server.url)
        to = " ".join(f"--to {number}" for number in NUMBERS)
        ran = room(f"call create {to} --talk Hi {options}")

    assert ran.exit_code == 3
    assert [line.split("\t")[0] for line in ran.stdout.splitlines()] == [LEGS[2], LEGS[1]]
    assert ran.stderr.count("refused the credentials") == 1
    assert changes(server) == 3


def test_an_unreadable_key_stops_everything_with_one_message(
    tmp_path: Path, application: Application
) -> None:
    with Canned(Platform()) as server:
        room = machine(tmp_path, application, server.url)
        (room.config / "keys" / "test.pem").chmod(0o644)
        for line in (f"mute {' '.join(LEGS)}", "call create --to 447700900001 --to 447700900002 --talk Hi"):
            ran = room(f"{line} -o json")
            assert ran.exit_code == 3
            assert len(ran.stderr.splitlines()) == 1
    assert server.requests == []


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([204, 204, 204], 0),
        ([400, 400, 400], 5),
        ([400, 204, 204], 10),
        ([400, 404, 400], 10),
        ([404, 404, 404], 4),
        ([500, 204, 204], 12),
        ([500, 400, 404], 12),
        ([500, 500, 500], 12),
        ([500, 401], 12),
        ([400, 401], 3),
        ([204, 500, 403], 12),
    ],
)
def test_the_exit_status_of_several(
    tmp_path: Path, application: Application, statuses: list[int], code: int
) -> None:
    with Canned(Platform(*statuses)) as server:
        ran = machine(tmp_path, application, server.url)(f"move {' '.join(LEGS[:3])} room --no-wait -o json")

    assert ran.exit_code == code
    assert len(records(ran)) == statuses.count(204)
    assert changes(server) == len(statuses)
    assert len(ran.stderr.splitlines()) == len(statuses) - statuses.count(204)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([201, 201, 201], 0),
        ([400, 400, 400], 5),
        ([201, 422, 201], 10),
        ([500, 201, 201], 12),
        ([500, 401], 12),
        ([201, 401], 3),
        ([400, 500, 401], 12),
    ],
)
def test_the_exit_status_of_several_calls(
    tmp_path: Path, application: Application, statuses: list[int], code: int
) -> None:
    with Canned(Platform(*statuses)) as server:
        to = " ".join(f"--to {number}" for number in NUMBERS[:3])
        ran = machine(tmp_path, application, server.url)(f"call create {to} --talk Hi -o json")

    assert ran.exit_code == code
    assert len(records(ran)) == statuses.count(201)
    assert changes(server) == len(statuses)


@pytest.mark.parametrize(
    ("statuses", "record", "code"),
    [
        ([500, 201], "answered", 12),
        ([500, 201], "busy", 12),
        ([400, 201], "answered", 10),
        ([400, 201], "busy", 10),
        ([201, 201], "busy", 11),
    ],
)
def test_a_wait_does_not_hide_an_earlier_failure(
    tmp_path: Path, application: Application, statuses: list[int], record: str, code: int
) -> None:
    platform = Platform(*statuses)

    def answer(request: Request) -> bytes:
        if request.method == "GET" and request.path != "/v1/calls":
            return reply(body={"uuid": request.path.rpartition("/")[2], "status": record})
        return platform(request)

    with Canned(answer) as server:
        to = " ".join(f"--to {number}" for number in NUMBERS[:2])
        ran = machine(tmp_path, application, server.url)(
            f"call create {to} --talk Hi --wait answered -o json"
        )

    assert ran.exit_code == code
    assert [each["status"] for each in ran.json] == [record] * statuses.count(201)


BAD = "not-a-leg"
AMBIGUOUS = f"to:{NUMBERS[0]}"
ABSENT = "abcd"


def crowd(request: Request) -> bytes:
    """Answer as a platform with two live legs to the same number, which performs every change."""
    if request.method != "GET":
        return reply(204)
    if request.path != "/v1/calls":
        return reply(body={"uuid": request.path.rpartition("/")[2], "status": "answered"})
    to = {"type": "phone", "number": NUMBERS[0]}
    shown = LEGS[1:3] if request.query["status"] == "answered" else []
    return reply(body=page(*({"uuid": leg, "status": "answered", "to": to} for leg in shown)))


COMMANDS = {
    "hangup": "",
    "mute": "",
    "unearmuff": "",
    "hangup --say Goodbye": "",
    "mute --undo": "",
    "move": "room",
    "move --no-wait": "room",
    "move --with-partners": "room",
    "wait --for answered": "",
}


@pytest.mark.parametrize("is_list", [False, True])
@pytest.mark.parametrize("bad", [BAD, AMBIGUOUS, ABSENT])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_target_is_looked_up_before_the_first_is_changed(
    tmp_path: Path, application: Application, command: str, bad: str, is_list: bool
) -> None:
    named = [LEGS[0], bad, LEGS[1][:-1] + "1"]
    with Canned(crowd) as server:
        words = [*command.split(), *(["-"] if is_list else named), *COMMANDS[command].split()]

        ran = machine(tmp_path, application, server.url)(
            [*words, *([] if command.startswith("wait") else ["--yes"])], stdin="\n".join(named)
        )

        assert (ran.exit_code, ran.stdout) == (2 if bad == BAD else 4, "")
        assert changes(server) == 0
    assert bad.removeprefix("to:") in ran.stderr
    assert "Nothing was done." in ran.stderr
    assert all((leg in ran.stderr) is (bad == AMBIGUOUS) for leg in LEGS[1:3])


def test_all_invalid_targets_are_reported_and_a_malformed_one_is_a_usage_error(
    tmp_path: Path, application: Application
) -> None:
    with Canned(crowd) as server:
        home = machine(tmp_path, application, server.url)

        ran = home(f"hangup {BAD} {ABSENT} {LEGS[0]} {AMBIGUOUS} {ABSENT} -o json")
        many = home(f"hangup {' '.join(f'leg-{n}' for n in range(50))}")

        assert (ran.exit_code, many.exit_code) == (2, 2)
        errors = [json.loads(line)["error"] for line in ran.stderr.splitlines()]
        assert [error["code"] for error in errors] == ["not_found", "ambiguous", "input"]
        assert len(many.stderr.splitlines()) <= 30
        assert changes(server) == 0


def test_a_target_unknown_only_to_the_platform_is_a_failed_one(
    tmp_path: Path, application: Application
) -> None:
    def answer(request: Request) -> bytes:
        return reply(404) if plain(LEGS[0]) in plain(request.path) else crowd(request)

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"mute {LEGS[0]} {LEGS[1]} -o json")

    assert (ran.exit_code, [record["uuid"] for record in ran.json]) == (10, [LEGS[1]])


def test_if_legs_cannot_be_looked_up_nothing_is_done(tmp_path: Path, application: Application) -> None:
    with Canned(lambda request: reply(500) if request.path == "/v1/calls" else crowd(request)) as server:
        ran = machine(tmp_path, application, server.url)(f"mute {LEGS[0]} {LEGS[1][:-1]}")

        assert (ran.exit_code, changes(server)) == (7, 0)


def test_a_leg_named_in_several_ways_is_one_target(tmp_path: Path, application: Application) -> None:
    plain = LEGS[1].replace("-", "").upper()
    with Canned(crowd) as server:
        ran = machine(tmp_path, application, server.url)(f"mute {LEGS[1]} {plain} {LEGS[1][:-1]}1 -o json")

        assert (ran.exit_code, len(ran.json), changes(server)) == (0, 1, 1)


def test_a_leg_named_twice_is_one_target(tmp_path: Path, application: Application) -> None:
    with Canned(Platform(400)) as server:
        ran = machine(tmp_path, application, server.url)(f"mute {LEGS[0]} {LEGS[0]} -o json")

    assert ran.exit_code == 5
    assert changes(server) == 1


def test_hangups_after_a_wait_are_all_tried_and_their_failures_reported(
    tmp_path: Path, application: Application
) -> None:
    platform = Platform(201, 201)

    def answer(request: Request) -> bytes:
        if request.method == "PUT":
            return reply(409 if request.path.endswith(LEGS[1]) else 204)
        if request.method == "GET":
            return reply(body={"uuid": request.path.rpartition("/")[2], "status": "ringing"})
        return platform(request)

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(
            f"call create --to {NUMBERS[0]} --to {NUMBERS[1]} --talk Hi --wait answered --timeout 3"
            " --hangup-on-timeout -o json"
        )

    assert ran.exit_code == 8
    assert [record["uuid"] for record in ran.json] == [LEGS[1], LEGS[0]]
    assert sum(request.method == "PUT" for request in server.requests) == 2
    assert f"hanging up {LEGS[1]}" in ran.stderr
