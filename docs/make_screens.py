"""Make the pictures of the documentation: the screen of ``watch``, with its own sandbox and clock.

::

    python docs/make_screens.py [--into DIRECTORY]

The pictures are the same each time, so that a test can detect an outdated one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import re
import shlex
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl.cli.app import run
from voicectl.cli.context import App
from voicectl.cli.switchboard.actions import Desk
from voicectl.cli.switchboard.readers import Readers
from voicectl.cli.switchboard.run import switchboard
from voicectl.cli.switchboard.table.leg_table import key_of
from voicectl.cli.switchboard.table.roster import Roster
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.core.watch.board import Board
from voicectl.core.watch.poller import Poller
from voicectl.core.watch.schedule import PollSchedule
from voicectl.interrupts import Interrupts
from voicectl.sandbox.account.identity import Options, new_identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.cli.switchboard.app import Switchboard

SIZE = 100, 18
TALL = 100, 40
BEGINS = 1_770_000_000.0
LENGTH = 200
FONT = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


class Clock:
    """A clock that moves only when a thread sleeps, and then runs the happenings that are due."""

    def __init__(self) -> None:
        self._now = BEGINS
        self._happenings: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - BEGINS + 1000

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        due = [each for each in self._happenings if each[0] <= self._now]
        self._happenings = [each for each in self._happenings if each not in due]
        for _, happen in due:
            happen()

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self._happenings.append((self._now + seconds, happen))


def pictures() -> dict[str, str]:
    """Return the pictures, by name: a conference, a ringing call and some that have ended, and then the details."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        identity, private_key = new_identity()
        with running(Sandbox(identity, Options(seed=5, limits=False), clock=clock)) as url:
            profile = Profile(
                name="support", application_id=identity.application_id, base_url=url, from_=identity.number
            )
            ProfileStore(home / "config").add(
                profile,
                key=keys.parse(private_key, where="the sandbox"),
                signature_secret=identity.signature_secret,
            )
            environ = {"HOME": str(home), "TERM": "xterm-256color", "CLICOLOR_FORCE": "1"}
            environ |= {
                "VOICECTL_CONFIG_DIR": str(home / "config"),
                "VOICECTL_STATE_DIR": str(home / "state"),
            }

            def voicectl(line: str, **more: str) -> str:
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
                    assert run(shlex.split(line), clock=clock, environ=environ | more) == 0, line
                return printed.getvalue().strip()

            def call(number: str, options: str) -> str:
                return voicectl(f"call create --to {number} {options} -q")

            flow = home / "join.json"
            flow.write_text('[{"action": "conversation", "name": "support-17"}]')
            ring = f"sandbox ring --to {identity.number} --from 447700900017 --ncco {flow}"
            conference = "--talk 'One moment.' --join support-17 --wait answered"
            machine = "--machine-detection continue --talk Hello --join box"
            call("447700900005", "--talk Hello --join sales --wait answered")
            clock.after(60, lambda: voicectl(ring, VOICECTL_SANDBOX=url))
            clock.after(75, lambda: voicectl(f"earmuff {call('447700900042', conference)}"))
            clock.after(90, lambda: voicectl(f"mute {call('447700900031', conference)}"))
            clock.after(170, lambda: call("447700900300", machine))
            clock.after(180, lambda: call("447700900200", "--talk Hello"))
            clock.after(188, lambda: call("447700900202", "--talk Hello"))
            app = App(clock=clock, environ=environ, interrupts=Interrupts())
            app.options.utc = True
            with app.closing:
                return asyncio.run(_drawn(app))


async def _drawn(app: App) -> dict[str, str]:
    """Watch until the end, and return what is shown then, and with the details of a muted leg."""

    def born(key: str) -> float | None:
        intent = app.journal.by_leg(key)
        return None if intent is None else intent.asked_at

    clock, legs = app.clock, Board(born=born)
    schedule = PollSchedule(2.0, clock.monotonic())
    poller = Poller(
        app.api, clock, legs, schedule, tail=None, notes=app.action_log, check=app.interrupts.check
    )
    rounds = poller.rounds()
    desk = Desk(app, limit=10)
    board = switchboard(app, Roster(), poller.status, desk)
    with closing(desk), closing(Readers(board, app)) as readers:
        async with board.run_test(size=SIZE) as pilot:
            while clock.time() < BEGINS + LENGTH:
                board.receive(next(rounds))
            await readers.read_names({each.call.conversation_uuid for each in legs.sights()})
            board.arrange()
            board.tick()
            await pilot.press("down", "down", "down", "down", "down")
            found = {"watch": _picture(board)}
            await pilot.resize_terminal(*TALL)
            board.table.go_to(next(key_of(each) for each in legs.sights() if each.marks.muted))
            assert board.current is not None
            await pilot.press("enter")
            await readers.read_detail(board.current)
            board.tick()
            await pilot.pause()
            found["watch-details"] = _picture(board)
    return found


def _picture(board: Switchboard) -> str:
    """Return what the screen shows, as SVG without external fonts."""
    return FONT.sub("\n", board.export_screenshot(title="voicectl watch"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, metavar="DIRECTORY")
    options = parser.parse_args()
    for name, text in pictures().items():
        (options.into / f"{name}.svg").write_text(text)


if __name__ == "__main__":
    main()
