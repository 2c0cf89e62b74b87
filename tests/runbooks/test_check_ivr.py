"""``check_ivr.sh``: a synthetic check of an IVR by keys, as cron runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.machines import Application
from tests.support.room import BUSY, BY_HAND, Room
from tests.support.waiting import PATIENCE_SECONDS, eventually
from tests.webhook.test_serve import Process, served
from voicectl.clock import SystemClock

SCRIPT = Path(__file__).with_name("check_ivr.sh")
KEYS = "12#"


@pytest.fixture
def machine(start_room: StartRoom) -> Room:
    """A machine in a rehearsal, whose calls advance only by ``sandbox advance``."""
    room = start_room(clock=SystemClock(), frozen=True)
    room.environ |= {"VOICECTL_SANDBOX": room.url, "VOICECTL_STATE_DIR": str(room.home / "state")}
    return room


def begin(room: Room, process: Process, number: str, seconds: int) -> subprocess.Popen[str]:
    environ = room.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EVENT_URL": f"http://127.0.0.1:{process.port}/webhooks/event",
    }
    words = ["sh", str(SCRIPT), number, KEYS, "sales", str(seconds)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, env=environ, cwd=room.home, stdout=pipe, stderr=pipe, text=True)


def ended(script: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status and the remarks, except the one about the rehearsal; there is no other output."""
    out, err = script.communicate(timeout=PATIENCE_SECONDS)
    assert out == ""
    said = [line for line in err.splitlines() if not line.startswith("rehearsal: ")]
    return script.returncode, "\n".join(said)


def legs(room: Room) -> list[str]:
    return [row[0] for row in room("call list").rows]


@pytest.mark.parametrize(("reply", "status"), [("This is sales.", 0), ("Please try again later.", 1)])
def test_it_hears_whether_the_menu_works(
    machine: Room, application: Application, reply: str, status: int
) -> None:
    with served(machine, application) as process, begin(machine, process, BY_HAND, 2) as script:
        (leg,) = eventually(lambda: legs(machine))
        assert machine("sandbox advance 1").exit_code == 0
        assert machine(f"sandbox answer {leg}").exit_code == 0
        eventually(
            lambda: any(each.get("digits") == KEYS for each in machine(f"sandbox hear {leg} -o json").json)
        )
        assert machine(f"sandbox say {leg} '{reply}'").exit_code == 0
        assert machine("sandbox advance 6").exit_code == 0

        found, said = ended(script)
        assert (found, bool(said)) == (status, bool(status)), said
        assert not said or "did not say 'sales' after 12#" in said
        eventually(lambda: not legs(machine))  # it hung up
        process.end()


def test_it_says_so_when_the_call_is_not_answered(machine: Room, application: Application) -> None:
    with served(machine, application) as process, begin(machine, process, BUSY, 3) as script:
        eventually(lambda: legs(machine))
        assert machine("sandbox advance 6").exit_code == 0
        status, said = ended(script)
        assert status == 11
        assert said.startswith(f"check_ivr: {BUSY} did not answer\n")
        assert "busy" in said
        process.end()
