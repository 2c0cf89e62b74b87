"""``watch``: show live legs as they change, in a table or as a line for each change."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import LEGS_FORMS, check_once
from voicectl.cli.commands.wait import parse_status
from voicectl.cli.context import App, current
from voicectl.cli.output.text import remark
from voicectl.cli.output.views import PARTIES, SEEN
from voicectl.cli.output.writer import View
from voicectl.core.calls.wait import Waiter
from voicectl.core.history import forms
from voicectl.core.watch.board import Board
from voicectl.core.watch.frame import age_text
from voicectl.core.watch.poller import Poller, Tail
from voicectl.core.watch.schedule import PollSchedule, PollStatus
from voicectl.core.watch.sight import Change
from voicectl.errors import InputError, JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from voicectl.cli.named_legs import NamedLegs
    from voicectl.cli.terminal import Options, Terminal
    from voicectl.clock import Clock
    from voicectl.store.journal import Journal

WAIT_SECONDS = 90.0
MOST_ROWS = 500
"""The greatest number of legs in the table, which is more than any terminal can show."""

FRAME_SECONDS = 1.0
"""The time between redraws while nothing changes, in seconds. Redraws remove legs that ended a while ago."""

VIEW = View(
    columns=(
        *PARTIES,
        "conversation_uuid",
        "change",
        "at",
        "age",
        "since",
        "since_source",
        "muted",
        "earmuffed",
        "status_source",
        "disagreement",
    ),
    more=SEEN.more,
    times=SEEN.times,
    utc_times=frozenset({"at", "since"}),
    line="{at}  {uuid}  {status:9} {direction:8}  {from} -> {to}  {change}  {disagreement}",
)


def watch(
    ctx: typer.Context,
    legs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LEG]...",
            help=f"Watch only these legs: {LEGS_FORMS}.",
            show_default=False,
            callback=lambda words: check_once(words or []),
        ),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="ROOM|CON-ID", help="Watch only legs in this conversation.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="STATUS", help="Stop when every leg has reached this status, as in 'wait'."
        ),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="With --for, stop after this long (default 90 s).")
    ] = None,
    interval: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Poll the API this often, or less often if nothing changes."),
    ] = "2s",
) -> None:
    """Watch live legs: as a table on a terminal, otherwise as one line per change.

    Events that 'webhook serve' stores are shown at once. If they contradict the API's record of a leg, the leg is
    marked, and its field 'disagreement' says how. The last line says whether 'webhook serve' is running on this
    machine, and when the last event arrived. A leg is shown as muted if it was muted from this machine; '?' means
    unknown. An age of '>3m' means that the leg was first seen 3 minutes ago, and may be older. JSON output has one
    line per change. Ctrl-C stops the command, with exit status 130.

    With --for, it stops by itself. Exit status 8: the wait timed out. 11: a leg ended in a status other than the one
    waited for. Without LEG, it waits for every live leg; if there are none, 'ended' is reached at once.

    Examples:
      $ voicectl watch "$SHORT_CALL" --for ended
      $ voicectl watch "$LEG" "$OTHER" --for answered -o jsonl
      $ voicectl watch --conversation "$CONVERSATION" --for answered --interval 5
    """
    app = current(ctx)
    status = None if until is None else parse_status(app, until)
    if until is None and timeout is not None:
        raise InputError("--timeout needs --for STATUS.", hint="Without --for, 'watch' runs until Ctrl-C.")
    if legs and conversation is not None:
        raise InputError("LEG and --conversation cannot be used together.", hint="Give only one of them.")
    seconds = WAIT_SECONDS if timeout is None else times.duration(timeout)
    pause = times.duration(interval)
    if pause <= 0:
        raise InputError("--interval must be more than 0.", hint="Leave it out for the default, 2 s.")
    is_screen = _has_screen(app.terminal, app.options)
    app.terminal.stream_records()
    with app.terminal.writer(VIEW, is_many=True) as out:
        board, poller = _watched(app, legs or [], conversation, pause, is_steady=status is not None)
        rounds = poller.rounds()
        if status is not None:
            rounds = Waiter(poller, board, app.clock, status, seconds).rounds()
        if is_screen:
            _show(app, board, poller.status, rounds)
            return
        if poller.status.is_receiving is False:
            remark(poller.status.events_text(app.clock.monotonic()))
        report_troubles = _troubles(app.clock, poller.status)
        for changes in rounds:
            for change in changes:
                out.add(_record(change))
            if changes:
                out.flush()
            report_troubles()


def _watched(
    app: App, legs: Sequence[str], conversation: str | None, pause: float, *, is_steady: bool
) -> tuple[Board, Poller]:
    """Return a board, which holds the legs to watch, and a poller, which updates the board."""
    named = _named(app.legs, legs)
    if conversation is not None:
        from voicectl.core.calls.conversations import conversation_id  # noqa: PLC0415 (for this option only)

        conversation = conversation_id(app.conversations, conversation)
    clock = app.clock
    tail = None if app.history is None else Tail(lambda: app.event_store, clock)
    board = Board(
        named=named,
        conversation=conversation,
        born=_births(app.state_directory, lambda: app.journal),
        past=tail.past if tail is not None else lambda _: [],
        offset=app.clock_offset,
    )
    schedule = PollSchedule(pause, clock.monotonic(), is_steady=is_steady)
    poller = Poller(
        app.api,
        clock,
        board,
        schedule,
        tail=tail,
        notes=app.action_log,
        check=app.interrupts.check,
        is_receiving=lambda: app.is_receiving,
    )
    return board, poller


def _named(legs: NamedLegs, words: Sequence[str]) -> list[str] | None:
    """Return the ids of the legs that *words* name, or None if there are no words."""
    if not words:
        return None
    named = legs.words(words)
    if not named:
        raise InputError("Standard input lists no legs.", hint="To watch all live legs, leave out the -.")
    return list(legs.live_legs(named))


def _births(directory: Path, journal: Callable[[], Journal]) -> Callable[[str], float | None]:
    """Return a function that looks up in the journal when the call that created a leg was requested.

    The function takes a leg id and returns Unix seconds, or None if the journal does not contain the leg or cannot be
    used.
    """
    if not (directory / "journal.db").exists():
        return lambda _: None
    is_usable = True

    def born(uuid: str) -> float | None:
        nonlocal is_usable
        try:
            intents = [journal().by_leg(name) for name in forms(uuid) if is_usable]
        except JournalError as exc:
            is_usable = False
            remark(f"warning: continuing without the journal: {exc.message}")
            return None
        return next((intent.asked_at for intent in intents if intent is not None), None)

    return born


def _has_screen(terminal: Terminal, options: Options) -> bool:
    """Return True if standard output can show a table that is redrawn, and no option asks for other output."""
    is_asked = terminal.format.is_table and not options.fields and not options.quiet
    return is_asked and terminal.has_screen


def _show(app: App, board: Board, status: PollStatus, rounds: Iterator[list[Change]]) -> None:
    """Redraw the table as legs change, and leave its last state on the terminal."""
    from voicectl.cli.output.watch_screen import Screen  # noqa: PLC0415 (loads rich, for a table on a terminal only)

    clock = app.clock
    drawn = -math.inf
    with Screen(sys.stdout, app.environ, clock, status, title=app.target.name) as screen:
        try:
            for changes in rounds:
                now = clock.monotonic()
                if changes or now - drawn >= FRAME_SECONDS:
                    screen.show(board.frame(clock.time(), most=MOST_ROWS))
                    drawn = now
        finally:
            screen.show(board.frame(clock.time(), most=MOST_ROWS, with_over=True))


def _troubles(clock: Clock, status: PollStatus) -> Callable[[], None]:
    """Return a function that reports failures and recoveries of the API and of the event store.

    Each failure and each recovery is reported once.
    """
    reported = {"api": False, "events": False}

    def report() -> None:
        for name, trouble in (("api", status.trouble), ("events", status.events)):
            if (trouble is not None) is not reported[name]:
                reported[name] = trouble is not None
                again = (
                    "The API is answering again." if name == "api" else "The event store is working again."
                )
                failed = status.api_text(clock.monotonic()) if name == "api" else status.events_failure
                remark(again if trouble is None else f"warning: {failed}")

    return report


def _record(change: Change) -> dict[str, Any]:
    """Return a record that names the kind of change, and describes the leg after the change."""
    sight = change.sight
    age = age_text(sight.age(change.at), is_exact=sight.birth.is_exact)
    return sight.call.raw | {
        "change": change.kind.value,
        "at": times.utc(change.at, timespec="milliseconds"),
        "age": age,
        "since": times.utc(sight.birth.at),
        "since_source": sight.birth.source.value,
        "muted": sight.marks.muted,
        "earmuffed": sight.marks.earmuffed,
        "disagreement": sight.disagreement,
    }
