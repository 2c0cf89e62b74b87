"""``bridge_engineer.sh``: the engineer on call joins a customer's call, and no party is dropped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from tests.support.calls import PARTNER, connected
from tests.support.room import BUSY, PERSON, Room
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.clock import SystemClock

SCRIPT = Path(__file__).with_name("bridge_engineer.sh")
ENGINEER = "447700900003"
ROOM = "incident-17"


@pytest.fixture
def machine(start_room: StartRoom) -> Room:
    """A machine in a rehearsal whose clock runs at twenty times the normal speed."""
    room = start_room(clock=SystemClock(), speed=20.0)
    room.environ |= {"VOICECTL_SANDBOX": room.url}
    return room


def bridge(room: Room, customer: str = PERSON, engineer: str = ENGINEER) -> tuple[int, list[str], str]:
    """Return the exit status, the lines on standard output, and the remarks."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["sh", str(SCRIPT), customer, engineer, ROOM],
        env=room.environ | {"PATH": path},
        cwd=room.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


def heard(room: Room, leg: str) -> list[dict[str, Any]]:
    return [each for each in room(f"sandbox hear {leg} -o json").json if each["kind"] == "speech"]


def pair(room: Room) -> tuple[str, str]:
    """A customer and an agent, joined by a ``connect``."""
    return connected(room, wait=lambda: len(room("call list --status answered").rows) == 2)


def test_customer_agent_and_engineer_are_connected_and_hear_who_joined(machine: Room) -> None:
    customer, agent = pair(machine)

    code, lines, _ = bridge(machine)

    assert code == 0
    *shown, engineer = lines
    assert {line.split("\t")[0] for line in shown} == {customer, agent, engineer}
    assert {line.split("\t")[1] for line in shown} == {"answered"}
    for leg in (customer, agent, engineer):
        assert heard(machine, leg)[-1]["text"] == "The engineer on call has joined."


def test_a_busy_engineer_leaves_the_others_connected(machine: Room) -> None:
    customer, agent = pair(machine)

    code, lines, said = bridge(machine, engineer=BUSY)

    assert (code, lines) == (11, [])
    assert f"{BUSY} did not answer; the others are in {ROOM}" in said
    rows = machine(f"conversation show {ROOM}").rows
    assert {row[0] for row in rows} == {customer, agent}
    assert "cannot be reached" in heard(machine, customer)[-1]["text"]


def test_a_customer_in_no_call_or_in_several_is_not_guessed(machine: Room) -> None:
    assert bridge(machine)[0] == 4
    legs = [machine.call(options="--join lobby") for _ in range(2)]

    code, lines, said = bridge(machine)

    assert (code, lines) == (4, [])
    assert all(leg in said for leg in legs)
    assert not machine.requests("updateCall")
    assert PARTNER not in said
