"""Doing one thing to each of the legs that a command names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import typer

from voicectl.cli import errors
from voicectl.cli.output import views
from voicectl.errors import DryRun, Interrupted, OutcomeUnknown, TransportError, VoicectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn

    from voicectl.cli.context import App
    from voicectl.cli.output.writer import Writer

DONE = "done"
ALREADY = "already"

Detail = dict[str, Any]
"""More of what is done, for the notes: ``{"room": "support-17"}``."""

Act: TypeAlias = "Callable[[str], bool | None]"
"""Does something to a leg and says whether that changed anything; None: nothing was to be done, and it said why."""

Before: TypeAlias = "Callable[[Targets, Sequence[str]], Sequence[str]]"
"""Does something to all legs before the first of them is done, and returns those that are still to be done."""


def one_leg(
    app: App, leg: str, action: str, act: Callable[[str], None], *, detail: Detail | None = None
) -> None:
    """Do *act* to the leg that a command names, and write its record."""
    with app.terminal.writer(views.LEG, is_many=False) as out:
        uuid = app.legs.live_leg(leg)
        app.consent.announce()
        with noted(app, uuid, action, detail):
            act(uuid)
        app.changed.append(uuid)
        app.notes.add(app.clock.time(), uuid, action, DONE, detail)
        out.add({"uuid": uuid, "action": action, "outcome": DONE})


def each_leg(
    app: App,
    legs: Sequence[str],
    action: str,
    act: Act,
    *,
    limit: int,
    detail: Detail | None = None,
    before: Before | None = None,
) -> None:
    """Do *act* to every leg that a command names, and write a record for each.

    A failed leg does not stop the others, unless the credentials were refused.

    Args:
        legs: As typed; ``-`` stands for a list on standard input, which needs consent.
        limit: ``--max``.
        before: Done first, where all of them are known.
    """
    is_many = len(legs) > 1 or legs[0] == "-"
    with targets(app, action, act, is_many=is_many, detail=detail) as several:
        named = app.legs.words(legs)
        if "-" in legs:
            app.consent.confirm(action, named, limit=limit)
        app.consent.announce()
        found = several.legs(named)
        for uuid in found if before is None else before(several, list(found)):
            several.do(uuid)


@contextmanager
def targets(
    app: App, action: str, act: Act, *, is_many: bool, detail: Detail | None = None
) -> Iterator[Targets]:
    """The legs of one command, which ends with what their failures add up to."""
    with app.terminal.writer(views.LEG, is_many=is_many) as out:
        several = Targets(app, out, action, act, is_many=is_many, detail=detail)
        yield several
        several.check_output()
    several.end()


class Targets:
    """The legs of one command: each is done once, with a record; its failure is told, and counts in the end.

    Args:
        out: Where the records go.
        is_many: Whether the command may have several targets: the failure of an only one ends it.
        detail: More of what is done, for the notes.
    """

    def __init__(
        self,
        app: App,
        out: Writer,
        action: str,
        act: Act,
        *,
        is_many: bool,
        detail: Detail | None = None,
    ) -> None:
        self.done: list[str] = []
        self._app = app
        self._out = out
        self._action = action
        self._act = act
        self._is_many = is_many
        self._detail = detail
        self._names: dict[str, str] = {}
        self._statuses: dict[str, int] = {}
        self._lost: OSError | None = None

    def legs(self, names: Iterable[str]) -> Iterator[str]:
        """The ids of the legs that *names* stand for, each once; that one cannot be found is told."""
        for name in dict.fromkeys(names):
            try:
                self._app.interrupts.check()
                uuid = self._app.legs.live_leg(name)
            except VoicectlError as exc:
                self._fail(exc, name)
                continue
            if uuid not in self._names:
                self._names[uuid] = name
                yield uuid

    def do(self, uuid: str) -> bool:
        """Do it to a leg; False if it failed. What failed before may be tried again, and is not told twice."""
        if uuid in self.done:
            return True
        app = self._app
        try:
            app.interrupts.check()
            with noted(app, uuid, self._action, self._detail):
                has_changed = self._act(uuid)
        except DryRun as dry:
            app.consent.show_request(dry)
            return True
        except VoicectlError as exc:
            self._fail(exc, self._names.get(uuid, uuid))
            return False
        self._statuses.pop(self._names.get(uuid, uuid), None)
        if has_changed is not None:
            self.done.append(uuid)
            self._tell(uuid, DONE if has_changed else ALREADY)
        return True

    def tell(self, exc: VoicectlError, about: str = "") -> None:
        """Tell that something failed which leaves other things to be done; it counts in the end."""
        if stops_all(exc):
            stop(self._app, exc, list(self._statuses.values()))
        if about not in self._statuses:
            errors.tell(
                exc, profile=self._app.target.name, as_json=self._app.terminal.has_json_errors, about=about
            )
        self._statuses[about] = errors.exit_status(exc)

    def check_output(self) -> None:
        """Raise OSError if a record could not be written."""
        if self._lost is not None:
            raise self._lost

    def end(self) -> None:
        """Raise typer.Exit with what the failures add up to, if there were any."""
        statuses = list(self._statuses.values())
        if statuses:
            raise typer.Exit(errors.combined_status(statuses, len(statuses) + bool(self.done)))

    def _fail(self, exc: VoicectlError, name: str) -> None:
        if not self._is_many and not stops_all(exc) and not self._statuses:
            raise exc
        self.tell(exc, name)

    def _tell(self, uuid: str, outcome: str) -> None:
        app = self._app
        app.changed.append(uuid)
        app.notes.add(app.clock.time(), uuid, self._action, outcome, self._detail)
        try:
            self._out.add({"uuid": uuid, "action": self._action, "outcome": outcome})
            self._out.flush()
        except OSError as exc:  # nobody reads any more: the legs are still to be ended, and told elsewhere
            self._lost = exc


@contextmanager
def noted(app: App, uuid: str, action: str, detail: Detail | None) -> Iterator[None]:
    """Note what failed, or may have been done, inside."""
    try:
        yield
    except (DryRun, Interrupted):
        raise
    except VoicectlError as exc:
        outcome = "unknown" if isinstance(exc, OutcomeUnknown | TransportError) else "failed"
        app.notes.add(app.clock.time(), uuid, action, outcome, detail)
        raise


def stops_all(exc: VoicectlError) -> bool:
    """Whether no further target is tried: after a signal, or since the credentials are no good for any."""
    return isinstance(exc, Interrupted) or errors.exit_status(exc) == errors.CREDENTIALS


def stop(app: App, exc: VoicectlError, statuses: Sequence[int]) -> NoReturn:
    """End a command of several targets with *exc*, or with 12 if the outcome of an earlier one is unknown."""
    if errors.UNKNOWN not in statuses:
        raise exc
    if not isinstance(exc, Interrupted):
        app.tell(exc)
    raise typer.Exit(errors.UNKNOWN) from exc
