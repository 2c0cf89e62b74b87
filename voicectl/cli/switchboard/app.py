"""The application: its keys, and what it does with changes of legs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from voicectl.cli.switchboard.lines import Lines, News, TitleBar
from voicectl.cli.switchboard.pane import Pane
from voicectl.cli.switchboard.prompts import FilterLine, KeyList, shown_keys
from voicectl.cli.switchboard.table.filters import Filter
from voicectl.cli.switchboard.table.heads import Heads
from voicectl.cli.switchboard.table.leg_table import LegTable, key_of
from voicectl.cli.switchboard.table.roster import Order, RoomRow
from voicectl.cli.switchboard.terminal_app import TerminalApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.widgets import Input

    from voicectl.cli.switchboard.keys import Actions
    from voicectl.cli.switchboard.table.roster import Roster
    from voicectl.clock import Clock
    from voicectl.core.watch.schedule import PollStatus
    from voicectl.core.watch.sight import Change, Sight

TICK_SECONDS = 1.0

FEW = 1000
"""The number of legs up to which rows are arranged again soon after each change, and above which once a second."""

SOON_SECONDS = 0.1

WIDE = 140
"""The width from which on the details are beside the table, and below which they are below it."""

LOW = 10
"""The height below which the line with the keys is left out."""


class Switchboard(TerminalApp):
    """The screen of ``watch``.

    Changes of legs come in through :meth:`receive`.

    Args:
        roster: The legs that it shows.
        status: The state of polling, which is shown below the table.
        title: The name of the target.
        show_time: A function that returns a time in Unix seconds as text.
        is_colored: False to use no colors.
        cut: The character that marks where text was cut off.
        is_production: True if the legs belong to a production profile.

    Attributes:
        actions: The actions on legs, or None if there are none. It must be set before the application is run.
        on_shown: A function that is called when the screen is shown for the first time.
        on_tick: A function that is called every second.
        on_details: A function that is called when the details of another leg are shown.
        pane: The pane with the details.
        remarks: The lines that were written to standard error while the screen was in use.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "keys", "Show the keys"),
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort by the next column"),
        Binding("S", "reverse", "Reverse the order"),
        Binding("space", "mark", "Mark or unmark the leg, or all legs of a room"),
        Binding("asterisk", "mark_all", "Mark or unmark all listed legs"),
        Binding("enter", "open", "Show or hide the details"),
        Binding("J,shift+down", "scroll_details(3)", "Scroll the details down"),
        Binding("K,shift+up", "scroll_details(-3)", "Scroll the details up"),
        Binding("minus", "fold_all", "Fold or unfold all rooms"),
        Binding("f", "follow", "Follow the leg, or stop following it"),
        Binding("y", "copy", "Copy the id"),
        Binding("escape", "escape", "Close the details; then remove the filter; then the marks"),
    ]

    CSS = """
    Screen { overflow: hidden; }
    #body { height: 1fr; layout: vertical; }
    #body.-beside { layout: horizontal; }
    LegTable { scrollbar-size-vertical: 1; }
    #list { width: 1fr; height: 1fr; }
    """

    def __init__(
        self,
        roster: Roster,
        clock: Clock,
        status: PollStatus,
        *,
        title: str,
        show_time: Callable[[float], str],
        is_colored: bool,
        cut: str,
        is_production: bool = False,
    ) -> None:
        super().__init__(is_colored=is_colored)
        self.roster = roster
        self.clock = clock
        self.remarks: list[str] = []
        self._status = status
        self.actions: Actions | None = None
        self.on_shown: Callable[[], None] = lambda: None
        self.on_tick: Callable[[], None] = lambda: None
        self.on_details: Callable[[], None] = lambda: None
        self._is_arranging = False
        self.table = LegTable(roster, clock, cut=cut)
        self.pane = Pane(roster, clock, show_time)
        self._filter_line = FilterLine()
        self._heads = Heads(self.table, roster, cut=cut)
        self._title_bar = TitleBar(roster, clock, title)
        self._title_bar.set_class(is_production, "-production")
        self._news = News(clock)
        self._status_line = Lines()
        self._keys_line = Lines()

    def compose(self) -> ComposeResult:
        """Lay out the lines above the table, the table, and the lines below it."""
        yield self._title_bar
        with Container(id="body"):
            with Vertical(id="list"):
                yield self._heads
                yield self.table
            yield self.pane
        yield self._filter_line
        yield self._news
        yield self._status_line
        yield self._keys_line

    def on_mount(self) -> None:
        """Begin to show the time that passes."""
        self.begin_capture_print(self)
        if self.actions is not None:
            self.pane.deeds = self.actions.deeds
            for key in self.actions.keys:
                self.bind(key.key, f"act('{key.action}')", description=key.description)
        self.set_interval(TICK_SECONDS, self.tick)
        self.table.focus()
        self.arrange()
        self.tick()
        self.call_after_refresh(self.on_shown)

    # Changes

    def receive(self, changes: Sequence[Change]) -> None:
        """Show changes of legs."""
        if self.roster.take(changes):
            self._arrange_soon()
        self.table.show_changes(key_of(each.sight) for each in changes)
        self.pane.draw()

    def receive_names(self, names: Mapping[str, str]) -> None:
        """Show the names of rooms, by conversation id."""
        if names != self.roster.names:
            self.roster.names = names
            self._arrange_soon()

    def arrange(self) -> None:
        """Arrange the rows, and draw all of them again."""
        self._is_arranging = False
        self.roster.arrange(self.clock.time(), kept=self.table.kept)
        self.table.show_rows()
        self._heads.refresh()
        self._title_bar.show()

    def tick(self) -> None:
        """Show the time that has passed."""
        if self.roster.needs_time or self.clock.time() >= self.roster.next_expiry:
            self._arrange_soon()
        self.table.tick()
        self._title_bar.show()
        self._show_status()
        self._news.tick()
        self.pane.draw()
        self.on_tick()

    def _arrange_soon(self) -> None:
        if not self.roster.rows:
            self.arrange()
        elif not self._is_arranging:
            self._is_arranging = True
            few = len(self.roster.sights) <= FEW
            self.set_timer(SOON_SECONDS if few else TICK_SECONDS, self.arrange)

    def _show_status(self) -> None:
        now = self.clock.monotonic()
        is_bad = self._status.is_bad(now)
        self._status_line.show(self._status.text(now), "bold $error" if is_bad else "dim")
        self._keys_line.display = self.size.height >= LOW
        self._keys_line.show(self._hints(), "dim")

    def _hints(self) -> str:
        marked = len(self.table.marked)
        marks = f"{marked} marked   " if marked else ""
        return f"{marks}? keys   / filter   s sort   space mark   enter details   q leave"

    # What the user acts on

    @property
    def current(self) -> Sight | None:
        """The leg under the cursor, or None."""
        row = self.table.row
        return None if row is None else self.roster.sights.get(row.key)

    def chosen(self) -> list[Sight]:
        """Return the marked legs or, if none is marked, the leg under the cursor."""
        marked = [self.roster.sights[key] for key in self.table.marked if key in self.roster.sights]
        current = self.current
        return marked or ([] if current is None else [current])

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Show a message below the table for some seconds."""
        self._news.say(text, is_bad=is_bad)

    def unmark(self, keys: Iterable[str]) -> None:
        """Remove the marks of some legs."""
        self.table.unmark(keys)
        self._show_status()

    def action_act(self, action: str) -> None:
        """Begin an action on the marked legs or, if none is marked, on the leg under the cursor."""
        if self.actions is None:
            return
        legs = self.chosen()
        if not legs and self.actions.needs_legs(action):
            is_room = isinstance(self.table.row, RoomRow)
            self.say(
                "Mark the legs of the room first, with the space bar."
                if is_room
                else "Move the cursor to a leg, or mark legs with the space bar."
            )
            return
        self.actions.act(action, legs)

    # Keys

    def action_sort(self) -> None:
        """Sort by the next column."""
        orders = list(Order)
        self._sort_by(orders[(orders.index(self.roster.order) + 1) % len(orders)])

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.roster.is_reversed = not self.roster.is_reversed
        self.arrange()

    def on_heads_clicked(self, message: Heads.Clicked) -> None:
        """Sort by a column or, if that is the order already, reverse the order."""
        if message.order is self.roster.order:
            self.action_reverse()
        else:
            self._sort_by(message.order)

    def _sort_by(self, order: Order) -> None:
        self.roster.order, self.roster.is_reversed = order, False
        self.arrange()
        self.say(f"Sorted by {order.value}.")

    def action_mark(self) -> None:
        """Mark or unmark the leg under the cursor, or all legs of the room under the cursor."""
        self.table.mark()

    def action_mark_all(self) -> None:
        """Mark all listed legs, or unmark them if all of them are marked."""
        self.table.mark_all()

    def action_fold_all(self) -> None:
        """Fold all rooms, or unfold them if all are folded."""
        self.table.fold_all()

    def action_copy(self) -> None:
        """Copy the id of the leg or conversation under the cursor to the clipboard of the terminal."""
        row = self.table.row
        if row is None:
            return
        sight = self.current
        id_ = row.key if sight is None else sight.call.uuid
        self.copy_to_clipboard(id_)
        self.say(f"Copied {id_}")

    def action_follow(self) -> None:
        """Keep the leg under the cursor in view, or stop doing so."""
        table, sight = self.table, self.current
        if table.followed is not None:
            table.followed = None
        elif sight is not None:
            table.followed = key_of(sight)
            self.roster.folded.discard(sight.call.conversation_uuid)
        self.arrange()

    def action_open(self) -> None:
        """Show or hide the details of the leg under the cursor; fold or unfold a room."""
        if isinstance(self.table.row, RoomRow):
            self.table.toggle_fold()
        else:
            self._show_pane(not self.pane.display)

    def on_leg_table_opened(self) -> None:
        """Show the details of the leg that was clicked twice."""
        self._show_pane(True)

    def _show_pane(self, is_shown: bool) -> None:
        self.pane.display = is_shown
        self.pane.show_leg(self.current)
        if is_shown:
            self.on_details()

    def action_scroll_details(self, by: int) -> None:
        """Scroll the details by some lines."""
        self.pane.scroll_relative(y=by, animate=False)

    def action_keys(self) -> None:
        """Show the list of the keys."""
        acts = () if self.actions is None else self.actions.keys
        self.push_screen(
            KeyList(
                {
                    "Move": shown_keys(self.table.BINDINGS),
                    "Look": shown_keys([*self.BINDINGS, *TerminalApp.BINDINGS]),
                    "Act on the marked legs or, if none is marked, on the leg under the cursor": [
                        (each.key, each.description) for each in acts
                    ],
                }
            )
        )

    def action_filter(self) -> None:
        """Open the line in which the filter is typed."""
        self._filter_line.open(self.roster.filter.text)

    def on_input_changed(self, event: Input.Changed) -> None:
        """List the legs that match the filter while it is typed."""
        if event.input is self._filter_line and self._filter_line.display:
            self.roster.filter = Filter.parse(event.value)
            self._arrange_soon()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, and go back to the table, to a leg that matches."""
        if event.input is self._filter_line:
            self._filter_line.close()
            self.table.focus()
            self.set_filter(event.value)
            if self.roster.filter:
                self.table.go_to_leg()

    def action_escape(self) -> None:
        """Undo one thing: what is typed as a filter, the details, the filter, or the marks."""
        if self._filter_line.display:
            before = self._filter_line.close()
            self.table.focus()
            self.set_filter(before)
        elif self.pane.display:
            self._show_pane(False)
        elif self.roster.filter:
            self.set_filter("")
        else:
            self.table.unmark(list(self.table.marked))
            self._show_status()

    def set_filter(self, text: str) -> None:
        """List only the legs that match a filter."""
        self.roster.filter = Filter.parse(text)
        self.arrange()

    def on_leg_table_folded(self) -> None:
        """Arrange the rows again, with the rooms folded as they are now."""
        self.arrange()

    def on_leg_table_moved(self) -> None:
        """Show how many legs are marked now, and the details of the leg under the cursor."""
        self._show_status()
        if self.pane.display:
            self.pane.show_leg(self.current)
            self.on_details()

    def on_resize(self, event: events.Resize) -> None:
        """Put the details beside the table if there is space."""
        is_wide = event.size.width >= WIDE
        self.query_one("#body").set_class(is_wide, "-beside")
        self.pane.set_class(is_wide, "-beside")

    def on_print(self, event: events.Print) -> None:
        """Keep a remark until the screen is closed, and show it until then."""
        lines = [line for line in event.text.split("\n") if line]
        self.remarks += lines
        for line in lines:
            self.say(line)
