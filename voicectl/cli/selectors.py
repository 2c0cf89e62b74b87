"""Acting on the live legs that options select, in place of legs that are named."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl import times
from voicectl.cli.arguments import LEGS_HELP, check_once
from voicectl.cli.output.text import remark
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
    """The options that select legs, as typed."""

    conversation: Annotated[
        str | None, typer.Option(metavar="ROOM|CON-ID", help="Legs in this conversation.")
    ] = None
    status: Annotated[
        CallStatus | None, typer.Option(metavar="STATUS", help=f"Legs of this status: {', '.join(LIVE)}.")
    ] = None
    direction: Annotated[
        Direction | None, typer.Option(metavar="DIRECTION", help=f"{' or '.join(Direction)} legs.")
    ] = None
    match_to: Annotated[str | None, typer.Option(metavar="GLOB", help="Legs to numbers like '4477*'.")] = None
    match_from: Annotated[str | None, typer.Option(metavar="GLOB", help="The same for the caller.")] = None
    older_than: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Legs made so long ago or longer; none of unknown age."),
    ] = None
    except_: Annotated[
        list[str] | None, typer.Option("--except", metavar="LEG", help="But not this leg. Repeatable.")
    ] = None
    all_: Annotated[bool, typer.Option("--all", help="Every live leg.")] = False

    @property
    def are_given(self) -> bool:
        """Whether any of them is."""
        return any(getattr(self, each.name) not in (None, False, []) for each in fields(self))

    @property
    def narrowing(self) -> list[str]:
        """Those that say which legs are meant, as words of a command line."""
        words: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and each.name not in ("except_", "all_"):
                words += [f"--{each.name.replace('_', '-')}", str(value)]
        return words

    def read(self, app: App, *, may_be_all: bool = False) -> Selection:
        """What they select, once the room and the legs that they name are known.

        Args:
            may_be_all: Every live leg is meant where nothing is said.

        Raises:
            InputError: They contradict each other, or one says nothing.
            LegError: A room or a leg that they name is not known.
        """
        if self.all_ and self.narrowing:
            raise InputError(
                f"--all means every live leg, and {self.narrowing[0]} some of them.", hint="Give one of them."
            )
        if not (self.all_ or self.narrowing or may_be_all):
            raise InputError("--except alone does not say which legs.", hint="Add --all for all others.")
        if self.status is not None and self.status not in LIVE:
            raise InputError(
                f"A leg that is {self.status} is over.", hint=f"--status takes {', '.join(LIVE)}."
            )
        for option, glob in (("--match-to", self.match_to), ("--match-from", self.match_from)):
            if glob is not None and not glob.strip():
                raise InputError(f"{option} is empty.", hint="Write it as '4477*'. Is a variable not set?")
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
    """Whether legs are selected, and not named.

    Raises:
        InputError: Neither, or both.
    """
    if legs and selectors.are_given:
        raise InputError(
            "Legs are named, and options select legs.", hint="Give one of them: LEG..., or the options."
        )
    if not legs and not selectors.are_given:
        raise InputError(
            "No leg is named.",
            hint="Name legs, or select them: --conversation ROOM, --status STATUS, --all ...",
        )
    return not legs


def each_chosen(
    app: App, legs: Sequence[str] | None, selectors: Selectors, operation: LegOperation, *, limit: int
) -> None:
    """Do something to every leg that is named or, if none is, to every one that is selected."""
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
    """Do something to every leg that is selected, with consent, and again to those that match by then.

    It ends when nothing new matches, or more legs than may be: those that are over the bound are left alone.

    Args:
        limit: ``--max``, for all of them together.
        is_meant: Which of them are meant.
        may_be_all: As of :meth:`Selectors.read`.
    """
    with targets(app, operation, is_many=True) as several:
        matching = _Matching(app, selectors.read(app, may_be_all=may_be_all), LIVE, is_meant)
        found = matching.look()
        if not found:
            remark("No live leg matches.")
        app.consent.confirm(operation.name, map(_line, found), limit=limit, is_selected=True)
        app.consent.announce()
        while found:
            operation.run_each(several, matching.take(found))
            if app.options.dry_run:
                break
            try:
                found = matching.look()
            except VoicectlError as exc:
                exc.hint = f"Whether more legs match by now is not known. {exc.hint or ''}".rstrip()
                several.tell(exc)
                break
            if not matching.admits(several, operation.name, found, limit):
                break


def hold_selected(
    app: App, selectors: Selectors, operation: LegOperation, *, limit: int, duration: str
) -> None:
    """Do something to every leg that is selected, and for that long to each that comes; what fails is tried again.

    Only legs that were answered are touched: the platform refuses it for the others.
    """
    seconds = times.duration(duration)
    if selectors.older_than is not None:
        raise InputError(
            "--hold is for legs that come, and --older-than for old ones.", hint="Leave one out."
        )
    with targets(app, operation, is_many=True) as several:
        matching = _Matching(app, selectors.read(app), PICKED_UP)
        found = matching.look()
        app.consent.confirm(
            operation.name,
            map(_line, found),
            limit=limit,
            is_selected=True,
            besides=f", and whoever comes within {duration}",
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
                        remark(f"warning: who comes is not seen for now: {exc.message}")
                    is_blind = True
        finally:
            if several.done:
                undo = shlex.join(["voicectl", operation.name, "--undo", *selectors.narrowing])
                past = operation.name + ("d" if operation.name.endswith("e") else "ed")
                remark(f"{_count(several.done)} stay {past}. To undo it: {undo}")


@dataclass(slots=True)
class _Matching:
    """The legs that a selection finds, each once.

    Attributes:
        statuses: The statuses to look in.
        is_meant: Which of them are meant.
        seen: Those that were taken.
    """

    app: App
    selection: Selection
    statuses: Sequence[CallStatus]
    is_meant: Callable[[Call], bool] = lambda _: True
    seen: set[str] = field(default_factory=set)

    def look(self) -> list[Call]:
        """Return the legs that match now and were not taken before."""
        app = self.app
        found = find(app.api, self.selection, ages=lambda: app.ages, statuses=self.statuses)
        return [call for call in found if hyphenated(call.uuid) not in self.seen and self.is_meant(call)]

    def take(self, found: Iterable[Call]) -> list[str]:
        """Return the ids of legs, which are not looked for any more."""
        uuids = [call.uuid for call in found]
        self.seen |= set(map(hyphenated, uuids))
        return uuids

    def admits(
        self, several: Targets, action: str, found: Sequence[Call], limit: int, *, is_shown: bool = True
    ) -> bool:
        """Whether legs that were found later may be acted on as well; they are shown, or it is told why not."""
        if len(self.seen) + len(found) > limit:
            several.tell(
                GuardError(
                    f"{_count(found)} more to {action} by now, and --max is {limit}.",
                    hint="They are left as they are. Give the command again with a larger --max.",
                )
            )
            return False
        if found and is_shown:
            remark(f"{action} {_count(found)} more:")
            for call in found:
                remark(f"  {_line(call)}")
        return True


def _excepted(app: App, name: str) -> str:
    """The hyphenated id of a leg that is to be spared: it is looked up, or a slip of the pen would spare nobody.

    Raises:
        LegError: It names no leg, or several.
        NotFoundError: The API knows no such leg.
    """
    uuid = app.legs.live_leg(name)
    if app.api.get_call(uuid).is_final:
        remark(f"{uuid} has ended: there is nothing to except.")
    return hyphenated(uuid)


def _line(call: Call) -> str:
    from_, to = (endpoint.label(party) or "-" for party in (call.from_, call.to))
    return f"{call.uuid}  {call.status}  {call.direction or '-'}  {from_} -> {to}"


def _count(legs: Sequence[object]) -> str:
    return f"{len(legs)} leg{'s' * (len(legs) != 1)}"
