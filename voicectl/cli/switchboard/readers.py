"""Reads what the poller does not: the names of rooms, and the details of the leg under the cursor."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from voicectl.cli.switchboard.detail import read_detail
from voicectl.cli.switchboard.table.leg_table import key_of
from voicectl.cli.switchboard.threads import SideThread
from voicectl.core.calls.conversations import listed, room_names
from voicectl.errors import VoicectlError

if TYPE_CHECKING:
    from collections.abc import Collection

    from voicectl.cli.context import App
    from voicectl.cli.switchboard.app import Switchboard
    from voicectl.core.watch.sight import Sight

NAMES_SECONDS = 30.0
"""How often the names of rooms are read again, because rooms can be renamed, in seconds."""

SOON_SECONDS = 2.0
"""The time between two readings of names if there are conversations whose names are unknown, in seconds."""

WITHIN_SECONDS = 3.0
"""The time limit for each page of names, in seconds."""

SHARE = 20.0
"""The least time between two readings of names, as a multiple of the time that a reading took."""

DETAIL_SECONDS = 10.0
"""How often the details are read again while they are shown, in seconds."""


class Names(NamedTuple):
    """The result of one reading of names.

    Attributes:
        names: The names of rooms, by conversation id.
        trouble: The reason why some names are unknown, or an empty string.
    """

    names: dict[str, str]
    trouble: str


class Readers:
    """Reads names and details for a screen, each in a thread of its own, while the screen is shown."""

    def __init__(self, board: Switchboard, app: App) -> None:
        self._board = board
        self._clock = app.clock
        self._names = SideThread(app, "names")
        self._details = SideThread(app, "details")
        self._asked: set[str] = set()
        self._is_reading = False
        self._is_detail_due = False
        self._read_at = -math.inf
        self._next_at = -math.inf
        self._detail_at = -math.inf
        self._trouble = ""

    def close(self) -> None:
        """Let the readings end as soon as they can."""
        self._names.close()
        self._details.close()

    def tick(self) -> None:
        """Begin the readings that are due."""
        now = self._clock.monotonic()
        ids = {each.call.conversation_uuid for each in self._board.roster.sights.values()} - {""}
        is_new = not ids <= self._asked and now - self._read_at >= SOON_SECONDS
        if ids and not self._is_reading and (is_new or now >= self._next_at):
            self._board.run_worker(self.read_names(ids), group="names", exit_on_error=False)
        if self._board.pane.display and now - self._detail_at >= DETAIL_SECONDS:
            self.begin_detail()

    async def read_names(self, ids: Collection[str]) -> None:
        """Read the names of rooms, and show them. If the API fails, the names that are known stay."""
        self._is_reading = True
        began = self._clock.monotonic()
        try:
            found = await self._names.ask(partial(_read_names, ids=ids))
        finally:
            self._is_reading = False
            self._read_at = self._clock.monotonic()
            took = self._read_at - began
            self._next_at = self._read_at + max(NAMES_SECONDS, SHARE * took)
        if found.trouble and found.trouble != self._trouble:
            self._board.say(found.trouble, is_bad=True)
        self._trouble = found.trouble
        self._asked = set(ids)
        if found.trouble:
            self._board.receive_names({**self._board.roster.names, **found.names})
        else:
            self._board.receive_names(found.names)

    def begin_detail(self) -> None:
        """Begin to read the details of the leg under the cursor, in place of a reading that has not begun."""
        if (sight := self._board.current) is not None:
            self._detail_at = self._clock.monotonic()
            self._board.run_worker(
                self.read_detail(sight), group="details", exclusive=True, exit_on_error=False
            )

    async def read_detail(self, sight: Sight) -> None:
        """Read the details of a leg, and show them."""
        await asyncio.sleep(0)  # a reading that the next key makes needless is canceled here
        board = self._board
        id_ = sight.call.conversation_uuid
        together = [
            each.call
            for each in board.roster.sights.values()
            if id_ and each.call.conversation_uuid == id_ and not each.is_over
        ]
        try:
            detail = await self._details.ask(partial(read_detail, call=sight.call, together=together))
        except VoicectlError as exc:
            board.say(exc.message, is_bad=True)
            return
        board.roster.take_marks(detail.marks, self._clock.time())
        board.table.show_changes(detail.marks)
        board.pane.show_detail(key_of(sight), detail)


def _read_names(parts: App, ids: Collection[str]) -> Names:
    troubles: list[str] = []
    source = listed(
        parts.conversations, on_trouble=troubles.append, on_cut=lambda: None, within=WITHIN_SECONDS
    )
    return Names(room_names(ids, source), "".join(troubles))
