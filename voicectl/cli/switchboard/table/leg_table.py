"""The table of legs. Only the lines that are visible are drawn, so its cost does not depend on the number of legs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from voicectl.cli.output.fit import fitted
from voicectl.cli.output.text import clean
from voicectl.cli.switchboard.table.columns import AGE, EARMUFFED, MUTED, STATUS, Columns
from voicectl.cli.switchboard.table.roster import LegRow, RoomRow, Row
from voicectl.core.history import leg_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events

    from voicectl.cli.switchboard.table.roster import Roster
    from voicectl.clock import Clock
    from voicectl.core.watch.sight import Sight

MARGIN = 2
"""The width of the margin, which shows whether a leg is marked or followed."""

LEAST_NAME = 20
"""The width to which the name of a room may be cut in favor of the number of its legs."""

_STATUS_STYLES = {
    "answered": "legs--good",
    "machine": "legs--good",
    "human": "legs--good",
    "ringing": "legs--open",
    "started": "legs--open",
    "busy": "legs--bad",
    "failed": "legs--bad",
    "rejected": "legs--bad",
    "timeout": "legs--bad",
    "unanswered": "legs--bad",
}


class LegTable(ScrollView, can_focus=True):
    """The rows of a :class:`~voicectl.cli.switchboard.table.roster.Roster`, with a cursor and marks.

    The cursor stays on its leg or room, wherever that row moves. There is no cursor until the user moves it, so that
    no key acts on a leg that the user has not chosen.

    Attributes:
        marked: The keys of the marked legs, in the order in which they were marked.
        followed: The key of the leg that is kept in view, or None.
        columns: The columns that fit.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up"),
        Binding("down,j", "move(1)", "Down"),
        Binding("pageup", "page(-1)", "Page up"),
        Binding("pagedown", "page(1)", "Page down"),
        Binding("home,g", "first", "First row"),
        Binding("end,G", "last", "Last row"),
        Binding("left", "fold(True)", "Fold the room"),
        Binding("right", "fold(False)", "Unfold the room"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "legs--room",
        "legs--good",
        "legs--open",
        "legs--bad",
        "legs--over",
        "legs--mark",
        "legs--cursor",
    }

    DEFAULT_CSS = """
    LegTable { height: 1fr; overflow-x: hidden; overflow-y: scroll; }
    LegTable > .legs--room { text-style: bold; }
    LegTable > .legs--good { color: $success; }
    LegTable > .legs--open { color: $warning; }
    LegTable > .legs--bad { color: $error; text-style: bold; }
    LegTable > .legs--over { text-style: dim; }
    LegTable > .legs--mark { color: $warning; text-style: bold; }
    LegTable > .legs--cursor { text-style: reverse; }
    """

    class Moved(Message):
        """The cursor is on another row, or there is no longer a cursor."""

    class Folded(Message):
        """The set of folded rooms has changed, so the rows must be arranged again."""

    class Opened(Message):
        """The user asks for the details of the row under the cursor."""

    def __init__(self, roster: Roster, clock: Clock, *, cut: str) -> None:
        super().__init__()
        self.marked: dict[str, None] = {}
        self.followed: str | None = None
        self.columns = Columns({}, 1, is_short=True)
        self._roster = roster
        self._clock = clock
        self._cut = cut
        self._cursor: str | None = None
        self._at: int | None = None
        self._places: dict[str, int] = {}
        self._strips: dict[str, tuple[object, Strip]] = {}
        self._styles: dict[str, Style] = {}

    # Rows and the cursor

    @property
    def row(self) -> Row | None:
        """The row under the cursor, or None if there is no cursor."""
        return None if self._at is None else self._roster.rows[self._at]

    @property
    def kept(self) -> set[str]:
        """The keys of the legs that stay listed although they have ended."""
        return {each for each in (*self.marked, self.followed, self._cursor) if each is not None}

    def show_rows(self) -> None:
        """Show the rows as they are arranged now, with the cursor on the same leg and on the same line as before."""
        rows = self._roster.rows
        anchor, line = self._anchor()
        self._places = {row.key: at for at, row in reversed(list(enumerate(rows)))}
        self.marked = {key: None for key in self.marked if key in self._roster.sights}
        self._find_cursor()
        self.columns = Columns.fitting(self._row_width, self._roster.id_width)
        self.virtual_size = Size(self._width, len(rows))
        if anchor is not None and anchor in self._places:
            self.scroll_to(y=self._places[anchor] - line, animate=False)
        if self.followed is not None:
            self._keep_visible()
        self.refresh()

    def show_changes(self, keys: Iterable[str]) -> None:
        """Draw the rows of these legs again, if they are visible."""
        top, height = self.scroll_offset.y, self.size.height
        for key in keys:
            at = self._places.get(key)
            if at is not None and top <= at < top + height:
                self.refresh_line(at)

    def tick(self) -> None:
        """Draw the visible rows again whose age has changed."""
        top = self.scroll_offset.y
        for at in range(top, min(top + self.size.height, len(self._roster.rows))):
            row = self._roster.rows[at]
            if self._strips.get(row.key, (None,))[0] != self._stamp(row, at):
                self.refresh_line(at)

    def _anchor(self) -> tuple[str | None, int]:
        """Return the key of the row that should stay on its line, and that line.

        That is the row under the cursor if it is visible, and otherwise the top row, unless the list is not scrolled.
        """
        top = self.scroll_offset.y
        if self._at is not None and top <= self._at < top + self.size.height:
            return self._cursor, self._at - top
        by_place = self._roster.rows
        found = next((key for key, at in self._places.items() if at == top), None) if top else None
        return (found, 0) if by_place else (None, 0)

    def _find_cursor(self) -> None:
        """Put the cursor on the row that it was on or, if that row is hidden, on its room or on the next row."""
        if self._cursor is None:
            return
        at = self._places.get(self._cursor)
        if at is None:
            sight = self._roster.sights.get(self._cursor)
            at = None if sight is None else self._places.get(sight.call.conversation_uuid)
        rows = self._roster.rows
        self._at = at
        if at is None or rows[at].key != self._cursor:
            self._cursor = None if at is None else rows[at].key
            self.post_message(self.Moved())

    def _move_to(self, at: int) -> None:
        rows = self._roster.rows
        if not rows:
            return
        before, self._at = self._at, max(min(at, len(rows) - 1), 0)
        self._cursor = rows[self._at].key
        if self._cursor != self.followed:
            self.followed = None
        self._keep_visible()
        for each in (before, self._at):
            if each is not None:
                self.refresh_line(each)
        self.post_message(self.Moved())

    def _keep_visible(self) -> None:
        if self._at is None:
            return
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if self._at < top:
            self.scroll_to(y=self._at, animate=False)
        elif self._at >= top + height:
            self.scroll_to(y=self._at - height + 1, animate=False)

    def go_to(self, key: str) -> None:
        """Move the cursor to a row, if it is listed."""
        if key in self._places:
            self._move_to(self._places[key])

    def go_to_leg(self) -> None:
        """Move the cursor to the first listed leg, unless it is on a leg."""
        if not isinstance(self.row, LegRow):
            self.go_to(next((row.key for row in self._roster.rows if isinstance(row, LegRow)), ""))

    def action_move(self, by: int) -> None:
        """Move the cursor by some rows. The first time, the cursor appears on the first visible row."""
        self._move_to(self.scroll_offset.y if self._at is None else self._at + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by some pages."""
        self.action_move(by * max(self.size.height - 1, 1))

    def action_first(self) -> None:
        """Move the cursor to the first row."""
        self._move_to(0)

    def action_last(self) -> None:
        """Move the cursor to the last row."""
        self._move_to(len(self._roster.rows) - 1)

    # Marks and folded rooms

    def mark(self) -> None:
        """Mark or unmark the leg under the cursor, and move on. On the row of a room, do so for all its legs."""
        row = self.row
        if row is None:
            return
        legs = row.legs if isinstance(row, RoomRow) else (row.key,)
        self._mark(legs)
        self.action_move(1)

    def mark_all(self) -> None:
        """Mark all listed legs, or unmark them if all of them are marked."""
        self._mark(self.listed)

    @property
    def listed(self) -> list[str]:
        """The keys of all listed legs, including those in folded rooms."""
        found: dict[str, None] = {}
        for row in self._roster.rows:
            found |= dict.fromkeys(row.legs if isinstance(row, RoomRow) else (row.key,))
        return list(found)

    def unmark(self, keys: Iterable[str]) -> None:
        """Remove the marks of some legs."""
        for key in keys:
            self.marked.pop(key, None)
        self.refresh()

    def _mark(self, keys: Iterable[str]) -> None:
        keys = [key for key in keys if key in self._roster.sights]
        if all(key in self.marked for key in keys):
            for key in keys:
                del self.marked[key]
        else:
            self.marked |= dict.fromkeys(keys)
        self.refresh()
        self.post_message(self.Moved())

    def action_fold(self, is_folded: bool) -> None:
        """Fold or unfold the room under the cursor, or the room of the leg under the cursor."""
        row = self.row
        if row is None:
            return
        id_ = row.key
        if isinstance(row, LegRow):
            if not row.is_grouped:
                return
            id_ = self._roster.sights[row.key].call.conversation_uuid
        (self._roster.folded.add if is_folded else self._roster.folded.discard)(id_)
        self.post_message(self.Folded())

    def toggle_fold(self) -> None:
        """Fold the room under the cursor, or unfold it."""
        if isinstance(self.row, RoomRow):
            self.action_fold(not self.row.is_folded)

    def fold_all(self) -> None:
        """Fold all rooms, or unfold them if all are folded."""
        rooms = {row.key for row in self._roster.rows if isinstance(row, RoomRow)}
        if rooms <= self._roster.folded:
            self._roster.folded -= rooms
        else:
            self._roster.folded |= rooms
        self.post_message(self.Folded())

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the row that was clicked; fold a room; open the details on the second click."""
        at = event.y + self.scroll_offset.y
        if at >= len(self._roster.rows):
            return
        self._move_to(at)
        if isinstance(self.row, RoomRow):
            self.toggle_fold()
        elif event.x < MARGIN:
            self._mark([self._roster.rows[at].key])
        elif event.chain == 2:
            self.post_message(self.Opened())

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self.show_rows()

    # Drawing

    def notify_style_update(self) -> None:
        """Draw everything again in the colors of the new theme."""
        super().notify_style_update()
        self._strips.clear()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        """Return the line *y* of the visible part of the table."""
        at = y + self.scroll_offset.y
        width = self._width
        if at >= len(self._roster.rows):
            return Strip.blank(width, self.rich_style)
        row = self._roster.rows[at]
        stamp = self._stamp(row, at)
        known = self._strips.get(row.key)
        if known is not None and known[0] == stamp:
            return known[1]
        strip = self._room_strip(row) if isinstance(row, RoomRow) else self._leg_strip(row)
        strip = strip.adjust_cell_length(width, self.rich_style)
        if at == self._at:
            style = self.rich_style + self._style("legs--cursor")
            strip = Strip([Segment(text, style) for text, _, _ in strip], width)  # in one color
        if len(self._strips) > 4 * self.size.height + 64:
            self._strips.clear()
        self._strips[row.key] = stamp, strip
        return strip

    @property
    def _width(self) -> int:
        """The width of a line, without the scroll bar."""
        return max(self.scrollable_content_region.width, 1)

    @property
    def _row_width(self) -> int:
        return max(self._width - MARGIN, 1)

    def _stamp(self, row: Row, at: int) -> object:
        """Return a value that changes whenever the row must be drawn again."""
        is_at = at == self._at
        roster = self._roster
        if isinstance(row, RoomRow):
            counts = self._counts(row)
            return (
                row.is_folded,
                roster.names.get(row.key),
                counts,
                self._room_marks(row),
                is_at,
                self.size.width,
            )
        sight = roster.sights.get(row.key)
        changing = () if sight is None else tuple(self._cell(name, sight) for name in (AGE, MUTED, EARMUFFED))
        marks = row.key in self.marked, row.key == self.followed, row.is_grouped
        return id(sight), changing, marks, is_at, self._width, self._roster.id_width

    def _leg_strip(self, row: LegRow) -> Strip:
        sight = self._roster.sights.get(row.key)
        if sight is None:
            return Strip([])
        base = self._style("legs--over") if sight.is_over else Style()
        mark = "*" if row.key in self.marked else ">" if row.key == self.followed else " "
        segments = [Segment(mark.ljust(MARGIN), self.rich_style + self._style("legs--mark"))]
        for name, width in self.columns.widths.items():
            text = self._cell(name, sight, is_grouped=row.is_grouped)
            style = base
            if name == STATUS and sight.disagreement:
                style = self._style("legs--bad")
            elif name == STATUS and not sight.is_over:
                style = self._style(_STATUS_STYLES.get(sight.call.status, ""))
            segments.append(Segment(set_cell_size(text, width + self.columns.gap), self.rich_style + style))
        return Strip(segments)

    def _cell(self, name: str, sight: Sight, *, is_grouped: bool = False) -> str:
        if name not in self.columns.widths:
            return ""
        now = self._clock.time()
        return self.columns.cell(name, sight, self._roster, is_grouped=is_grouped, now=now, cut=self._cut)

    def _room_strip(self, row: RoomRow) -> Strip:
        marks = self._room_marks(row)
        mark = "*" if marks == len(row.legs) else "-" if marks else " "
        fold = ("+" if row.is_folded else "-") if self._cut == "~" else ("▸" if row.is_folded else "▾")
        shown = clean(self._roster.names.get(row.key, row.key))
        counts = self._counts(row)
        width = self._row_width - 2
        text = fitted(shown, max(width - cell_len(counts) - 2, min(width, LEAST_NAME)), self._cut)
        style = self.rich_style + self._style("legs--room")
        return Strip(
            [
                Segment(mark.ljust(MARGIN), self.rich_style + self._style("legs--mark")),
                Segment(f"{fold} {text}  ", style),
                Segment(counts, self.rich_style + self._style("legs--over")),
            ]
        )

    def _room_marks(self, row: RoomRow) -> int:
        return sum(key in self.marked for key in row.legs) if self.marked else 0

    def _counts(self, row: RoomRow) -> str:
        """Return the number of legs of a room in each status, such as ``2 answered, 1 ringing``."""
        counts: dict[str, int] = {}
        for key in row.legs:
            if (sight := self._roster.sights.get(key)) is not None:
                status = "gone" if sight.is_gone else clean(sight.call.status or "-")
                counts[status] = counts.get(status, 0) + 1
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))

    def _style(self, name: str) -> Style:
        if not name:
            return Style()
        if name not in self._styles:
            self._styles[name] = self.get_component_styles(name).partial_rich_style
        return self._styles[name]


def key_of(sight: Sight) -> str:
    """Return the key of a leg's row."""
    return leg_key(sight.call.uuid)
