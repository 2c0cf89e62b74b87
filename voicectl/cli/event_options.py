"""The options and output that the commands on stored webhook events share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import Writer

if TYPE_CHECKING:
    from voicectl.cli.context import App
    from voicectl.store.events import EventStore, Stored


Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Use this event store, postgresql://USER@HOST/DATABASE, instead of the local one.",
    ),
]


def open_store(app: App, store: str | None, *, is_needed: bool = True) -> EventStore | None:
    """Open the event store named by *store*, else the existing default one.

    Returns None if there is no store, and says so on standard error if it *is_needed*.
    """
    found = app.event_store if store is None else app.events(store)
    if found is None and is_needed:
        remark("No events are stored on this machine yet. Run 'voicectl webhook serve'.")
    return found


def event_writer(app: App) -> Writer:
    """Return a writer that shows each event as it comes: as JSON lines or lines of text, never as a table."""
    app.terminal.stream_records()
    return app.terminal.writer(views.EVENT_LINE, is_many=True)


def parse_time(app: App, text: str) -> float:
    """Parse a TIME into Unix seconds.

    Raises:
        InputError: *text* is not a TIME.
    """
    return datetime.fromisoformat(times.moment(text, now=app.clock.time())).timestamp()


def event_record(stored: Stored) -> dict[str, Any]:
    """Return the record that commands show of a stored event.

    ``event`` holds every field of the webhook. If the fields could not be read, ``body`` holds the request body and
    ``fault`` the reason. ``signed`` is false for an unsigned event.
    """
    arrival = stored.arrival
    fields = arrival.fields
    found = {
        "id": stored.id,
        "received_at": times.utc(arrival.received, timespec="milliseconds"),
        "route": arrival.route.value,
        "kind": arrival.kind,
        "status": arrival.status,
        "uuid": arrival.leg,
        "conversation_uuid": arrival.conversation,
        "timestamp": fields.get("timestamp"),
        "signed": arrival.is_signed,
        "repeats": stored.repeats,
        "method": arrival.method,
        "reference": arrival.reference,
        "event": fields,
    }
    if arrival.fault is not None:
        found |= {"fault": arrival.fault, "body": arrival.body.decode("utf-8", "backslashreplace")}
    return found
