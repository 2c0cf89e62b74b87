"""``watch``: show live legs as they change, in a table or as a line for each change."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from voicectl import times
from voicectl.cli.arguments import LEGS_FORMS, check_once
from voicectl.cli.commands.wait import parse_status
from voicectl.cli.context import App, current
from voicectl.cli.output.text import is_terminal, remark
from voicectl.cli.output.views import PARTIES, SEEN
from voicectl.cli.output.writer import View
from voicectl.cli.selectors import Selectors
from voicectl.core.calls.selection import Direction, Selection
from voicectl.core.calls.wait import Waiter
from voicectl.core.history import forms
from voicectl.core.watch.board import Board
from voicectl.core.watch.poller import Poller, Tail
from voicectl.core.watch.schedule import PollSchedule
from voicectl.core.watch.sight import Change
from voicectl.errors import InputError, JournalError
from voicectl.voice.call import LIVE, CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from voicectl.cli.named_legs import NamedLegs
    from voicectl.cli.output.writer import Writer
    from voicectl.clock import Clock
    from voicectl.core.watch.schedule import PollStatus
    from voicectl.store.journal import Journal

WAIT_SECONDS = 90.0
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
            metavar="[LEG...]",
            help=f"Watch only these legs: {LEGS_FORMS}.",
            show_default=False,
            callback=lambda words: check_once(words or []),
        ),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="ROOM|CON-ID", help="Watch only legs in this conversation.")
    ] = None,
    status: Annotated[
        CallStatus | None,
        typer.Option(metavar="STATUS", help=f"Watch only legs with this status: {', '.join(LIVE)}."),
    ] = None,
    direction: Annotated[
        Direction | None, typer.Option(metavar="DIRECTION", help=f"Watch only {' or '.join(Direction)} legs.")
    ] = None,
    match_to: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB", help="Watch only legs to numbers that match this pattern, such as '4477*'."
        ),
    ] = None,
    match_from: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Watch only legs from numbers that match this pattern.")
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
    lines: Annotated[
        bool, typer.Option("--lines", help="Print each change as a line, even on a terminal.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Disable the keys that change anything.")
    ] = False,
    max_: Annotated[
        int,
        typer.Option(
            "--max", min=1, metavar="N", help="Refuse to act on more than N legs at once from the screen."
        ),
    ] = 10,
) -> None:
    """Watch live legs in a full-screen view or, if the output is not a terminal, as lines.

    The screen lists the legs by room; press ? for its keys. The options --status, --direction, --match-to and
    --match-from set its filter, and / changes it. The screen needs standard input, output and error to be terminals,
    and is not used with --lines or TERM=dumb. Without it, each change is printed as a line.

    Keys act on the leg under the cursor or on those marked with the space bar: t speaks text, d presses keys, v moves
    it to a room, h hangs up, and ? lists the others. The screen asks before it hangs up, transfers, or changes
    several legs, and before every change if the profile is a production profile; --yes does not answer these
    questions.

    Events that 'webhook serve' stores are shown as soon as they arrive. If they contradict the API's record of a leg,
    the leg is marked, and its 'disagreement' field describes the contradiction. The last line says whether 'webhook
    serve' is running on this machine, and when the last event arrived. A leg is shown as muted if it was muted from
    this machine; '?' means unknown. An age of '>3m' means that the leg was first seen 3 minutes ago, and may be
    older. JSON output has one line per change. Ctrl-C stops the command, with exit status 130; on the screen, q stops
    it with exit status 0.

    With --for, the command stops by itself. The exit status is 8 if the wait timed out, and 11 if a leg ended in a
    status other than the one waited for. Without LEG, the command waits for every live leg that the options select;
    if there are no such legs, --for ended succeeds at once.

    Examples:
      $ voicectl watch "$SHORT_CALL" --for ended
      $ voicectl watch "$LEG" "$OTHER" --for answered -o jsonl
      $ voicectl watch --conversation "$CONVERSATION" --for answered --interval 5
    """
    app = current(ctx)
    awaited = None if until is None else parse_status(app, until)
    if until is None and timeout is not None:
        raise InputError("--timeout needs --for STATUS.", hint="Without --for, 'watch' runs until Ctrl-C.")
    selectors = Selectors(
        conversation=conversation,
        status=status,
        direction=direction,
        match_to=match_to,
        match_from=match_from,
    )
    if legs and selectors.are_given:
        option = selectors.narrowing[0]
        raise InputError(f"LEG and {option} cannot be used together.", hint="Give only one of them.")
    seconds = WAIT_SECONDS if timeout is None else times.duration(timeout)
    pause = times.duration(interval)
    if pause <= 0:
        raise InputError("--interval must be more than 0.", hint="Leave it out for the default, 2 s.")
    is_screen = not lines and _has_screen(app)
    named = _named(app.legs, legs or [])
    selection = selectors.read(app, may_be_all=True)

    def watching(parts: App, selection: Selection) -> Watching:
        board, poller = _watched(parts, named, selection, pause, is_steady=awaited is not None)
        rounds = poller.rounds()
        if awaited is not None:
            rounds = Waiter(poller, board, app.clock, awaited, seconds).rounds()
        return Watching(poller.status, rounds)

    if is_screen:
        _show(
            app,
            watching,
            selection,
            limit=0 if read_only else max_,
            is_restricted=awaited is not None,
            keeps_ended=named is not None,
        )
        return
    app.terminal.stream_records()
    with app.terminal.writer(VIEW, is_many=True) as out:
        _print(app, watching(app, selection), out)


class Watching(NamedTuple):
    """A poller.

    Attributes:
        status: The state of polling.
        rounds: The changes of legs, round by round.
    """

    status: PollStatus
    rounds: Iterator[list[Change]]


def _print(app: App, watching: Watching, out: Writer) -> None:
    """Print a line for each change of a leg."""
    if watching.status.is_receiving is False:
        remark(watching.status.events_text(app.clock.monotonic()))
    report_troubles = _troubles(app.clock, watching.status)
    for changes in watching.rounds:
        for change in changes:
            out.add(_record(change))
        if changes:
            out.flush()
        report_troubles()


def _show(
    app: App,
    watching: Callable[[App, Selection], Watching],
    selection: Selection,
    *,
    limit: int,
    is_restricted: bool,
    keeps_ended: bool,
) -> None:
    """Show the legs on a screen.

    Args:
        selection: The conditions that the options set. All but the conversation become the filter of the screen.
        limit: The greatest number of legs on which the user may act at once. 0 for a screen that changes nothing.
        is_restricted: True to watch only legs that meet all conditions, because the command waits for them.
    """
    from voicectl.cli.switchboard import run  # noqa: PLC0415 (loads Textual, for the screen only)
    from voicectl.cli.switchboard.actions import Desk  # noqa: PLC0415 (as above)

    only = selection if is_restricted else Selection(conversation=selection.conversation)
    parts = app.beside()
    status, rounds = watching(parts, only)
    desk = Desk(app, limit=limit)
    run.show(app, parts, status, rounds, selection, desk, only=only, keeps_ended=keeps_ended)


def _watched(
    app: App, named: Sequence[str] | None, selection: Selection, pause: float, *, is_steady: bool
) -> tuple[Board, Poller]:
    """Return a board, which holds the legs to watch, and a poller, which updates the board."""
    clock = app.clock
    tail = None if app.history is None else Tail(lambda: app.event_store, clock)
    board = Board(
        named=named,
        selection=selection,
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


def _has_screen(app: App) -> bool:
    """Return True if the screen can be used, and no option asks for other output.

    Textual draws on standard error and reads keys from standard input, and the last table goes to standard output.
    """
    terminal, options = app.terminal, app.options
    is_asked = terminal.format.is_table and not options.fields and not options.quiet
    return is_asked and terminal.has_screen and is_terminal(sys.stdin) and is_terminal(sys.stderr)


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
    age = times.age_text(sight.age(change.at), is_exact=sight.birth.is_exact)
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
