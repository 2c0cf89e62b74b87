"""``wait``: wait until legs reach a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voicectl import times
from voicectl.cli.arguments import Legs
from voicectl.cli.context import App, current
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.errors import InputError, WaitEnded, WaitTimeout
from voicectl.voice.call import HUMAN, CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.voice.call import Call, Until

ENDED = "ended"
NO_RECEIVER = (
    f"Only events report {HUMAN!r}, and no receiver is running on this machine."
    " To start one: voicectl webhook serve"
)

_STATUSES = tuple(CallStatus)


def wait(
    ctx: typer.Context,
    legs: Legs,
    until: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="STATUS",
            help=f"Status to wait for: {', '.join((ENDED, HUMAN, *_STATUSES[:-1]))} or {_STATUSES[-1]}.",
        ),
    ],
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="Wait at most this long.")] = "90s",
) -> None:
    """Wait until every leg reaches a status; changes along the way go to standard error.

    voicectl polls the API once a second. If 'webhook serve' stores events on this machine, voicectl reacts to them at
    once, and you can also wait for 'human' (a person answered, not a machine). 'ended' means any final status. The
    exit status is 8 if the wait timed out, and 11 if a leg ended in a status other than the one waited for. voicectl
    prints the legs' records in these cases too.

    Examples:
      $ voicectl wait "$LEG" --for answered --timeout 30
      $ voicectl wait "$SHORT_CALL" --for ended
    """
    app = current(ctx)
    status = parse_status(app, until)
    seconds = times.duration(timeout)
    is_many = len(legs) > 1 or legs[0] == "-"
    named = app.legs.words(legs)
    with app.terminal.writer(views.AWAITED, is_many=is_many) as out:
        uuids = list(app.legs.live_legs(named))
        try:
            calls = wait_for(app, uuids, status, seconds, report_change)
        except (WaitTimeout, WaitEnded) as exc:
            for call in exc.calls:
                out.add(call.raw)
            if status == HUMAN and isinstance(exc, WaitTimeout) and app.is_receiving is False:
                exc.hint = NO_RECEIVER
            raise
        for call in calls:
            out.add(call.raw)


def wait_for(
    app: App, uuids: Sequence[str], until: Until, seconds: float, on_change: Callable[[Call], None]
) -> list[Call]:
    """Wait for the legs to reach the status *until*, for at most *seconds*, and return the legs as last seen."""
    from voicectl.core.calls.wait import follow  # noqa: PLC0415 (for 'call create', which seldom waits)

    return follow(
        app.api,
        app.clock,
        uuids,
        until=until,
        timeout=seconds,
        on_change=on_change,
        on_trouble=remark,
        events=None if app.history is None else lambda: app.event_store,
        offset=app.clock_offset,
        check=app.interrupts.check,
    )


def parse_status(app: App, text: str) -> Until:
    """Convert the value of ``--for`` or ``--wait`` to the status to wait for.

    Raises:
        InputError: There is no such status, or it is reported only by events, but there is no event store.
    """
    if text == ENDED:
        return "ended"
    if text == HUMAN:
        if app.history is None:
            raise InputError(
                f"Only webhook events report {HUMAN!r}, and there is no event store.",
                hint="Run 'voicectl webhook serve' to store events, or name a store in VOICECTL_STORE.",
            )
        return "human"
    try:
        return CallStatus(text)
    except ValueError:
        from difflib import get_close_matches  # noqa: PLC0415 (for this error only)

        near = get_close_matches(text, (ENDED, HUMAN, *CallStatus), n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise InputError(
            f"{text!r} is not a status to wait for.{meant}",
            hint=f"Use {ENDED}, {HUMAN} or one of {', '.join(CallStatus)}.",
        ) from None


def report_change(call: Call) -> None:
    """Report a leg's status on standard error, with the source of the status if the record names one."""
    status, detection = (_sourced(call, name) for name in ("status", "detection"))
    is_more = detection and call.raw["detection"] != call.status
    remark(f"{call.uuid} {status or call.status}" + (f", {detection}" if is_more else ""))


def _sourced(call: Call, name: str) -> str:
    source = call.raw.get(f"{name}_source")
    return f"{call.raw.get(name)} ({source})" if source else ""
