"""The actions on legs that are begun from the screen, and what became of each of them.

An action runs the same operation as the command, with the same guards, log and limits. Texts that are spoken and keys
that are pressed are kept in memory only, until the screen is closed.
"""

from __future__ import annotations

import re
import signal
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, NamedTuple

import typer

from voicectl.cli.arguments import check_room, check_text
from voicectl.cli.consent import too_many
from voicectl.cli.ncco_input import check_ncco, read_ncco
from voicectl.cli.operations.hangup import HangUp, HangUpAfterTalk
from voicectl.cli.operations.media import PressKeys, Talk
from voicectl.cli.operations.modify import Modify, UndoModify
from voicectl.cli.operations.move import Move
from voicectl.cli.operations.transfer import Transfer, connecting
from voicectl.cli.options.endpoints import EndpointOptions
from voicectl.cli.output.text import remarks_to
from voicectl.cli.targets import ALREADY, Targets
from voicectl.core.history import leg_key
from voicectl.errors import GuardError, InputError, OutcomeUnknown, TransportError, VoicectlError
from voicectl.interrupts import FINISH_SECONDS
from voicectl.voice import dtmf, endpoint
from voicectl.voice.call import LegAction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voicectl.cli.context import App
    from voicectl.cli.targets import LegOperation
    from voicectl.errors import DryRun
    from voicectl.voice.call import Call

_ENDPOINT = re.compile(r"(sips?|wss?|app|vbc):|\+?[0-9][0-9 ().-]*\Z", re.IGNORECASE)


class Verb(StrEnum):
    """The actions, in the words of messages."""

    MUTE = "mute"
    UNMUTE = "unmute"
    EARMUFF = "earmuff"
    UNEARMUFF = "unearmuff"
    TALK = "talk"
    DTMF = "dtmf"
    MOVE = "move"
    TRANSFER = "transfer"
    HANGUP = "hangup"
    SAY_AND_HANG_UP = "say and hang up"
    UNDO = "undo"


_MODIFIES = {
    Verb.MUTE: LegAction.MUTE,
    Verb.UNMUTE: LegAction.UNMUTE,
    Verb.EARMUFF: LegAction.EARMUFF,
    Verb.UNEARMUFF: LegAction.UNEARMUFF,
}
_HANGS_UP = (Verb.HANGUP, Verb.SAY_AND_HANG_UP)
_ALWAYS_ASKED = (*_HANGS_UP, Verb.TRANSFER)
_REPEATED = (*_MODIFIES, *_HANGS_UP, Verb.UNDO)
"""The actions whose requests are repeated if no answer comes, so that :exc:`TransportError` says nothing was learned.

A request for another action that got this error was not sent.
"""


class Kind(StrEnum):
    """The kinds of outcomes."""

    DONE = "done"
    ALREADY = "already"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not sent"

    @property
    def is_bad(self) -> bool:
        """True if the user should look into it."""
        return self in (Kind.FAILED, Kind.UNKNOWN)


class Outcome(NamedTuple):
    """The outcome of an action for one leg.

    Attributes:
        why: The reason, or an empty string if the kind says everything.
    """

    kind: Kind
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}" if self.why else str(self.kind)


