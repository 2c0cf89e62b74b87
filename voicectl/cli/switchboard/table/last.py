"""The last state of the table, which stays on the terminal after the screen is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.cli.output.fit import columns as columns_of
from voicectl.cli.output.fit import fitted
from voicectl.cli.output.styles import STYLES, styled
from voicectl.cli.output.text import clean
from voicectl.cli.switchboard.lines import counted
from voicectl.cli.switchboard.table.columns import STATUS, Columns
from voicectl.cli.switchboard.table.roster import LegRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.cli.switchboard.table.roster import Roster

MOST_ROWS = 200
"""The greatest number of rows that stay on the terminal."""


def last_table(roster: Roster, *, now: float, width: int, is_colored: bool, cut: str) -> Iterator[str]:
    """Yield the lines of the table, with all legs that have ended and all rooms unfolded.

    Args:
        now: The current time, in Unix seconds.
        width: The number of characters that fit into a line.
    """
    roster.keeps_ended = True
    roster.folded.clear()
    rows = roster.arrange(now)
    over = f", {roster.over} ended" if roster.over else ""
    rooms = f" in {counted(roster.conversations, 'conversation')}" if roster.live else ""
    only = f"; /{clean(roster.filter.text)} lists {roster.listed}" if roster.filter else ""
    counts = f"{counted(roster.live, 'live leg')}{rooms}{over}{only}"
    yield _line(fitted(counts, width, cut), "bold", is_colored=is_colored)
    columns = Columns.fitting(width, roster.id_width)
    gap = " " * columns.gap
    if rows:
        heads = (columns.head(name)[:size].ljust(size) for name, size in columns.widths.items())
        yield _line(gap.join(heads).rstrip(), "bold", is_colored=is_colored)
    for row in rows[:MOST_ROWS]:
        if not isinstance(row, LegRow):
            shown = clean(roster.names.get(row.key, row.key))
            yield _line(fitted(shown, width, cut), "bold", is_colored=is_colored)
            continue
        sight = roster.sights[row.key]
        cells = []
        for name, size in columns.widths.items():
            text = columns.cell(name, sight, roster, is_grouped=row.is_grouped, now=now, cut=cut)
            padding = " " * (size - columns_of(text))
            style = "dim" if sight.is_over else STYLES.get(sight.call.status, "") if name == STATUS else ""
            cells.append(_line(text, style, is_colored=is_colored) + padding)
        yield gap.join(cells).rstrip()
    if len(rows) > MOST_ROWS:
        yield _line(f"and {counted(len(rows) - MOST_ROWS, 'more row')}", "dim", is_colored=is_colored)


def _line(text: str, style: str, *, is_colored: bool) -> str:
    return styled(text, style) if is_colored else text
