"""``dtmf``: press keys on a leg, or send the keys that the person on the leg presses to a URL."""

from __future__ import annotations

from typing import Annotated

import typer

from voicectl.cli.arguments import Leg, check_url
from voicectl.cli.context import current
from voicectl.cli.operations.media import PressKeys
from voicectl.cli.targets import one_leg, run_on_leg
from voicectl.errors import InputError
from voicectl.voice import dtmf as keypad


def dtmf(
    ctx: typer.Context,
    leg: Leg,
    digits: Annotated[
        str | None,
        typer.Argument(
            metavar="DIGITS",
            help="Keys to press: 0-9, *, # and p (a half-second pause); - reads standard input.",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="URL", help="Send each key pressed on this leg to this URL.")
    ] = None,
    no_listen: Annotated[
        bool, typer.Option("--no-listen", help="Stop sending pressed keys to a URL.")
    ] = False,
) -> None:
    """Press keys on a live leg; its party hears the tones.

    The request is never retried. If the API does not respond, the outcome is unknown and the exit status is 12. Quote
    * and #, which are special to the shell.

    Examples:
      $ voicectl dtmf "$LEG" 1234
      $ voicectl dtmf "$LEG" '*9#'
      $ voicectl dtmf "$LEG" --listen https://app.example.org/keys
      $ voicectl dtmf "$LEG" --no-listen
    """
    app = current(ctx)
    if sum((digits is not None, listen is not None, no_listen)) != 1:
        raise InputError(
            "Exactly one of DIGITS, --listen URL and --no-listen is needed.",
            hint="See 'voicectl dtmf --help'.",
        )
    if listen is not None:
        check_url(listen, "--listen")
        with one_leg(app, leg, "dtmf --listen") as uuid:
            app.api.subscribe_dtmf(uuid, listen)
    elif no_listen:
        with one_leg(app, leg, "dtmf --no-listen") as uuid:
            app.api.unsubscribe_dtmf(uuid)
    else:
        if digits == "-":
            digits = app.terminal.read_stdin("DIGITS").decode("ascii", "replace").strip()
        run_on_leg(app, leg, PressKeys(app, keypad.check(digits or "")))
