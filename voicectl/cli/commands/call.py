"""``call list`` and ``call show``: list legs or call records, and show the record of one leg."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import LEG_FORMS, check_conversation, given
from voicectl.cli.context import App, current
from voicectl.cli.output import views
from voicectl.cli.output.text import is_terminal, remark
from voicectl.core.calls.live import live_calls
from voicectl.core.calls.selection import is_like
from voicectl.core.hosts import SANDBOX_PREFIX
from voicectl.errors import InputError, NotFoundError, VoicectlError
from voicectl.voice import endpoint
from voicectl.voice.call import LIVE, CallStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.core.history import History
    from voicectl.voice.call import Call


def list_(
    ctx: typer.Context,
    all_: Annotated[
        bool, typer.Option("--all", help="List all call records, newest first, not only live legs.")
    ] = False,
    status: Annotated[
        CallStatus | None,
        typer.Option(metavar="STATUS", help=f"List only legs with this status: {', '.join(CallStatus)}."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="List only calls made at or after this time.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="List only calls made before this time.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="CON-ID", help="List only legs of this conversation.")
    ] = None,
    match_to: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB", help="List only calls to numbers that match this pattern, such as '4477*'."
        ),
    ] = None,
    match_from: Annotated[
        str | None, typer.Option(metavar="GLOB", help="List only calls from numbers that match this pattern.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="List at most this many.")] = None,
) -> None:
    """List live legs, or all call records.

    TIME is an RFC 3339 timestamp, or relative: 10m means 10 minutes ago.

    Examples:
      $ voicectl call list
      $ voicectl call list --all --since 1h --match-to '4477*'
      $ voicectl call list -o json --fields uuid,to.number
    """
    app = current(ctx)
    if all_ and status is not None:
        raise InputError("--all and --status contradict each other.", hint="Give one of them.")
    now = app.clock.time()
    with app.terminal.writer(views.CALL, is_many=True, is_open=True) as out:
        filters = given(
            date_start=None if since is None else times.moment(since, now=now),
            date_end=None if before is None else times.moment(before, now=now),
            conversation_uuid=None if conversation is None else check_conversation(conversation),
        )
        calls = _calls(app, status, filters, everything=all_)
        matching = (
            call
            for call in calls
            if is_like(endpoint.label(call.to), match_to) and is_like(endpoint.label(call.from_), match_from)
        )
        for call in islice(matching, limit):
            out.add(call.raw)


def show(
    ctx: typer.Context,
    leg: Annotated[str, typer.Argument(metavar="LEG", help=f"The leg, live or ended: {LEG_FORMS}.")],
) -> None:
    """Show the record of one leg.

    If 'webhook serve' stores events on this machine, the record includes what they report; status_source names the
    source of the status.

    Examples:
      $ voicectl call show "$LEG"
      $ voicectl call show "$LEG" -o json
    """
    app = current(ctx)
    with app.terminal.writer(views.SEEN, is_many=False, is_open=True) as out:
        uuid = app.legs.any_leg(leg)
        call = app.api.get_call(uuid) if app.history is None else _seen(app, uuid, app.history)
        out.add(call.raw)
    if call.is_final and app.target.application_id.startswith(SANDBOX_PREFIX):
        _explain(app, uuid)


def _explain(app: App, uuid: str) -> None:
    """Report the sandbox's explanation, if any, of why the call flow of a leg did not run as written."""
    from voicectl.core.sandbox_control import SandboxControl  # noqa: PLC0415 (for legs of a sandbox only)

    with suppress(VoicectlError):  # the record has been shown
        control = SandboxControl(app.target.base_url, source=app.target.name)
        if (reason := control.remark(uuid)) is not None:
            remark(f"The sandbox says: {reason}")


def _seen(app: App, uuid: str, history: History) -> Call:
    """Return a leg as its record and stored events describe it, or as its events do if it has no record."""
    reported = history.leg(uuid)
    try:
        call = app.api.get_call(uuid)
    except NotFoundError:
        if reported is None:
            raise
        remark("The API has no record of this leg; what is shown comes from its stored events.")
        return reported.alone()
    if reported is not None and is_terminal(sys.stderr) and (contradiction := reported.contradicts(call)):
        remark(contradiction)
    return history.merged(call, reported)


def _calls(
    app: App, status: CallStatus | None, filters: dict[str, Any], *, everything: bool
) -> Iterable[Call]:
    if everything or (status is not None and status not in LIVE):
        return app.api.get_calls(status=status, **filters)
    if status is None and not filters:
        return app.live
    return live_calls(app.api, statuses=LIVE if status is None else [status], **filters)
