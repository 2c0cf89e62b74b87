"""``move``: move legs into a room (a named conversation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import Max, check_once, check_room, check_url
from voicectl.cli.context import App, current
from voicectl.cli.operations.move import Move
from voicectl.cli.targets import targets
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_LEG = "none"


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
    mute: Annotated[bool, typer.Option("--mute", help="Mute the moved legs in the room.")] = False,
    can_hear: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEG", help="Let the moved legs hear only this leg; 'none' for no one. Repeatable."
        ),
    ] = None,
    can_speak: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEG", help="Let only this leg hear the moved legs; 'none' for no one. Repeatable."
        ),
    ] = None,
    start_on_enter: Annotated[
        bool | None,
        typer.Option(
            "--start-on-enter/--no-start-on-enter",
            help="Set whether the conversation starts when the moved legs enter.",
        ),
    ] = None,
    end_on_exit: Annotated[
        bool, typer.Option("--end-on-exit", help="End the conversation when one of the moved legs leaves.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Record the conversation.")] = False,
    music: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Play the audio file at this URL until the conversation starts."),
    ] = None,
    with_partners: Annotated[
        bool, typer.Option("--with-partners", help="Also move all answered legs in the same conversation.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Send the moves without any checks before or after.")
    ] = False,
    no_lint: Annotated[
        bool, typer.Option("--no-lint", help="Do not check the NCCO that voicectl builds for the move.")
    ] = False,
    max_: Max = 10,
) -> None:
    """Move legs into a room (a named conversation); the first leg to enter creates it.

    Legs joined by a 'connect' action depend on each other: if only one is moved, the platform ends the other leg;
    voicectl warns you first, also with --dry-run. --with-partners also moves all other answered legs in the same
    conversations; if they cannot all be found, nothing is moved. Legs that are moved together stay connected if the
    room does not exist yet: voicectl renames their conversation to the room's name. (The platform's documentation
    implies, but does not state, that calls which join the room later enter this conversation.) If the room exists,
    or with options such as --mute, the legs are moved one by one, and the platform may end a leg before voicectl
    moves it.

    After the move, voicectl waits up to 5 s for the legs to arrive in the room. The exit status is 8 if a leg did not
    arrive, and 11 if a leg ended. On failure, voicectl reports where each leg is. Rooms with the same name in
    different regions are different rooms. Moves are never retried. If the API does not respond, the outcome is
    unknown and the exit status is 12.

    Examples:
      $ voicectl move "$LEG" support-17
      $ voicectl move "$LEG" "$OTHER" support-18 --mute
      $ voicectl move "$LEG" support-19 --with-partners --yes
    """
    app = current(ctx)
    if len(legs) < 2:
        raise InputError("A leg and a room are needed.", hint="Write it as: voicectl move LEG... ROOM")
    *moved, room = legs
    if mute and can_speak is not None:
        raise InputError("--mute and --can-speak cannot be used together.", hint="Give only one of them.")
    hearing, speaking = _audience(app, can_hear), _audience(app, can_speak)
    terms: dict[str, Any] = {
        "mute": mute or None,
        "can_hear": hearing,
        "can_speak": speaking,
        "start_on_enter": start_on_enter,
        "end_on_exit": end_on_exit or None,
        "record": record or None,
        "music": None if music is None else check_url(music, "--music"),
    }
    room = check_room(room, hint="The last argument is the room: voicectl move LEG... ROOM")
    operation = Move(app, room, terms, is_linted=not no_lint, is_watched=not no_wait)
    is_many = len(moved) > 1 or moved[0] == "-" or with_partners
    with targets(app, operation, is_many=is_many) as several:
        has_list = "-" in moved
        several.names = app.legs.live_legs(app.legs.words(moved))
        uuids: Sequence[str] = list(several.names)
        if with_partners:
            uuids = operation.gather(uuids, limit=max_, is_list=has_list)
        elif has_list:
            app.consent.confirm("move", uuids, limit=max_, how=operation.how)
        app.consent.announce()
        operation.run_each(several, uuids)


def _audience(app: App, names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    if NO_LEG in names:
        if len(names) > 1:
            raise InputError("'none' and a leg cannot be used together.", hint="Give 'none' on its own.")
        return []
    return [app.legs.live_leg(name) for name in names]
