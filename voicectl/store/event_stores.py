"""Which store of events it is: a file of this machine, or a database that several machines share."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from voicectl.errors import InputError, StoreError
from voicectl.store.events_spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.store.events import EventStore

_URL = re.compile(r"postgres(?:ql)?://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)


def spool_of(url: str | None, directory: Path) -> Spool:
    """Where events are put aside while their store, as :func:`open_events` takes it, cannot be used.

    Each store has its own: what one would not take is not given to another.
    """
    if url is None:
        return Spool(directory / "spool")
    where = url.partition("://")[2].rpartition("@")[2].partition("?")[0]  # without who asks, and how
    return Spool(directory / f"spool-{hashlib.sha256(where.encode()).hexdigest()[:12]}")


def open_events(url: str | None, directory: Path, application_id: str) -> EventStore:
    """Open the events of an application.

    Args:
        url: ``postgresql://USER@HOST:PORT/DATABASE``, as libpq reads it; None for SQLite.
        directory: The application's state directory, which exists: where SQLite's ``events.db`` is.

    Raises:
        InputError: *url* is malformed; no byte of it is told, since it may hold a password.
        StoreError: The store cannot be used.
    """
    if url is None:
        from voicectl.store.sqlite_events import SqliteEvents  # noqa: PLC0415 (one of the two is needed)

        return SqliteEvents(directory / "events.db")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise InputError(
            "The store is not a PostgreSQL URL.", hint="Write postgresql://USER@HOST:PORT/DATABASE."
        )
    # Else half a password becomes a host's name.
    if parts["authority"].count("@") > 1 or "@" in parts["rest"]:
        raise InputError(
            "The store's URL contains a character that has a special meaning in URLs.",
            hint="In a user name or password, write @ as %40, / as %2F, ? as %3F and # as %23.",
        )
    try:
        from voicectl.store.postgres_events import PostgresEvents  # noqa: PLC0415 (loads psycopg, an extra)
    except ImportError as exc:
        raise StoreError(
            "A PostgreSQL store needs psycopg, which is not installed.",
            hint="Install it: pip install 'voicectl[postgres]'",
        ) from exc
    return PostgresEvents(url, application_id)
