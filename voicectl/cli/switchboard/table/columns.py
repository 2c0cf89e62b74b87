"""The columns of the switchboard, and the text of each cell.

If the columns do not fit into the terminal, ids, numbers and headings are shortened first. If the columns still do
not fit, some are left out, in the order of :data:`_DROPPED`. Finally, the status is cut or left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voicectl.cli.output.fit import fitted, fitted_party
from voicectl.cli.output.text import clean
from voicectl.times import age_text
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from voicectl.cli.switchboard.table.roster import Roster
    from voicectl.core.watch.sight import Sight

LEG, STATUS, DIRECTION, FROM, TO, AGE, MUTED, EARMUFFED = (
    "leg",
    "status",
    "direction",
    "from",
    "to",
    "age",
    "muted",
    "earmuffed",
)

INDENT = 2
"""The number of blanks before the id of a leg that is below the row of its conversation."""

_WIDE = {LEG: 36 + INDENT, STATUS: 12, DIRECTION: 9, FROM: 16, TO: 16, AGE: 5, MUTED: 5, EARMUFFED: 9}
_NARROW = {LEG: 8 + INDENT, STATUS: 11, DIRECTION: 3, FROM: 13, TO: 13, AGE: 5, MUTED: 3, EARMUFFED: 3}
_SHORT_HEADS = {DIRECTION: "dir", MUTED: "mut", EARMUFFED: "ear"}
_SHORT_DIRECTIONS = {"inbound": "in", "outbound": "out"}
_DROPPED = (EARMUFFED, MUTED, DIRECTION, FROM, AGE, TO)
_LONGEST_PARTY = 40
_LEAST_STATUS = 3
_LONGEST_STATUS = 40


class Columns(NamedTuple):
    """The columns that fit into a terminal.

    Attributes:
        widths: The width of each column, in the order of the columns.
        gap: The number of blanks between two columns.
        is_short: True if ids, directions and headings are shortened.
    """

    widths: dict[str, int]
    gap: int
    is_short: bool

    @classmethod
    def fitting(cls, width: int, id_width: int) -> Columns:
        """Return the columns for rows of *width* characters.

        Args:
            id_width: The number of characters of the longest shortened id.
        """
        found = cls(dict(_WIDE), 2, is_short=False)
        if found._size > width:
            found = cls(_NARROW | {LEG: id_width + INDENT}, 1, is_short=True)
        for name in _DROPPED:
            if found._size <= width:
                break
            del found.widths[name]
        found._use(width - found._size)
        return found

    @property
    def _size(self) -> int:
        return sum(self.widths.values()) + self.gap * (len(self.widths) - 1)

    def _use(self, left: int) -> None:
        """Widen the columns of the parties by *left* characters, or narrow the status if *left* is negative."""
        widths = self.widths
        if left < 0:
            saved = min(INDENT, -left)
            widths[LEG] -= saved
            widths[STATUS] += left + saved
            if widths[STATUS] < _LEAST_STATUS:
                del widths[STATUS]
            return
        for name, others in ((FROM, 2), (TO, 1)):
            if name in widths:
                more = min(left // others, _LONGEST_PARTY - widths[name])
                widths[name] += more
                left -= more

    def head(self, name: str) -> str:
        """Return the heading of a column."""
        return _SHORT_HEADS.get(name, name) if self.is_short else name

    def cell(self, name: str, sight: Sight, roster: Roster, *, is_grouped: bool, now: float, cut: str) -> str:
        """Return the text of a cell, escaped and cut to the width of its column.

        Args:
            roster: The legs that are known, which gives short ids and marks.
            is_grouped: True if the leg is below the row of its conversation.
            now: The current time, in Unix seconds.
            cut: The character that marks a cut.
        """
        call, width = sight.call, self.widths[name]
        if name in (FROM, TO):
            text = clean(endpoint.label(call.from_ if name == FROM else call.to) or "-")
            return fitted_party(text, width, cut)
        if name == LEG:
            text = clean(roster.short_id(call.uuid) if self.is_short else call.uuid)
            indent = " " * INDENT if is_grouped and len(text) + INDENT <= width else ""
            return fitted(indent + text, width, cut)
        if name == STATUS:
            mark = "!" if sight.disagreement else ""
            return (
                fitted("gone" if sight.is_gone else clean(call.status or "-"), width - len(mark), cut) + mark
            )
        if name == DIRECTION:
            text = clean(call.direction or "-")
            return fitted(_SHORT_DIRECTIONS.get(text, text) if self.is_short else text, width, cut)
        if name == AGE:
            return age_text(sight.age(now), is_exact=sight.birth.is_exact)
        marks = roster.marks(sight, now)
        return known(marks.muted if name == MUTED else marks.earmuffed)


def known(mark: bool | None) -> str:
    """Return a mute or earmuff state as text. An unknown state is ``?``."""
    return "?" if mark is None else "yes" if mark else "no"
