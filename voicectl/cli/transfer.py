"""``transfer`` and ``move``: a leg leaves its flow for another, or for a room."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voicectl.cli.arguments import (
    AnswerUrl,
    From,
    Leg,
    Max,
    NccoFile,
    caller_id,
    check_once,
    check_room,
    check_url,
)
from voicectl.cli.context import App, current
from voicectl.cli.flow import NoLint, check_ncco, read_ncco
from voicectl.cli.targets import each_leg, one_leg
from voicectl.errors import InputError, JournalError
from voicectl.voice import endpoint, ncco

NOBODY = "none"


def transfer(
    ctx: typer.Context,
    leg: Leg,
    ncco_file: NccoFile = None,
    no_lint: NoLint = False,
    answer_url: AnswerUrl = None,
    connect: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Connect the leg to this number, URI or user.")
    ] = None,
    from_: From = None,
) -> None:
    """Have a leg leave its flow and run another one; it moves to a conversation of its own.

    It is sent once: if no answer comes, the exit status is 12.

    Examples:
      $ voicectl transfer "$LEG" --connect 447700900002
      $ echo '[{"action":"talk","text":"Goodbye"}]' | voicectl transfer "$LEG" --ncco -
    """
    app = current(ctx)
    if sum(value is not None for value in (ncco_file, answer_url, connect)) != 1:
        raise InputError("One of --ncco, --answer-url and --connect is needed.", hint="See the help.")
    if from_ is not None and connect is None:
        raise InputError("--from goes with --connect only.", hint="In an NCCO it is an option of the action.")
    if answer_url is not None:
        url = check_url(answer_url, "--answer-url")
        one_leg(app, leg, "transfer", lambda uuid: app.api.transfer(uuid, {"type": "ncco", "url": [url]}))
        return
    if connect is not None:
        to = endpoint.parse(connect)
        caller = caller_id(from_, app.target.from_) if to["type"] in ("phone", "sip") else None
        flow = [ncco.connect(to, from_=caller, limit=app.target.policy.connect_limit)]
        if not no_lint:
            check_ncco(app, flow)
    else:
        flow = read_ncco(app, ncco_file or "-", is_linted=not no_lint)
    rung = list(ncco.dialled(flow))
    app.target.policy.check_dialled(rung)
    if rung and app.options.dry_run and app.target.policy.max_calls_per_hour is not None:
        app.journal.check_dials(rung, app.target.policy.max_calls_per_hour)
    destination = {"type": "ncco", "ncco": flow}

    def act(uuid: str) -> None:
        _count(app, rung)
        app.api.transfer(uuid, destination, dials=len(rung))

    one_leg(app, leg, "transfer", act)


def move(
    ctx: typer.Context,
    legs: Annotated[
        list[str],
        typer.Argument(
            metavar="LEG... ROOM",
            help="The legs, then the name of the room.",
            show_default=False,
            callback=check_once,
        ),
    ],
    mute: Annotated[bool, typer.Option("--mute", help="Nobody in the room hears them.")] = False,
    can_hear: Annotated[
        list[str] | None,
        typer.Option(metavar="LEG", help="They hear only this leg; 'none': nobody. Repeatable."),
    ] = None,
    can_speak: Annotated[
        list[str] | None,
        typer.Option(metavar="LEG", help="Only this leg hears them; 'none': nobody. Repeatable."),
    ] = None,
    start_on_enter: Annotated[
        bool | None,
        typer.Option(
            "--start-on-enter/--no-start-on-enter", help="Whether the conference starts when they enter."
        ),
    ] = None,
    end_on_exit: Annotated[
        bool, typer.Option("--end-on-exit", help="End it for all when one leaves.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Record it.")] = False,
    music: Annotated[
        str | None, typer.Option(metavar="URL", help="Play this until the conference starts.")
    ] = None,
    no_lint: NoLint = False,
    max_: Max = 10,
) -> None:
    """Move legs into a room, a conversation with a name; the first leg makes it.

    A leg that was joined to another by a connect leaves it alone, and the platform then ends the other's call. Each
    move is sent once: if no answer comes, the exit status is 12.

    Examples:
      $ voicectl move "$LEG" support-17
      $ voicectl move "$LEG" "$OTHER" support-17 --mute
    """
    app = current(ctx)
    if len(legs) < 2:
        raise InputError("A leg and a room are needed.", hint="voicectl move LEG... ROOM")
    *moved, room = legs
    if mute and can_speak is not None:
        raise InputError("--mute and --can-speak contradict each other.", hint="Give one of them.")
    flow = [
        ncco.conversation(
            check_room(room),
            mute=mute or None,
            can_hear=_audience(app, can_hear),
            can_speak=_audience(app, can_speak),
            start_on_enter=start_on_enter,
            end_on_exit=end_on_exit or None,
            record=record or None,
            music=None if music is None else check_url(music, "--music"),
        )
    ]
    if not no_lint:
        check_ncco(app, flow)
    destination: dict[str, Any] = {"type": "ncco", "ncco": flow}

    def act(uuid: str) -> bool:
        app.api.transfer(uuid, destination)
        return True

    each_leg(app, moved, "move", act, limit=max_)


def _count(app: App, rung: list[str]) -> None:
    """Count what a flow dials, which a profile may limit.

    Raises:
        GuardError: That would be too many in an hour.
    """
    limit = app.target.policy.max_calls_per_hour
    if rung and not app.options.dry_run:
        try:
            app.journal.note_dials(rung, limit)
        except JournalError:
            if limit is not None:
                raise


def _audience(app: App, names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    if NOBODY in names:
        if len(names) > 1:
            raise InputError("'none' does not go with other legs.", hint="Give it alone.")
        return []
    return [app.leg(name) for name in names]
