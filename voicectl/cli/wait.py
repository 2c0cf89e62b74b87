"""``wait``: until legs reach a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from voicectl.cli import views
from voicectl.cli.arguments import Legs
from voicectl.cli.context import current
from voicectl.cli.render import remark
from voicectl.core import times
from voicectl.core.follow import follow
from voicectl.errors import InputError, WaitEnded, WaitTimeout
from voicectl.voice.call import CallStatus

if TYPE_CHECKING:
    from voicectl.voice.call import Call

ENDED = "ended"


def wait(
    ctx: typer.Context,
    legs: Legs,
    until: Annotated[
        str, typer.Option("--for", metavar="STATUS", help=f"The status: {ENDED} or {', '.join(CallStatus)}.")
    ],
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="How long to wait in all.")] = "90",
) -> None:
    """Wait until every leg is at a status or past it; changes on the way are told on standard error.

    Exit status 8: it took too long. 11: a leg ended in another status. The records are printed then too.

    Examples:
      $ voicectl wait "$LEG" --for answered --timeout 30
      $ voicectl wait "$ENDING" --for ended
    """
    app = current(ctx)
    status = parse_status(until)
    seconds = times.duration(timeout)
    is_many = len(legs) > 1 or legs[0] == "-"
    named = list(legs)
    if "-" in named:
        at = named.index("-")
        named[at : at + 1] = app.read_ids()
    with app.writer(views.CALL, is_many=is_many) as out:
        uuids = list(dict.fromkeys(app.leg(name) for name in named))
        try:
            calls = follow(app.api, app.clock, uuids, until=status, timeout=seconds, on_change=tell_change)
        except (WaitTimeout, WaitEnded) as exc:
            for call in exc.calls:
                out.add(call.raw)
            raise
        for call in calls:
            out.add(call.raw)


def parse_status(text: str) -> CallStatus | Literal["ended"]:
    """What ``--for`` and ``--wait`` take.

    Raises:
        InputError: There is no such status in a call's record.
    """
    if text == ENDED:
        return "ended"
    try:
        return CallStatus(text)
    except ValueError:
        why = " Whether it was a human is told by webhook only." if text == "human" else ""
        raise InputError(
            f"{text!r} is not a status to wait for.{why}",
            hint=f"Use {ENDED} or one of {', '.join(CallStatus)}.",
        ) from None


def tell_change(call: Call) -> None:
    """Tell a leg's status on standard error."""
    remark(f"{call.uuid} {call.status}")