@dataclass(slots=True, eq=False)
class Action:
    """An action on legs. It also receives the results of its operation.

    Attributes:
        legs: The legs as they were shown when the action was begun, by key.
        operation: The operation, which has connections of its own.
        text: The text to speak, the keys to press, the room or the destination.
        began: The time at which the action was begun, in Unix seconds.
        outcomes: The outcome for each leg for which the action has ended, by key.
        remarks: Further messages about the action.
        requests: The requests that were not sent because of ``--dry-run``, as curl commands.
        is_over: True if nothing more will be done.
    """

    verb: Verb
    legs: dict[str, Call]
    operation: LegOperation
    text: str
    began: float
    undoes: Action | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    is_over: bool = False
    is_part_unknown: bool = False

    def done(self, uuid: str, outcome: str) -> None:
        """Take the outcome for a leg from the operation."""
        self.outcomes[leg_key(uuid)] = Outcome(Kind.ALREADY if outcome == ALREADY else Kind.DONE)

    def failed(self, exc: VoicectlError, about: str) -> None:
        """Take a failure from the operation: of the leg *about* or, if this is no leg, of a part of the action."""
        outcome = self._outcome(exc)
        if (key := leg_key(about)) in self.legs:
            self.outcomes[key] = outcome
        else:
            self.is_part_unknown |= outcome.kind is Kind.UNKNOWN
            self.remarks.append(f"{about}: {outcome}" if about else str(outcome))

    def not_sent(self, dry: DryRun) -> None:
        """Take a request from the operation that was not sent."""
        self.requests.append(self.operation.app.consent.curl(dry))

    def end(self, stopped: VoicectlError | None) -> None:
        """Set the outcome for the legs that have none yet.

        Args:
            stopped: The error that ended the action before all legs were reached, or None.
        """
        rest = Outcome(Kind.NOT_SENT if self.requests else Kind.UNCHANGED)
        if stopped is not None:
            rest = self._outcome(stopped)
        for key in self.legs:
            self.outcomes.setdefault(key, rest)
        self.is_over = True

    def _outcome(self, exc: VoicectlError) -> Outcome:
        is_unknown = isinstance(exc, OutcomeUnknown) or (
            isinstance(exc, TransportError) and self.verb in _REPEATED
        )
        why = " ".join(filter(None, (exc.message, exc.hint)))
        return Outcome(Kind.UNKNOWN if is_unknown else Kind.FAILED, why)

    @property
    def has_changed(self) -> bool:
        """True if at least one leg was changed, or may have been changed."""
        return any(each.kind in (Kind.DONE, Kind.UNKNOWN) for each in self.outcomes.values())

    @property
    def is_unknown(self) -> bool:
        """True if it is unknown whether something was done."""
        return self.is_part_unknown or any(each.kind is Kind.UNKNOWN for each in self.outcomes.values())

    @property
    def is_bad(self) -> bool:
        """True if the user should look into the outcome."""
        return self.is_part_unknown or any(each.kind.is_bad for each in self.outcomes.values())

    @property
    def title(self) -> str:
        """The action and its legs, such as ``mute 447700900001``. What is said or pressed is not in it."""
        names = [name_of(call) for call in self.legs.values()]
        how = f" {self.operation.how}" if self.verb in (Verb.MOVE, Verb.TRANSFER) else ""
        return f"{self.verb} {names[0] if len(names) == 1 else counted(len(names))}{how}"

    def summary(self) -> str:
        """Return the outcome in one text: for one leg with the reason, for several as counts and the exceptions."""
        outcomes = [(name_of(self.legs[key]), each) for key, each in self.outcomes.items()]
        if len(outcomes) == 1:
            parts = [str(outcomes[0][1])]
        else:
            kinds = [each.kind for _, each in outcomes]
            parts = [", ".join(f"{kinds.count(kind)} {kind}" for kind in Kind if kind in kinds)]
            parts += [f"{name}: {each}" for name, each in outcomes if each.why]
        return f"{self.title}: {'; '.join([*parts, *self.remarks])}"


