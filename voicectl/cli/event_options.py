"""Kept webhooks as commands name, find and show them: the same wherever they are dealt with."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from voicectl import times
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import Writer
from voicectl.errors import InputError

if TYPE_CHECKING:
    from voicectl.cli.context import App
    from voicectl.store.events import EventStore, Stored


def _refuse_password(store: str | None) -> str | None:
    """Return the URL of a store.

    Raises:
        InputError: It has a password, which is not repeated.
    """
    try:
        parts = urlsplit(store or "")
        has_password = parts.password is not None or any("password" in name for name in parse_qs(parts.query))
    except ValueError:
        has_password = False  # what is no URL is refused elsewhere
    if has_password:
        raise InputError(
            "A password was given with --store, where it is visible to every user of this host.",
            hint="Set VOICECTL_STORE to that URL, or keep the password in a file that PGPASSFILE names."
            " Consider it known to others.",
        )
    return store


Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        callback=_refuse_password,
        help="The store of events, postgresql://USER@HOST/DATABASE, instead of this machine's.",
    ),
]


def kept(app: App, store: str | None, *, is_needed: bool = True) -> EventStore | None:
    """The store that was named, or the one that is there; None if there is none, which is told if it *is_needed*."""
    found = app.told if store is None else app.events(store)
    if found is None and is_needed:
        remark("No events are kept on this machine yet: run 'voicectl webhook serve'.")
    return found


def stream(app: App) -> Writer:
    """Return what shows events as they come: JSON as lines, and no table, which is shown when all of it is there."""
    app.terminal.stream_records()
    return app.terminal.writer(views.EVENT_LINE, is_many=True)


def seconds(app: App, text: str) -> float:
    """A TIME in Unix seconds.

    Raises:
        InputError: It is none.
    """
    return datetime.fromisoformat(times.moment(text, now=app.clock.time())).timestamp()


def record(stored: Stored) -> dict[str, Any]:
    """The record of an event.

    ``event`` holds every field that was told; ``body`` is there where they could not be read, and ``fault`` says why.
    ``signed`` is false for what nobody vouched for.
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
