"""Run an operation on each of the legs that a command names."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import typer

from voicectl.cli import errors
from voicectl.cli.output import views
from voicectl.errors import DryRun, Interrupted, OutcomeUnknown, TransportError, VoicectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn

    from voicectl.cli.context import App
    from voicectl.cli.output.writer import View, Writer

DONE = "done"
ALREADY = "already"

Detail = dict[str, Any]
"""Details of an action for the action log, such as ``{"room": "support-17"}``."""


@dataclass(slots=True)
class ActionRecord:
    """The id of the leg or conversation that an action concerns, and the outcome of the action."""

    id: str
    outcome: str = DONE


@contextmanager
def one_leg(app: App, leg: str, action: str, **detail: Any) -> Iterator[str]:
    """Yield the id of the leg that *leg* names. After the ``with`` block, log the action and write its record."""
    with one_target(app, views.LEG, lambda: app.legs.live_leg(leg), action, detail) as acted:
        yield acted.id
        acted.id = app.api.spelling(acted.id)


@contextmanager
def one_target(
    app: App, view: View, find: Callable[[], str], action: str, detail: Detail
) -> Iterator[ActionRecord]:
    """Yield a record with the id from *find*. After the ``with`` block, log the action and write the record."""
    with app.consent.writer(view, is_many=False) as out:
        acted = ActionRecord(find())
        app.consent.announce()
        with noted(app, acted.id, action, detail):
            yield acted
        if app.options.dry_run:
            return
        note_done(app, acted, action, detail)
        out.add({view.id: acted.id, "action": action, "outcome": acted.outcome})


class LegOperation:
    """An operation that is run on one leg after another.

    Args:
        name: The verb for the operation, as written to records and to the action log.
        detail: Details of the operation for the action log.
        how: The text that follows the legs in a confirmation prompt, such as ``to support-17``.
    """

    def __init__(self, app: App, name: str, detail: Detail | None = None, *, how: str = "") -> None:
        self.app = app
        self.name = name
        self.how = how
        self.detail = detail or {}

    def run(self, uuid: str) -> bool | None:
        """Run the operation on a leg.

        Returns:
            True if the leg was changed, False if it was already in the requested state, or None if there was nothing
            to do. Before returning None, the operation reports why.
        """
        raise NotImplementedError

    def run_each(self, several: Targets, uuids: Iterable[str]) -> None:
        """Run the operation on each of the legs by calling :meth:`Targets.do` on *several*."""
        for uuid in uuids:
            several.do(uuid)


class Results(Protocol):
    """Receives the results of an operation as it is run on one leg after another."""

    def done(self, uuid: str, outcome: str) -> None:
        """Take the outcome for a leg: :data:`DONE` or :data:`ALREADY`."""
        ...

    def failed(self, exc: VoicectlError, about: str) -> None:
        """Take a failure. *about* is the leg's name or id, or another description of the part that failed."""
        ...

    def not_sent(self, dry: DryRun) -> None:
        """Take a request that was not sent, because this is a dry run."""
        ...


class WrittenResults:
    """The results of a command: records on standard output, and errors on standard error.

    Attributes:
        lost: The error that prevented a record from being written, or None.
    """

    def __init__(self, app: App, out: Writer, action: str) -> None:
        self.lost: OSError | None = None
        self._app = app
        self._out = out
        self._action = action

    def done(self, uuid: str, outcome: str) -> None:
        """Write a record for the leg, unless this is a dry run."""
        if self._app.options.dry_run:
            return
        try:
            self._out.add({"uuid": uuid, "action": self._action, "outcome": outcome})
            self._out.flush()
        except OSError as exc:  # the reader has closed the pipe; still act on the other legs
            self.lost = exc

    def failed(self, exc: VoicectlError, about: str) -> None:
        """Report the failure."""
        self._app.report(exc, about)

    def not_sent(self, dry: DryRun) -> None:
        """Print the request as a curl command."""
        self._app.consent.show_request(dry)


def run_on_leg(app: App, leg: str, operation: LegOperation) -> None:
    """Run *operation* on the leg that *leg* names, log it, and write its record."""
    with one_leg(app, leg, operation.name, **operation.detail) as uuid:
        operation.run(uuid)


def each_leg(app: App, legs: Sequence[str], operation: LegOperation, *, limit: int) -> None:
    """Run *operation* on every named leg, and write a record for each.

    If the operation fails for one leg, it is still run on the others, unless the credentials were refused.

    Args:
        legs: The leg arguments. ``-`` stands for a list on standard input, which needs confirmation.
        limit: The greatest number of legs in such a list, from ``--max``.

    Raises:
        InputError, LegError: Some arguments do not name a leg. The operation is then not run on any leg.
    """
    with targets(app, operation, is_many=len(legs) > 1 or legs[0] == "-") as several:
        several.names = app.legs.live_legs(app.legs.words(legs))
        if "-" in legs:
            app.consent.confirm(operation.name, several.names, limit=limit, how=operation.how)
        app.consent.announce()
        operation.run_each(several, several.names)


