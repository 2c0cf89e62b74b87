"""The application: its keys, and what it does with changes of legs."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.filter import Monochrome, NoColor

from voicectl.cli.switchboard.filters import Filter
from voicectl.cli.switchboard.held_keys import HeldKeysApp
from voicectl.cli.switchboard.lines import Lines, News, TitleBar
from voicectl.cli.switchboard.roster import Order, RoomRow
from voicectl.cli.switchboard.table import Heads, LegTable, key_of
from voicectl.errors import Interrupted

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.filter import LineFilter

    from voicectl.cli.switchboard.keys import Actions
    from voicectl.cli.switchboard.roster import Roster
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

THEMES = ("ansi-dark", "textual-light", "textual-dark")
"""The terminal's own colors, and a light and a dark theme that do not depend on them."""


class Switchboard(HeldKeysApp[BaseException | None]):
    """The screen of ``watch``.

    Changes of legs come in through :meth:`receive`. The result of :meth:`run` is the error that ends the command, or
    None if the user has left.

    Args:
        roster: The legs that it shows.
        status: The state of polling, which is shown below the table.
        title: The name of the target, and of what the list is restricted to.
        is_colored: False to use no colors.
        cut: The character that marks where text was cut off.
        is_production: True if the legs belong to a production profile.

    Attributes:
        actions: The actions on legs, or None if there are none. It must be set before the application is run.
        on_shown: A function that is called when the screen is shown for the first time.
        remarks: The lines that were written to standard error while the screen was in use.
    """

    ENABLE_COMMAND_PALETTE = False
    NOTIFICATION_TIMEOUT = 10

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Leave"),
        Binding("ctrl+c", "interrupt", "Leave, with exit status 130", priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", priority=True),
        Binding("question_mark", "keys", "Show the keys"),
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort by the next column"),
        Binding("S", "reverse", "Reverse the order"),
        Binding("space", "mark", "Mark or unmark the leg, or all legs of a room"),
        Binding("asterisk", "mark_all", "Mark or unmark all listed legs"),
        Binding("enter", "open", "Show or hide the details"),
        Binding("minus", "fold_all", "Fold or unfold all rooms"),
        Binding("f", "follow", "Follow the leg, or stop following it"),
        Binding("y", "copy", "Copy the id"),
        Binding("l", "theme", "Change between the terminal's colors, light and dark"),
        Binding("escape", "escape", "Close the details, remove the filter and the marks"),
    ]

    CSS = """
    Screen { overflow: hidden; }
    #body { height: 1fr; }
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
        is_colored: bool,
        cut: str,
        is_production: bool = False,
    ) -> None:
        super().__init__()
        self.theme = THEMES[0]
        self.roster = roster
        self.clock = clock
        self.remarks: list[str] = []
        self._status = status
        self._is_colored = is_colored
        self.actions: Actions | None = None
        self.on_shown: Callable[[], None] = lambda: None
        self._loop_of_keys: AbstractEventLoop | None = None
        self._is_arranging = False
        self.table = LegTable(roster, clock, cut=cut)
        self._heads = Heads(self.table, roster, cut=cut)
        self._title_bar = TitleBar(roster, clock, title)
        self._title_bar.set_class(is_production, "-production")
        self._news = News(clock)
        self._status_line = Lines()
        self._keys_line = Lines()

    def compose(self) -> ComposeResult:
        """Lay out the lines above the table, the table, and the lines below it."""
        yield self._title_bar
        with Horizontal(id="body"), Vertical(id="list"):
            yield self._heads
            yield self.table
        yield self._news
        yield self._status_line
        yield self._keys_line

    def on_load(self) -> None:
        """Remember the event loop, which is needed to end the application when a signal arrives."""
        self._loop_of_keys = asyncio.get_running_loop()

    def interrupt(self, signum: int) -> None:
        """End the application because a signal arrived. Only a signal handler may call this method.

        Raises:
            Interrupted: The application has not started.
        """
        if self._loop_of_keys is None:
            raise Interrupted(signum)
        if not self._loop_of_keys.is_closed():
            self._loop_of_keys.call_soon_threadsafe(self.exit, Interrupted(signum))

    def on_mount(self) -> None:
        """Begin to show the time that passes."""
        self.begin_capture_print(self)
        for key in () if self.actions is None else self.actions.keys:
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

    def _arrange_soon(self) -> None:
        if not self._is_arranging:
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
            self.say("Move the cursor to a leg, or mark legs with the space bar.")
            return
        self.actions.act(action, legs)

    # Keys

    def action_leave(self) -> None:
        """Leave, with exit status 0."""
        self.exit(None)

    def action_interrupt(self) -> None:
        """Leave, with exit status 130."""
        self.exit(Interrupted(signal.SIGINT))

    def action_suspend_process(self) -> None:
        """Suspend this process and those that started it, as Ctrl-Z does. The screen is drawn again on ``fg``.

        Without a shell that could continue it, the signal has no effect.
        """
        with self.suspend():
            before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(0, signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, before)

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

    def action_theme(self) -> None:
        """Change between the terminal's own colors, a light and a dark theme."""
        self.theme = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]

    def action_open(self) -> None:
        """Show or hide the details of the leg under the cursor; fold or unfold a room."""
        if isinstance(self.table.row, RoomRow):
            self.table.toggle_fold()

    def action_escape(self) -> None:
        """Remove the filter, or else the marks."""
        if self.roster.filter:
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
        """Show how many legs are marked now."""
        self._show_status()

    def on_print(self, event: events.Print) -> None:
        """Keep a remark until the screen is closed, and show it until then."""
        lines = [line for line in event.text.split("\n") if line]
        self.remarks += lines
        for line in lines:
            self.say(line)

    # Textual

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filters of all output: without colors, :class:`textual.filter.NoColor` takes them away."""
        filters = [each for each in super().get_line_filters() if not isinstance(each, Monochrome | NoColor)]
        return filters if self._is_colored else [*filters, NoColor()]

    @property
    def failure(self) -> BaseException | None:
        """The unexpected error that ended the application, or None."""
        return self._exception

    def _fatal_error(self) -> None:
        """End without the traceback that Textual would print, which could show secrets."""
        self._close_messages_no_wait()
