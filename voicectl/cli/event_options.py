"""The options and output shared by the commands for stored webhook events."""

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
    """Open the event store at the URL *store* or, if it is None, the default store.

    Args:
        is_needed: True if a missing store should be reported on standard error.

    Returns:
        The store, or None if *store* is None and the default store does not exist.
    """
    found = app.event_store if store is None else app.events(store)
    if found is None and is_needed:
        remark("No events are stored on this machine yet. Run 'voicectl webhook serve'.")
    return found


def event_writer(app: App) -> Writer:
    """Return a writer that shows each event as it arrives, on a line of its own instead of in a table."""
    app.terminal.stream_records()
    return app.terminal.writer(views.EVENT_LINE, is_many=True)


def parse_time(app: App, text: str) -> float:
    """Convert a time, such as a timestamp or ``10m`` (10 minutes ago), to Unix seconds.

    Raises:
        InputError: *text* is not a valid time.
    """
    return datetime.fromisoformat(times.moment(text, now=app.clock.time())).timestamp()


def event_record(stored: Stored) -> dict[str, Any]:
    """Return the record with which commands show a stored event.

    ``event`` contains all fields of the webhook. If the fields could not be read, ``body`` contains the request body,
    and ``fault`` contains the reason. ``signed`` is false if the event was not signed.
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
