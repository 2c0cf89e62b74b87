"""``transfer``: replace the call flow that a leg is running."""

from __future__ import annotations

from typing import Annotated

import typer

from voicectl.cli.arguments import AnswerUrl, From, Leg, NccoFile, caller_id, check_url
from voicectl.cli.context import App, current
from voicectl.cli.ncco_input import NoLint, check_ncco, read_ncco
from voicectl.cli.options.endpoints import EndpointOptions, Shaken, UserToUser
from voicectl.cli.targets import one_leg
from voicectl.errors import InputError, JournalError
from voicectl.voice import endpoint, ncco


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
    if answer_url is not None:
        url = check_url(answer_url, "--answer-url")
        with one_leg(app, leg, "transfer") as uuid:
            app.api.transfer(uuid, {"type": "ncco", "url": [url]})
        return
    if connect is not None:
        to = EndpointOptions.of(user_to_user=user_to_user, shaken=shaken).endpoint(connect)
        caller = caller_id(from_, app.target.from_) if to["type"] in ("phone", "sip") else None
        flow = [ncco.connect(endpoint.in_ncco(to), from_=caller, limit=app.target.policy.connect_limit)]
        if not no_lint:
            check_ncco(app.terminal, flow)
    else:
        flow = read_ncco(app.terminal, ncco_file or "", is_linted=not no_lint)
    rung = list(ncco.dialled(flow))
    app.target.policy.check_dialled(rung)
    if rung and app.options.dry_run and app.target.policy.max_calls_per_hour is not None:
        app.journal.check_dials(rung, app.target.policy.max_calls_per_hour)
    with one_leg(app, leg, "transfer") as uuid:
        _count(app, rung)
        app.api.transfer(uuid, {"type": "ncco", "ncco": flow}, dials=len(rung))


def _count(app: App, rung: list[str]) -> None:
    """Record the dialled numbers, *rung*, in the journal, because the profile may limit the calls per hour.

    Raises:
        GuardError: The profile does not allow that many calls per hour.
    """
    limit = app.target.policy.max_calls_per_hour
    if rung and not app.options.dry_run:
        try:
            app.journal.note_dials(rung, limit)
        except JournalError:
            if limit is not None:
                raise
