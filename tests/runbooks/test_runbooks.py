"""Every runbook, run against a sandbox: the sounds that the legs hear, and the log."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import install
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running

RUNBOOKS = Path(__file__).parent
TWO_HOURS = 7200.0


class PastClock(SystemClock):
    """The machine's clock as it was a while ago.

    Args:
        behind: How many seconds ago.
    """

    def __init__(self, behind: float) -> None:
        self.behind = behind

    def time(self) -> float:
        return super().time() - self.behind

    def monotonic(self) -> float:
        return super().monotonic() - self.behind


@dataclass
class Rehearsal:
    """A runbook, and a machine with a sandbox for it; legs are made by ``room``, on a clock that may be set back."""

    script: Path
    room: Room
    clock: PastClock

    def run(self, **env: str) -> Ran:
        """Run the runbook to its end."""
        with self.start(**env) as child:
            out, err = child.communicate(timeout=PATIENCE_SECONDS)
        return Ran(child.returncode, out.decode(), err.decode())

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """Start it as from a terminal: Ctrl-C goes to all of its processes."""
        return subprocess.Popen(
            ["sh", str(self.script)],
            env=self.room.environ | env,
            cwd=self.room.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def party(self, words: str) -> Ran:
        """Act as the other side."""
        ran = self.room(f"sandbox {words} -o json", env={"VOICECTL_SANDBOX": self.room.url})
        assert ran.exit_code == 0, ran.stderr
        return ran

    def heard(self, leg: str) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = self.party(f"hear {leg}").json
        return heard

    def hears(self, listener: str, speaker: str, digit: str) -> bool:
        """Return True if *listener* hears a key that *speaker* presses; each digit is used once."""
        self.party(f"press {speaker} {digit}")
        self.party("advance 1s")
        return digit in [each.get("digits") for each in self.heard(listener)]

    def changes(self, action: str) -> list[str]:
        """Return the legs on which the log shows *action*, in order."""
        found = self.room.requests("updateCall")
        done = [each for each in found if each["status"] == 204 and each["body"]["action"] == action]
        return [each["path"].rpartition("/")[2] for each in done]


@contextmanager
def rehearsal(
    script: Path, home: Path, application: Application, *, behind: float = 0.0, **options: Any
) -> Iterator[Rehearsal]:
    """A runbook's rehearsal that started *behind* seconds ago; *options* are the sandbox's."""
    clock = PastClock(behind)
    sandbox = Sandbox(application[0], Options(**{"seed": 1, "limits": False} | options), clock=clock)
    with running(sandbox) as url:
        room = machine(home, application, url)
        room.sandbox = sandbox
        room.clock = clock  # type: ignore[assignment]
        room.environ["PATH"] = f"{install(home / 'bin')}:{room.environ['PATH']}"
        yield Rehearsal(script, room, clock)


def end_stuck_conversation(script: Path, home: Path, application: Application) -> None:
    with rehearsal(script, home, application, behind=TWO_HOURS + 300) as runbook:
        options = "--talk Hello --join support-17 --length-timer 5h"
        stuck = [runbook.room.call(f"44770090000{n}", options, wait=None) for n in range(2)]
        other = runbook.room.call(
            "447700900007", "--talk Hello --join support-18 --length-timer 5h", wait=None
        )
        runbook.clock.behind = 60
        young = runbook.room.call("447700900008", options, wait=None)
        runbook.clock.behind = 0
        assert all(call["status"] == "answered" for call in runbook.room("call list -o json").json)

        ran = runbook.run(ROOM="support-17", MESSAGE="Bye.")

        assert ran.exit_code == 0, ran.stderr
        assert ran.rows == [[leg, "hangup", "done"] for leg in stuck]
        assert runbook.changes("hangup") == stuck
        assert [runbook.heard(leg)[-1]["text"] for leg in stuck] == ["Bye.", "Bye."]
        assert [runbook.heard(leg)[-1]["text"] for leg in (young, other)] == ["Hello", "Hello"]
        assert {call["uuid"] for call in runbook.room("call list -o json").json} == {young, other}


def moderated_conference(script: Path, home: Path, application: Application) -> None:
    with rehearsal(script, home, application, frozen=True) as runbook:
        speaker, listener = (
            runbook.room.call(number, "--join all-hands", wait=None) for number in (PERSON, "447700900002")
        )
        late = runbook.room.call("447700900430", "--join all-hands", wait=None)  # answers after 30 s
        runbook.party("advance 5s")
        assert runbook.hears(speaker, listener, "1"), "before"

        with runbook.start(ROOM="all-hands", SPEAKER=speaker) as child:
            try:
                eventually(lambda: runbook.changes("mute") == [listener])
                runbook.party("advance 30s")
                eventually(lambda: runbook.changes("mute") == [listener, late])

                assert runbook.hears(listener, speaker, "2")
                assert runbook.hears(late, speaker, "3")
                assert not runbook.hears(speaker, listener, "4")
                assert not runbook.hears(speaker, late, "5")
            finally:
                os.killpg(child.pid, signal.SIGINT)
            out, err = child.communicate(timeout=PATIENCE_SECONDS)

        assert child.returncode == 0, err.decode()
        assert out.decode().splitlines() == [
            f"{listener}\tmute\tdone",
            f"{late}\tmute\tdone",
            f"{listener}\tunmute\tdone",
            f"{late}\tunmute\tdone",
        ]
        assert runbook.changes("unmute") == [listener, late]
        assert runbook.hears(speaker, late, "6"), "after"


def test_a_refused_conference_undoes_nothing(tmp_path: Path, application: Application) -> None:
    script = RUNBOOKS / "moderated_conference.sh"
    with rehearsal(script, tmp_path, application, frozen=True) as runbook:
        speaker, one, other = (
            runbook.room.call(number, "--join hall", wait=None)
            for number in (PERSON, "447700900002", "447700900003")
        )
        runbook.party("advance 5s")
        assert runbook.room(f"mute {one}").exit_code == 0

        assert runbook.run(ROOM="hall", SPEAKER=speaker, MOST="1").exit_code == 9
        assert runbook.run(ROOM="hall", SPEAKER="nonsense!").exit_code == 2
        assert runbook.changes("unmute") == []
        assert other not in runbook.changes("mute")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_conference_that_is_stopped_leaves_no_leg_muted(
    tmp_path: Path, application: Application, signum: signal.Signals
) -> None:
    script = RUNBOOKS / "moderated_conference.sh"
    with rehearsal(script, tmp_path, application, frozen=True) as runbook:
        speaker, listener = (
            runbook.room.call(number, "--join hall", wait=None) for number in (PERSON, "447700900002")
        )
        runbook.party("advance 5s")
        with runbook.start(ROOM="hall", SPEAKER=speaker) as child:
            try:
                eventually(lambda: runbook.changes("mute") == [listener])
            finally:
                child.send_signal(signum)  # only to the shell, as a service manager may do
            child.communicate(timeout=PATIENCE_SECONDS)
        assert runbook.changes("unmute") == [listener]


REHEARSALS = {
    "end_stuck_conversation": end_stuck_conversation,
    "moderated_conference": moderated_conference,
}


@pytest.mark.parametrize("name", REHEARSALS)
def test_a_runbook_does_what_it_says(name: str, tmp_path: Path, application: Application) -> None:
    REHEARSALS[name](RUNBOOKS / f"{name}.sh", tmp_path, application)


SCRIPTS = sorted(RUNBOOKS.glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_runbook_is_rehearsed(script: Path) -> None:
    assert any(script.stem in tests.read_text() for tests in RUNBOOKS.glob("test_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_runbook_that_lacks_a_name_does_nothing(
    script: Path, tmp_path: Path, application: Application
) -> None:
    """A variable that is not set must not mean everybody."""
    with rehearsal(script, tmp_path, application) as runbook:
        assert runbook.run().exit_code != 0
        assert not runbook.room.requests()
