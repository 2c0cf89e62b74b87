"""The switchboard in a test: its application without a terminal, a real poller, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from textual.pilot import Pilot

from voicectl.cli.context import App
from voicectl.cli.switchboard.actions import Desk
from voicectl.cli.switchboard.app import Switchboard
from voicectl.cli.switchboard.readers import Readers
from voicectl.cli.switchboard.run import switchboard
from voicectl.cli.switchboard.table.roster import Roster
from voicectl.core.watch.board import Board
from voicectl.core.watch.poller import Poller, Tail
from voicectl.core.watch.schedule import PollSchedule
from voicectl.interrupts import Interrupts

from .room import Room


@dataclass
class Screen:
    """A switchboard that a test looks at and types on.

    Attributes:
        app: The parts of the command.
        board: The application.
    """

    app: App
    board: Switchboard
    readers: Readers
    poller: Poller
    pilot: Pilot[Any]

    def __post_init__(self) -> None:
        self._rounds = self.poller.rounds()

    async def poll(self) -> None:
        """Let the poller ask the API once, whatever the answer, and show the result."""
        clock = self.app.clock
        clock.sleep(max(self.poller.status.pause, 0.0))
        is_asking = False
        while True:
            self.board.receive(next(self._rounds))
            if is_asking and self.poller.status.asking is None:
                break
            is_asking |= self.poller.status.asking is not None or self.poller.failure is not None
        await self.show()

    async def wait(self, seconds: float) -> None:
        """Let time pass without polling."""
        self.app.clock.sleep(seconds)
        await self.show()

    async def read_names(self) -> None:
        """Read the names of the rooms."""
        sights = self.board.roster.sights.values()
        await self.readers.read_names({each.call.conversation_uuid for each in sights})
        await self.show()

    async def read_details(self) -> None:
        """Read the details of the leg under the cursor."""
        assert self.board.current is not None
        await self.readers.read_detail(self.board.current)
        await self.show()

    async def show(self) -> None:
        """Draw everything as it is now."""
        self.board.tick()
        self.board.arrange()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.show()

    async def type(self, text: str) -> None:
        await self.press(*("space" if key == " " else key for key in text))

    async def go_to(self, uuid: str) -> None:
        """Move the cursor to a leg, with the keys."""
        for _ in range(1 + len(self.board.roster.rows)):
            if self.board.current is not None and self.board.current.call.uuid == uuid:
                return
            await self.press("down")
        raise AssertionError(f"{uuid} is not listed:\n{self.text}")

    @property
    def lines(self) -> list[str]:
        """The lines shown, without trailing blanks."""
        strips = self.board.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def line(self, text: str) -> str:
        """Return the first line that contains *text*."""
        found = [line for line in self.lines if text in line]
        assert found, f"{text!r} is not shown:\n{self.text}"
        return found[0]

    def order(self, *texts: str) -> list[str]:
        """Return *texts* in the order of the lines that contain them; those that are not shown are left out."""
        places = {
            text: next((at for at, line in enumerate(self.lines) if text in line), None) for text in texts
        }
        return sorted(
            (text for text in texts if places[text] is not None), key=lambda text: places[text] or 0
        )


def look(
    room: Room,
    see: Callable[[Screen], Awaitable[None]],
    *,
    size: tuple[int, int] = (120, 30),
    roster: Roster | None = None,
    is_colored: bool = True,
    **settings: Any,
) -> None:
    """Run *see* with a switchboard of the legs of a machine."""

    async def run() -> None:
        app = App(clock=room.clock, environ=room.environ, interrupts=Interrupts())
        with app.closing:
            tail = None if app.history is None else Tail(lambda: app.event_store, app.clock)

            def born(key: str) -> float | None:
                intent = app.journal.by_leg(key)
                return None if intent is None else intent.asked_at

            legs = Board(born=born, past=tail.past if tail is not None else lambda _: [], **settings)
            schedule = PollSchedule(2.0, app.clock.monotonic())
            poller = Poller(
                app.api,
                app.clock,
                legs,
                schedule,
                tail=tail,
                notes=app.action_log,
                check=app.interrupts.check,
                is_receiving=lambda: app.is_receiving,
            )
            with closing(Desk(app, limit=10)) as desk:
                board = switchboard(app, roster or Roster(), poller.status, desk)
                board._is_colored = is_colored
                with closing(Readers(board, app)) as readers:
                    async with board.run_test(size=size) as pilot:
                        await see(Screen(app, board, readers, poller, pilot))

    asyncio.run(run())
