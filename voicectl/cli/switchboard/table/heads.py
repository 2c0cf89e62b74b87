"""The line with the headings of the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import set_cell_size
from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from voicectl.cli.switchboard.table.leg_table import MARGIN
from voicectl.cli.switchboard.table.roster import Order

if TYPE_CHECKING:
    from textual import events

    from voicectl.cli.switchboard.table.leg_table import LegTable
    from voicectl.cli.switchboard.table.roster import Roster


class Heads(Widget):
    """The line with the headings of the columns. A click on a heading sorts by that column."""

    DEFAULT_CSS = """
    Heads { height: 1; text-style: bold underline; }
    """

    class Clicked(Message):
        """A heading was clicked.

        Attributes:
            order: The column to sort by.
        """

        def __init__(self, order: Order) -> None:
            super().__init__()
            self.order = order

    def __init__(self, table: LegTable, roster: Roster, *, cut: str) -> None:
        super().__init__()
        self._table = table
        self._roster = roster
        self._arrows = ("^", "v") if cut == "~" else ("▴", "▾")

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 (it is one line high)
        """Return the line with the headings."""
        columns = self._table.columns
        text = " " * MARGIN
        for name, width in columns.widths.items():
            is_order = name == self._roster.order.value
            mark = self._arrows[self._roster.is_reversed] if is_order else ""
            text += set_cell_size(columns.head(name)[: width - len(mark)] + mark, width + columns.gap)
        return Strip([Segment(text, self.rich_style)]).adjust_cell_length(self.size.width, self.rich_style)

    def on_click(self, event: events.Click) -> None:
        """Sort by the column whose heading was clicked."""
        end = MARGIN
        for name, width in self._table.columns.widths.items():
            end += width + self._table.columns.gap
            if event.x < end:
                if name in set(Order):
                    self.post_message(self.Clicked(Order(name)))
                return
