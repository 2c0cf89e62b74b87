"""``transfer``: replace the call flow that a leg is running."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voicectl.cli.arguments import AnswerUrl, From, Leg, NccoFile, check_url
from voicectl.cli.context import current
from voicectl.cli.ncco_input import NoLint, check_ncco, read_ncco
from voicectl.cli.operations.transfer import Transfer, connecting
from voicectl.cli.options.endpoints import EndpointOptions, Shaken, UserToUser
from voicectl.cli.targets import run_on_leg
from voicectl.errors import InputError


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
    user_to_user: UserToUser = None,
    shaken: Shaken = None,
) -> None:
    """Transfer a leg to another call flow; the leg moves to a new conversation of its own.

    The request is never retried. If the API does not respond, the outcome is unknown and the exit status is 12.

    Examples:
      $ voicectl transfer "$LEG" --connect 447700900002
      $ echo '[{"action":"talk","text":"Hi"}]' | voicectl transfer "$LEG" --ncco -
    """
    app = current(ctx)
    if sum(value is not None for value in (ncco_file, answer_url, connect)) != 1:
        raise InputError(
            "Exactly one of --ncco, --answer-url and --connect is needed.",
            hint="See 'voicectl transfer --help'.",
        )
    for option, value in (("from", from_), ("user-to-user", user_to_user), ("shaken", shaken)):
        if value is not None and connect is None:
            raise InputError(f"--{option} needs --connect.", hint="In an NCCO, set it in the connect action.")
    destination: dict[str, Any] = {"type": "ncco"}
    if answer_url is not None:
        destination["url"] = [check_url(answer_url, "--answer-url")]
    elif connect is not None:
        options = EndpointOptions.of(user_to_user=user_to_user, shaken=shaken)
        destination["ncco"] = connecting(app, connect, options, from_=from_)
        if not no_lint:
            check_ncco(app.terminal, destination["ncco"])
    else:
        destination["ncco"] = read_ncco(app.terminal, ncco_file or "", is_linted=not no_lint)
    run_on_leg(app, leg, Transfer(app, destination))