class Desk:
    """Begins and remembers the actions of one session of the switchboard.

    Args:
        app: The command's parts. Each action has parts of its own.
        limit: The greatest number of legs on which one action may act, from ``--max``, or 0 to refuse all actions.

    Attributes:
        actions: The actions that were begun, oldest first.
    """

    def __init__(self, app: App, *, limit: int) -> None:
        self.actions: list[Action] = []
        self.is_read_only = limit == 0
        self._app = app
        self._limit = limit
        self._ended = Condition()

    @property
    def is_production(self) -> bool:
        """True if every change is asked for, because the profile is marked as a production profile."""
        return self._app.target.policy.production

    def check(self, verb: Verb, count: int) -> None:
        """Check that an action may act on *count* legs.

        Raises:
            GuardError: There are too many legs, or no action is allowed.
        """
        if self.is_read_only:
            raise GuardError("The screen is read-only.", hint="Leave out --read-only.")
        if count > self._limit:
            raise too_many(verb, count, self._limit, "mark")

    def prepare(self, verb: Verb, legs: Iterable[Call], text: str = "") -> Action:
        """Return an action that can be run.

        Args:
            legs: The legs. For an undo, they are those of the action that is undone.
            text: The text to speak, the keys to press, the room, or the endpoint or NCCO file to transfer to.

        Raises:
            InputError: *text* is invalid.
            GuardError: There are too many legs, or a guard of the profile refuses the action.
        """
        undone = self._undoable() if verb is Verb.UNDO else None
        found = {leg_key(call.uuid): call for call in legs} if undone is None else undone.legs
        self.check(verb, len(found))
        parts = self._app.beside()
        remarks: list[str] = []
        with remarks_to(remarks.append):
            try:
                operation = _operation(parts, verb, text, undone)
            except InputError as exc:
                exc.message = "\n".join((exc.message, *remarks))
                raise
        return Action(
            verb=verb,
            legs=dict(found),
            operation=operation,
            text=text,
            began=self._app.clock.time(),
            undoes=undone,
            remarks=remarks,
        )

    def question(self, action: Action) -> str | None:
        """Return the question to ask before an action is run, or None if it need not be asked for."""
        is_asked = action.verb in _ALWAYS_ASKED or len(action.legs) > 1 or self.is_production
        if not is_asked or self._app.options.dry_run:
            return None
        operation = action.operation
        plan = self._app.consent.plan(operation.name, counted(len(action.legs)), operation.how)
        return f"{plan}?"

    def start(self, action: Action) -> Future[None]:
        """Run an action in a thread of its own. The future is done when the action has ended.

        It does not keep the process from exiting.
        """
        self.actions.append(action)
        ended: Future[None] = Future()

        def run() -> None:
            try:
                self._run(action)
            except BaseException as exc:  # noqa: BLE001 (raised again where the future is awaited)
                ended.set_exception(exc)
            else:
                ended.set_result(None)

        Thread(target=run, name="action", daemon=True).start()
        return ended

    def _run(self, action: Action) -> None:
        parts = action.operation.app
        stopped: VoicectlError | None = None
        try:
            with remarks_to(action.remarks.append), parts.closing:
                if action.verb in _HANGS_UP:
                    parts.rate_limiter.hurry()
                several = Targets(parts, action, action.operation, is_many=True)
                try:
                    action.operation.run_each(several, [call.uuid for call in action.legs.values()])
                except typer.Exit as exc:  # an earlier outcome is unknown, and the rest was not tried
                    stopped = exc.__cause__ if isinstance(exc.__cause__, VoicectlError) else None
                except VoicectlError as exc:
                    stopped = exc
        finally:
            with self._ended:
                action.end(stopped)
                self._ended.notify_all()

    def deeds(self, uuid: str) -> Sequence[str]:
        """Return what was done to a leg from this screen, oldest first, as lines of text."""
        key = leg_key(uuid)
        return [line for each in self.actions if key in each.legs for line in self._lines(each, key)]

    def _lines(self, action: Action, key: str) -> list[str]:
        what = f"{action.verb} {action.text}".rstrip()
        outcome = action.outcomes.get(key, "in progress")
        at = self._app.terminal.local_time(action.began)
        return [f"{at}  {what}: {outcome}", *(f"  {each}" for each in action.remarks)]

    @property
    def running(self) -> list[Action]:
        """The actions that have not ended."""
        return [each for each in self.actions if not each.is_over]

    def close(self, seconds: float = FINISH_SECONDS) -> None:
        """Let the actions that are running end, but begin no further request.

        Args:
            seconds: How long to wait for them, in seconds.

        Raises:
            OutcomeUnknown: A request that must not be repeated is still in flight.
        """
        for action in self.running:
            action.operation.app.interrupts.pending = signal.SIGTERM
        with self._ended:
            self._ended.wait_for(lambda: not self.running, seconds)
        if doubtful := [each for each in self.running if each.operation.app.interrupts.is_in_doubt]:
            raise OutcomeUnknown(
                f"The screen was closed before the API answered: {', '.join(each.title for each in doubtful)}."
                " This may or may not have been carried out.",
                hint="Check the legs before you repeat it: voicectl call list",
            )

    def _undoable(self) -> Action:
        """Return the last action that muted or earmuffed legs and was not undone.

        Raises:
            InputError: There is no such action, or it has not ended.
        """
        undone = [each.undoes for each in self.actions if each.verb is Verb.UNDO and not each.is_bad]
        for action in reversed(self.actions):
            if action.verb not in (Verb.MUTE, Verb.EARMUFF) or action in undone:
                continue
            if not action.is_over:
                raise InputError(f"{action.title} is still in progress.")
            if action.has_changed:
                return action
        raise InputError("There is nothing to undo: no leg was muted or earmuffed from this screen.")


def name_of(call: Call) -> str:
    """Return the number or address at the far end of a leg, or the beginning of its id."""
    return endpoint.far_end(call) or call.uuid[:8]


def counted(legs: int) -> str:
    """Return a number of legs as text."""
    return f"{legs} leg{'s' * (legs != 1)}"


def _operation(app: App, verb: Verb, text: str, undone: Action | None) -> LegOperation:
    """Return the operation of an action.

    Raises:
        InputError: *text* is invalid.
        GuardError: A guard of the profile refuses the operation.
    """
    if undone is not None:
        return UndoModify(app, _MODIFIES[undone.verb], is_selected=True)
    if verb in _MODIFIES:
        return Modify(app, _MODIFIES[verb], is_selected=True)
    match verb:
        case Verb.TALK:
            return Talk(app, {"text": check_text(text)})
        case Verb.DTMF:
            return PressKeys(app, dtmf.check(text))
        case Verb.MOVE:
            return Move(app, check_room(text.strip()))
        case Verb.TRANSFER:
            return _transfer(app, text.strip())
        case Verb.SAY_AND_HANG_UP:
            return HangUpAfterTalk(app, check_text(text))
        case _:
            return HangUp(app)


def _transfer(app: App, to: str) -> Transfer:
    """Return the transfer to an endpoint or to the NCCO in a file."""
    if _ENDPOINT.match(to):
        flow = connecting(app, to, EndpointOptions.of())
        check_ncco(app.terminal, flow)
        how = f"to {to}"
    else:
        if to == "-":
            raise InputError("'-' is not the name of a file.", hint="Write ./- for a file of that name.")
        path = Path(to).expanduser()
        flow = read_ncco(app.terminal, str(path), is_linted=True)
        how = f"to the NCCO in {path.name}"
    return Transfer(app, {"type": "ncco", "ncco": flow}, how=how)