@contextmanager
def targets(app: App, operation: LegOperation, *, is_many: bool) -> Iterator[Targets]:
    """Yield the targets of a command. After the ``with`` block, exit with the combined status if any failed."""
    with app.consent.writer(views.LEG, is_many=is_many) as out:
        results = WrittenResults(app, out, operation.name)
        several = Targets(app, results, operation, is_many=is_many)
        yield several
        if results.lost is not None:
            raise results.lost
    several.end()


class Targets:
    """Runs an operation on each of several legs once, logs it, passes on the results, and counts failures.

    Args:
        results: The receiver of the results.
        is_many: True if there can be several targets. Otherwise, a failure is raised instead of passed on.

    Attributes:
        names: The names of legs in reports, by id. A leg without a name is reported by its id.
        done: The ids of the legs that were changed, or were already in the requested state.
    """

    def __init__(self, app: App, results: Results, operation: LegOperation, *, is_many: bool) -> None:
        self.names: dict[str, str] = {}
        self.done: list[str] = []
        self._app = app
        self._results = results
        self._operation = operation
        self.is_many = is_many
        self._statuses: dict[str, int] = {}

    def do(self, uuid: str) -> bool:
        """Run the operation on a leg, and return False if it failed.

        After a failure, the operation can be run on the leg again. Only the leg's first failure is reported.
        """
        if uuid in self.done:
            return True
        app, operation = self._app, self._operation
        name = self.names.get(uuid, uuid)
        try:
            app.interrupts.check()
            with noted(app, uuid, operation.name, operation.detail):
                has_changed = operation.run(uuid)
        except DryRun as dry:
            self.not_sent(dry)
            return True
        except VoicectlError as exc:
            self._fail(exc, name)
            return False
        self._statuses.pop(name, None)
        if has_changed is not None:
            self.done.append(uuid)
            self._record(ActionRecord(app.api.spelling(uuid), DONE if has_changed else ALREADY))
        return True

    def report(self, exc: VoicectlError, about: str = "") -> None:
        """Report a failure and count it for the exit status. If it affects all targets, end the command instead."""
        if stops_all(exc):
            stop(self._app, exc, list(self._statuses.values()))
        if about not in self._statuses:
            self._results.failed(exc, about)
        self._statuses[about] = errors.exit_status(exc)

    def not_sent(self, dry: DryRun) -> None:
        """Pass on a request that was not sent, because this is a dry run."""
        self._results.not_sent(dry)

    def end(self) -> None:
        """Raise :exc:`typer.Exit` with the combined exit status if there were any failures."""
        statuses = list(self._statuses.values())
        if statuses:
            raise typer.Exit(errors.combined_status(statuses, len(statuses) + bool(self.done)))

    def _fail(self, exc: VoicectlError, name: str) -> None:
        if not self.is_many and not stops_all(exc) and not self._statuses:
            raise exc
        self.report(exc, name)

    def _record(self, acted: ActionRecord) -> None:
        if not self._app.options.dry_run:
            note_done(self._app, acted, self._operation.name, self._operation.detail)
        self._results.done(acted.id, acted.outcome)


@contextmanager
def noted(app: App, id_: str, action: str, detail: Detail) -> Iterator[None]:
    """Log an action if the ``with`` block fails or leaves the outcome of the action unknown."""
    try:
        yield
    except (DryRun, Interrupted):
        raise
    except VoicectlError as exc:
        outcome = "unknown" if isinstance(exc, OutcomeUnknown | TransportError) else "failed"
        app.action_log.add(app.clock.time(), id_, action, outcome, detail)
        raise


def note_done(app: App, acted: ActionRecord, action: str, detail: Detail) -> None:
    """Log a completed action, and remember the id of what was changed in case the record cannot be written."""
    app.changed_ids.append(acted.id)
    app.action_log.add(app.clock.time(), acted.id, action, acted.outcome, detail)


def stops_all(exc: VoicectlError) -> bool:
    """Return True if no further target should be tried after *exc*: a signal arrived, or credentials were refused."""
    return isinstance(exc, Interrupted) or errors.exit_status(exc) == errors.CREDENTIALS


def stop(app: App, exc: VoicectlError, statuses: Sequence[int]) -> NoReturn:
    """End a command with several targets: raise *exc*, or exit with status 12 if an earlier outcome is unknown."""
    if errors.UNKNOWN not in statuses:
        raise exc
    if not isinstance(exc, Interrupted):
        app.report(exc)
    raise typer.Exit(errors.UNKNOWN) from exc
