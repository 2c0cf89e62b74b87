"""Run the switchboard on a terminal, and give the terminal back in every case."""

from __future__ import annotations

import shutil
import signal
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from voicectl.cli.output.text import clean, remark
from voicectl.cli.switchboard.acting import LegActions
from voicectl.cli.switchboard.app import Switchboard
from voicectl.cli.switchboard.readers import Readers
from voicectl.cli.switchboard.table.filters import Filter
from voicectl.cli.switchboard.table.last import last_table
from voicectl.cli.switchboard.table.roster import Roster
from voicectl.cli.switchboard.threads import Feed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.cli.context import App
    from voicectl.cli.switchboard.actions import Desk
    from voicectl.core.calls.selection import Selection
    from voicectl.core.watch.schedule import PollStatus
    from voicectl.core.watch.sight import Change

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def show(
    app: App,
    parts: App,
    status: PollStatus,
    rounds: Iterator[list[Change]],
    shown: Selection,
    desk: Desk,
    *,
    only: Selection,
    keeps_ended: bool,
) -> None:
    """Show live legs until the user leaves or the poller ends, and leave the last table on the terminal.

    Args:
        parts: The parts that the poller was made with, which are used in another thread.
        status: The state of polling.
        rounds: The rounds of the poller.
        shown: The conditions that set the filter at first.
        desk: The actions on legs.
        only: The conditions that every leg meets.
        keeps_ended: True to list all legs that have ended, False to hide them some seconds after their end.

    Raises:
        Interrupted: A signal arrived, or the user pressed Ctrl-C.
        VoicectlError: The poller ended with this error.
        OutcomeUnknown: A request that must not be repeated is still in flight.
    """
    board = switchboard(app, Roster(only, filter=filter_of(shown), keeps_ended=keeps_ended), status, desk)
    feed = Feed(board, parts, rounds)
    readers = Readers(board, app)
    board.on_shown, board.on_tick, board.on_details = feed.start, readers.tick, readers.begin_detail
    try:
        with _signals_end(board):
            try:
                outcome = board.run()
            finally:
                feed.close()
                readers.close()
                _leave(app, board, status)
    finally:
        _finish(desk)
    if board.failure is not None:
        raise board.failure
    if outcome is not None:
        raise outcome


def filter_of(selection: Selection) -> Filter:
    """Return the filter that lists the legs of a selection, whose conversation need not be filtered."""
    return Filter.of(
        {
            "to": selection.match_to,
            "from": selection.match_from,
            "status": selection.status,
            "direction": selection.direction,
        }
    )


def switchboard(app: App, roster: Roster, status: PollStatus, desk: Desk) -> Switchboard:
    """Return the application, with what it can do to legs."""
    board = Switchboard(
        roster,
        app.clock,
        status,
        title=app.target.name,
        show_time=app.terminal.local_time,
        is_colored=app.terminal.may_color,
        cut=app.terminal.cut,
        is_production=desk.is_production,
    )
    board.actions = LegActions(board, desk, partial(_rooms, app, roster))
    board.hold_keys()
    return board


def _rooms(app: App, roster: Roster) -> Iterator[str]:
    """Yield the names of the rooms on the screen, and of those into which this machine moved legs."""
    from voicectl.core.completion import rooms  # noqa: PLC0415 (only if a leg is moved)

    yield from roster.names.values()
    yield from rooms(app.state_directory, app.clock.time())


def _finish(desk: Desk) -> None:
    """Let the actions end that are running. Report their outcomes, and those that are unknown."""
    running = desk.running
    if running:
        remark(f"Waiting for {', '.join(action.title for action in running)}")
    try:
        desk.close()
    finally:
        for action in desk.actions:
            if action.is_over and (action.is_unknown or action in running):
                remark(action.summary())


def _leave(app: App, board: Switchboard, status: PollStatus) -> None:
    """Print the last table and the remarks to the normal screen."""
    width = shutil.get_terminal_size().columns
    color, cut = app.terminal.may_color, app.terminal.cut
    lines = last_table(board.roster, now=app.clock.time(), width=width, is_colored=color, cut=cut)
    app.terminal.write("".join(f"{line}\n" for line in lines))
    now = app.clock.monotonic()
    if status.is_bad(now):
        remark(clean(status.text(now)))
    for line in board.remarks:
        remark(line)


@contextmanager
def _signals_end(board: Switchboard) -> Iterator[None]:
    """Let signals end the application, rather than interrupt it at any point. While it ends, they have no effect."""
    before = {each: signal.getsignal(each) for each in SIGNALS}

    def end(signum: int, _frame: object) -> None:
        board.interrupt(signum)

    try:
        for each, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(each, end)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
