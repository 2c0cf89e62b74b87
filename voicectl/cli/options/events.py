"""The options and output shared by the commands for stored webhook events."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import typer

from voicectl import times
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import Writer
from voicectl.errors import StoreError

if TYPE_CHECKING:
    from types import TracebackType

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


def usable_store(app: App) -> EventStore | None:
    """Open the default event store, or return None if it does not exist. If it does not work, report this."""
    try:
        return app.event_store
    except StoreError as exc:
        remark(f"warning: continuing without the event store: {exc.message}")
        return None


AllEvents = Annotated[
    bool,
    typer.Option(
        "--all-events", help="On a terminal, also show RTC events, which largely repeat other events."
    ),
]


def event_writer(app: App, *, all_events: bool) -> EventWriter:
    """Return a writer that shows each event as it arrives, on a line of its own instead of in a table.

    Args:
        all_events: True to show RTC events on a terminal. Elsewhere, they are always shown.
    """
    terminal = app.terminal
    terminal.stream_records()
    if not has_lines(app):
        return _Records(terminal.writer(views.EVENT_LINE, is_many=True))
    from voicectl.cli.output.event_lines import EventLines  # noqa: PLC0415 (on a terminal only)

    return EventLines(sys.stdout, terminal.local_time, all_events=all_events, is_colored=terminal.may_color)


def has_lines(app: App) -> bool:
    """Return True if events are shown as lines for people, rather than as records."""
    options = app.options
    return app.terminal.format.is_table and not options.fields and not options.quiet


class EventWriter(Protocol):
    """Shows stored events during a ``with`` block."""

    def __enter__(self) -> Self:
        """Prepare to show events."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write everything that has not been written yet."""

    def add(self, stored: Stored) -> None:
        """Show an event."""

    def flush(self) -> None:
        """Flush the output stream."""


class _Records:
    """Shows stored events as records."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, value, traceback)

    def add(self, stored: Stored) -> None:
        self._writer.add(event_record(stored))

    def flush(self) -> None:
        self._writer.flush()


def parse_time(app: App, text: str) -> float:
    """Convert a time, such as a timestamp or ``10m`` (10 minutes ago), to Unix seconds.

    Raises:
        InputError: *text* is not a valid time.
    """
    return datetime.fromisoformat(times.moment(text, now=app.clock.time())).timestamp()


def event_record(stored: Stored) -> dict[str, Any]:
    """Return the record that commands output for a stored event.

    ``event`` contains all fields of the webhook. If the fields could not be read, ``body`` contains the request body,
    and ``fault`` contains the reason. ``signed`` is false if the event was not signed. ``id`` is null until the
    event is in the store.
    """
    arrival = stored.arrival
    fields = arrival.fields
    found = {
        "id": stored.id or None,
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
