"""Doing one thing to each of the legs that a command names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from voicectl.cli import errors, views
from voicectl.errors import DryRun, Interrupted, VoicectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from voicectl.cli.context import App

DONE = "done"
ALREADY = "already"


def one_leg(app: App, leg: str, action: str, act: Callable[[str], None]) -> None:
    """Do *act* to the leg that a command names, and write its record."""
    with app.writer(views.LEG, is_many=False) as out:
        uuid = app.leg(leg)
        app.announce()
        act(uuid)
        app.changed.append(uuid)
        out.add({"uuid": uuid, "action": action, "outcome": DONE})


def each_leg(app: App, legs: Sequence[str], action: str, act: Callable[[str], bool], *, limit: int) -> None:
    """Do *act* to every leg that a command names, and write a record for each.

    A failed leg does not stop the others, unless the credentials were refused.

    Args:
        legs: As typed; ``-`` stands for a list on standard input, which needs consent.
        act: Does it, and says whether that changed anything.
        limit: ``--max``.
    """
    is_many = len(legs) > 1 or legs[0] == "-"
    named = list(legs)
    with app.writer(views.LEG, is_many=is_many) as out:
        if "-" in named:
            at = named.index("-")
            named[at : at + 1] = app.read_ids()
            app.confirm(action, named, limit=limit)
        app.announce()
        statuses: list[int] = []
        tried: set[str] = set()
        has_done = False
        lost: OSError | None = None
        for name in dict.fromkeys(named):
            try:
                app.interrupts.check()
                uuid = app.leg(name)
                if uuid in tried:
                    continue
                tried.add(uuid)
                outcome = DONE if act(uuid) else ALREADY
            except DryRun as dry:
                app.show_request(dry)
            except VoicectlError as exc:
                if stops_all(exc):
                    stop(app, exc, statuses)
                if not is_many:
                    raise
                errors.tell(exc, profile=app.target.name, as_json=app.tells_json, about=name)
                statuses.append(errors.exit_status(exc))
            else:
                app.changed.append(uuid)
                has_done = True
                try:
                    out.add({"uuid": uuid, "action": action, "outcome": outcome})
                    out.flush()
                except (
                    OSError
                ) as exc:  # nobody reads any more: the legs are still to be ended, and told elsewhere
                    lost = exc
        if lost is not None:
            raise lost
    if statuses:
        raise typer.Exit(errors.combined_status(statuses, len(statuses) + has_done))


def stops_all(exc: VoicectlError) -> bool:
    """Whether no further target is tried: after a signal, or since the credentials are no good for any."""
    return isinstance(exc, Interrupted) or errors.exit_status(exc) == errors.CREDENTIALS


def stop(app: App, exc: VoicectlError, statuses: Sequence[int]) -> NoReturn:
    """End a command of several targets with *exc*, or with 12 if the outcome of an earlier one is unknown."""
    if errors.UNKNOWN not in statuses:
        raise exc
    if not isinstance(exc, Interrupted):
        errors.tell(exc, profile=app.target.name, as_json=app.tells_json)
    raise typer.Exit(errors.UNKNOWN) from exc
