"""Act on the live legs that options select, instead of on named legs."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl import times
from voicectl.cli.arguments import LEGS_HELP, check_once
from voicectl.cli.consent import imperative
from voicectl.cli.output.text import is_terminal, remark
from voicectl.cli.targets import each_leg, targets
from voicectl.core.calls.conversations import conversation_id
from voicectl.core.calls.selection import PICKED_UP, Direction, Selection, find
from voicectl.errors import GuardError, InputError, RateLimitedError, TransportError, VoicectlError
from voicectl.voice import endpoint
from voicectl.voice.call import LIVE, CallStatus, hyphenated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from voicectl.cli.context import App
    from voicectl.cli.targets import LegOperation, Targets
    from voicectl.voice.call import Call

POLL_SECONDS = 1.0
LEAST_SECONDS = 0.01

SomeLegs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LEG...]", help=LEGS_HELP, show_default=False, callback=lambda words: check_once(words or [])
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectors:
    """The options that select legs, as given on the command line."""

    conversation: Annotated[
        str | None, typer.Option(metavar="ROOM|CON-ID", help="Select legs in this conversation.")
    ] = None
    status: Annotated[
        CallStatus | None,
        typer.Option(metavar="STATUS", help=f"Select legs with this status: {', '.join(LIVE)}."),
    ] = None
    direction: Annotated[
        Direction | None, typer.Option(metavar="DIRECTION", help=f"Select {' or '.join(Direction)} legs.")
    ] = None
    match_to: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Select legs to numbers that match this pattern, such as '4477*'."),
    ] = None
    match_from: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Select legs from numbers that match this pattern.")
    ] = None
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Select legs at least this old; legs of unknown age never match."
        ),
    ] = None
    except_: Annotated[
        list[str] | None, typer.Option("--except", metavar="LEG", help="Exclude this leg. Repeatable.")
    ] = None
    all_: Annotated[bool, typer.Option("--all", help="Select every live leg.")] = False

    @property
    def are_given(self) -> bool:
        """True if any of the options is given."""
        return any(getattr(self, each.name) not in (None, False, []) for each in fields(self))

    @property
    def narrowing(self) -> list[str]:
        """The given options other than ``--all`` and ``--except``, as arguments of a command line."""
        words: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and each.name not in ("except_", "all_"):
                words += [f"--{each.name.replace('_', '-')}", str(value)]
        return words

    def read(self, app: App, *, may_be_all: bool = False) -> Selection:
        """Return the selection, after looking up the room and the legs that the options name.

        Args:
            may_be_all: True to select every live leg if none of the options is given.

        Raises:
            InputError: The options cannot be used together, or one is invalid.
            LegError: A room or leg that an option names was not found, or the name is ambiguous.
        """
        if self.all_ and self.narrowing:
            raise InputError(
                f"--all and {self.narrowing[0]} cannot be used together.", hint="Use one of them."
            )
        if not (self.all_ or self.narrowing or may_be_all):
            raise InputError(
                "--except needs an option that selects legs.", hint="Add --all to select all others."
            )
        if self.status is not None and self.status not in LIVE:
            raise InputError(
                f"Legs with status {self.status} have ended.", hint=f"Use one of {', '.join(LIVE)}."
            )
        for option, glob in (("--match-to", self.match_to), ("--match-from", self.match_from)):
            if glob is not None and not glob.strip():
                raise InputError(
                    f"{option} is empty.",
                    hint="Write a pattern such as '4477*'. If you used a shell variable, check that it is set.",
                )
        return Selection(
            older_than=None if self.older_than is None else times.duration(self.older_than),
            except_=frozenset(_excepted(app, name) for name in self.except_ or []),
            conversation=None
            if self.conversation is None
            else conversation_id(app.conversations, self.conversation),
            status=self.status,
            direction=self.direction,
            match_to=self.match_to,
            match_from=self.match_from,
        )


def choose(legs: Sequence[str] | None, selectors: Selectors) -> bool:
    """Return True if legs are selected by options, or False if they are named by arguments.

    Raises:
        InputError: Legs are neither named nor selected, or they are both named and selected.
    """
    if legs and selectors.are_given:
        raise InputError(
            "LEG... and options that select legs cannot be used together.", hint="Use one of them."
        )
    if not legs and not selectors.are_given:
        raise InputError(
            "No leg was given.",
            hint="Name legs, or select them: --conversation ROOM, --status STATUS, --all ...",
        )
    return not legs


def each_chosen(
    app: App, legs: Sequence[str] | None, selectors: Selectors, operation: LegOperation, *, limit: int
) -> None:
    """Run *operation* on every named leg or, if no leg is named, on every selected leg."""
    if legs:
        each_leg(app, legs, operation, limit=limit)
    else:
        each_selected(app, selectors, operation, limit=limit)


def each_selected(
    app: App,
    selectors: Selectors,
    operation: LegOperation,
    *,
    limit: int,
    is_meant: Callable[[Call], bool] = lambda _: True,
    may_be_all: bool = False,
) -> None:
    """Run *operation* on every selected leg, after confirmation, and then on legs that have since come to match.

    The function returns when no new leg matches. If the new legs would exceed the limit, it returns without acting on
    them.

    Args:
        limit: The value of ``--max``, which applies to all legs together.
        is_meant: A function that returns True if *operation* should be run on a selected leg.
        may_be_all: True to select every live leg if no option is given.
    """
    with targets(app, operation, is_many=True) as several:
        matching = _Matching(app, selectors.read(app, may_be_all=may_be_all), LIVE, is_meant)
        found = matching.look()
        if not found:
            remark("No live leg matches.")
        app.consent.confirm(
            operation.name, map(_line, found), limit=limit, is_selected=True, how=operation.how
        )
        app.consent.announce()
        while found:
            operation.run_each(several, matching.take(found))
            if app.options.dry_run:
                break
            try:
                found = matching.look()
            except VoicectlError as exc:
                exc.hint = f"More legs may match by now. {exc.hint or ''}".rstrip()
                several.report(exc)
                break
            if not matching.admits(several, operation.name, found, limit):
                break


def hold_selected(
    app: App, selectors: Selectors, operation: LegOperation, *, limit: int, duration: str
) -> None:
    """Run *operation* on every selected leg and, for *duration*, on each leg that matches later.

    If the operation fails for a leg, the leg is tried again. Only answered legs are selected, because the platform
    refuses the operation for other legs.
    """
    seconds = times.duration(duration)
    if selectors.older_than is not None:
        raise InputError("--hold and --older-than cannot be used together.", hint="Leave one of them out.")
    with targets(app, operation, is_many=True) as several:
        matching = _Matching(app, selectors.read(app), PICKED_UP)
        found = matching.look()
        app.consent.confirm(
            operation.name,
            map(_line, found),
            limit=limit,
            is_selected=True,
            later=duration,
        )
        app.consent.announce()
        left_to_do: dict[str, None] = {}
        give_up = app.clock.monotonic() + seconds
        is_blind = False
        try:
            while matching.admits(several, operation.name, found, limit, is_shown=bool(matching.seen)):
                left_to_do |= dict.fromkeys(matching.take(found))
                left_to_do = {uuid: None for uuid in left_to_do if not several.do(uuid)}
                app.interrupts.check()
                left = give_up - app.clock.monotonic()
                if left <= 0 or app.options.dry_run:
                    break
                app.clock.sleep(min(POLL_SECONDS, max(left, LEAST_SECONDS)))
                try:
                    found = matching.look()
                    is_blind = False
                except (TransportError, RateLimitedError) as exc:
                    found = []
                    if not is_blind:
                        remark(f"warning: new legs cannot be detected at the moment: {exc.message}")
                    is_blind = True
        finally:
            if several.done:
                profile = ["-p", app.options.profile] if app.options.profile else []
                undo = shlex.join(["voicectl", *profile, operation.name, "--undo", *selectors.narrowing])
                past = operation.name + ("d" if operation.name.endswith("e") else "ed")
                remark(f"Still {past}: {_count(several.done)}. To undo this: {undo}")


@dataclass(slots=True)
class _Matching:
    """Finds the legs that match a selection, each only once.

    Attributes:
        statuses: The statuses to search for.
        is_meant: A function that returns True if a matching leg should be acted on.
        seen: The hyphenated ids of the legs that :meth:`take` has returned.
    """

    app: App
    selection: Selection
    statuses: Sequence[CallStatus]
    is_meant: Callable[[Call], bool] = lambda _: True
    seen: set[str] = field(default_factory=set)

    def look(self) -> list[Call]:
        """Return the legs that match now and that :meth:`take` has not returned before."""
        app = self.app
        found = find(app.api, self.selection, ages=lambda: app.ages, statuses=self.statuses)
        new = {hyphenated(call.uuid): call for call in found if self.is_meant(call)}
        return [call for uuid, call in new.items() if uuid not in self.seen]

    def take(self, found: Iterable[Call]) -> list[str]:
        """Return the ids of the legs *found*, and leave out these legs in later searches."""
        uuids = [call.uuid for call in found]
        self.seen |= set(map(hyphenated, uuids))
        return uuids

    def admits(
        self, several: Targets, action: str, found: Sequence[Call], limit: int, *, is_shown: bool = True
    ) -> bool:
        """Show the new legs *found*, and return True. If they would exceed *limit*, report this and return False."""
        if len(self.seen) + len(found) > limit:
            several.report(
                GuardError(
                    f"{action} would act on {_count(found, ' more')}, but --max is {limit} in total.",
                    hint="They were left unchanged. Run the command again with a larger --max.",
                )
            )
            return False
        if found and is_shown:
            remark(f"{imperative(action)} {_count(found, ' more')}:")
            for call in found:
                remark(f"  {_line(call)}")
        return True


def _excepted(app: App, name: str) -> str:
    """Return the hyphenated id of the leg that an ``--except`` option names.

    The leg is looked up, so that a mistyped id is noticed.

    Raises:
        LegError: *name* matches no leg or several legs.
        NotFoundError: The API knows no such leg.
    """
    uuid = app.legs.live_leg(name)
    if app.api.get_call(uuid).is_final:
        remark(f"{uuid} has ended, so --except has no effect.")
    return hyphenated(uuid)


def _line(call: Call) -> str:
    """Return a line that describes a leg.

    On a terminal, the line lacks the direction, so that it usually fits into 80 columns.
    """
    from_, to = (endpoint.label(party) or "-" for party in (call.from_, call.to))
    direction = "" if is_terminal(sys.stderr) else f"  {call.direction or '-'}"
    return f"{call.uuid}  {call.status}{direction}  {from_} -> {to}"


def _count(legs: Sequence[object], more: str = "") -> str:
    return f"{len(legs)}{more} leg{'s' * (len(legs) != 1)}"
