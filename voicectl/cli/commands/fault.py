"""``sandbox fault``: make the sandbox misbehave."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from voicectl.cli.arguments import grouped
from voicectl.cli.context import current
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output.writer import View
from voicectl.core.sandbox_faults import fault_body

VIEW = View(
    columns=(
        "id",
        "what",
        "on",
        "times",
        "code",
        "seconds",
        "retry_after",
        "probability",
        "after",
        "lasting",
        "struck",
        "spent",
    ),
    id="id",
)

LISTED = replace(
    VIEW,
    table=(
        "id",
        "what",
        "on",
        "times",
        "struck",
        "spent",
        "code",
        "seconds",
        "probability",
        "after",
        "lasting",
        "retry_after",
    ),
)


def add(
    ctx: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="FAULT", help="The fault: one of those above.", show_default=False)
    ],
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="VALUE", help="CODE or DURATION of the fault, if the fault takes one.", show_default=False
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="OPERATION",
            help="Affect only this operation (createCall, getCalls ...) or kind of webhook.",
        ),
    ] = "any",
    times: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Occur at most this many times.")
    ] = None,
    probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="P", help="Occur with this probability, from 0 to 1."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Take effect after this long.")
    ] = None,
    lasting: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Stay in effect for this long.")
    ] = None,
    retry_after: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="With rate-limit, send this Retry-After, in seconds."),
    ] = None,
) -> None:
    """Add a fault that makes the sandbox misbehave.

    Faults in how the sandbox handles requests: status CODE and rate-limit reject requests; delay DURATION delays the
    response; lost-reply carries out the request but closes the connection without responding; lost-request closes the
    connection without carrying out the request; region serves each leg only on its own region's host; key-revoked
    rejects all tokens.

    Faults in the webhooks that the sandbox sends: webhook-drop, webhook-delay DURATION, webhook-duplicate and
    webhook-unsigned affect events (status, transfer, input, record, transcribed, notify, error, rtc) and requests for
    an NCCO (answer); webhook-reorder sends an event after the leg's next event; webhook-completed also sends a
    completed event after busy, timeout, unanswered, failed or cancelled; answer-timeout treats the response to an
    answer webhook as too late.

    In the output, 'struck' is the number of times that the fault has occurred, and 'spent' is true if it will not
    occur again.

    Examples:
      $ voicectl sandbox fault add lost-reply --on createCall --times 1
      $ voicectl sandbox fault add status 503 --on getCalls --lasting 30s
      $ voicectl sandbox fault add delay 2s
      $ voicectl sandbox fault add webhook-duplicate --on status --probability 0.2
      $ voicectl sandbox fault add webhook-delay 5s --on input --times 1
      $ voicectl sandbox fault add answer-timeout --times 1
      $ voicectl sandbox fault add key-revoked --after 1m
    """
    app = current(ctx)
    body = fault_body(
        what,
        value,
        on,
        times=times,
        probability=probability,
        after=after,
        lasting=lasting,
        retry_after=retry_after,
    )
    with app.terminal.writer(VIEW, is_many=False) as out:
        out.add(app.control.post("/sandbox/faults", body))


@grouped
def list_(ctx: typer.Context, listing: ListOptions) -> None:
    """List the faults that were added.

    'struck' is the number of times that the fault has occurred, and 'spent' is true if it will not occur again.

    Example:
      $ voicectl sandbox fault list
    """
    app = current(ctx)
    with app.terminal.writer(LISTED, is_many=True) as out:
        for fault in listing.arrange(app.control.faults(), LISTED):
            out.add(fault)


def clear(
    ctx: typer.Context,
    id_: Annotated[
        int | None,
        typer.Argument(
            metavar="ID",
            help="Remove only the fault with this id, from 'fault list'.",
            min=1,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Remove all faults, or one.

    Examples:
      $ voicectl sandbox fault clear
      $ voicectl sandbox fault clear "$FAULT"
    """
    current(ctx).control.delete("/sandbox/faults" if id_ is None else f"/sandbox/faults/{id_}")
