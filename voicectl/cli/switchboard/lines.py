"""The lines above and below the table of the switchboard."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from voicectl import times
from voicectl.cli.output.text import clean

if TYPE_CHECKING:
    from voicectl.cli.switchboard.table.roster import Roster
    from voicectl.clock import Clock

SAID_SECONDS = 30.0
"""How long a message is shown, in seconds."""


def counted(number: int, what: str) -> str:
    """Return *number* and *what* as text, such as ``1 leg`` or ``2 legs``."""
    return f"{number:,} {what}{'s' * (number != 1)}".replace(",", " ")


class Lines(Static):
    """Text that takes as many lines as it needs, up to three."""

    DEFAULT_CSS = """
    Lines { height: auto; max-height: 3; }
    """

    def show(self, text: str, style: str) -> None:
        """Show *text*, escaped, if it is not shown already."""
        content = Content.styled(clean(text), style) if text else Content("")
        if content != self.content:
            is_as_high = self.size.width >= max(cell_len(content.plain), self._length) > 0
            self._length = cell_len(content.plain)
            self.update(content, layout=not is_as_high)

    _length = 0


class News(Lines):
    """The latest message, which disappears after some time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._until = -math.inf
        self.display = False

    def say(self, text: str, *, is_bad: bool) -> None:
        """Show a message."""
        self._until = self._clock.monotonic() + SAID_SECONDS
        self.display = True
        self.show(text, "bold $error" if is_bad else "$accent")

    def tick(self) -> None:
        """Hide the message if it is old."""
        if self.display and self._clock.monotonic() >= self._until:
            self.display = False


class TitleBar(Static):
    """The line at the top: the number of legs, the filter, the name of the target, and the time."""

    DEFAULT_CSS = """
    TitleBar { height: 1; text-style: bold; text-wrap: nowrap; text-overflow: clip; }
    TitleBar.-production { background: $error; color: $background; }
    """

    def __init__(self, roster: Roster, clock: Clock, title: str) -> None:
        super().__init__()
        self._roster = roster
        self._clock = clock
        self._title = title

    def show(self) -> None:
        """Show the title as it is now."""
        content = Content(self._text(self.size.width or 80))
        if content != self.content:
            self.update(content, layout=False)

    def _text(self, width: int) -> str:
        roster = self._roster
        live = counted(roster.live, "live leg")
        over = f", {roster.over} ended" if roster.over else ""
        rooms = f" in {counted(roster.conversations, 'conversation')}" if roster.live else ""
        only = f"  /{clean(roster.filter.text)}: {roster.listed} listed" if roster.filter else ""
        clock = times.utc(self._clock.time())[11:]
        for left in (live + rooms + over + only, live + over + only, live + only, live):
            for right in (f"{clean(self._title)}  {clock}", clean(self._title), ""):
                if cell_len(left) + cell_len(right) + 2 <= width:
                    return left + right.rjust(width - cell_len(left))
        return live
