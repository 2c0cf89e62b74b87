"""Selection of the event store: a file on this machine, or a database that several machines share."""

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
    """Return the spool, which keeps events while their event store cannot be used.

    The arguments are the same as for :func:`open_events`. Each store has a separate spool, so that spooled events
    never end up in another store.
    """
    if url is None:
        return Spool(directory / "spool")
    where = url.partition("://")[2].rpartition("@")[2].partition("?")[0]  # without the user and options
    return Spool(directory / f"spool-{hashlib.sha256(where.encode()).hexdigest()[:12]}")


def open_events(url: str | None, directory: Path, application_id: str) -> EventStore:
    """Open the event store of an application.

    Args:
        url: A URL that libpq accepts, such as ``postgresql://USER@HOST:PORT/DATABASE``, or None for SQLite.
        directory: The application's state directory, which must exist. SQLite's ``events.db`` is in this directory.

    Raises:
        InputError: *url* is malformed. The message does not quote the URL, which may contain a password.
        StoreError: The store cannot be used.
    """
    if url is None:
        from voicectl.store.sqlite_events import SqliteEvents  # noqa: PLC0415 (only one of the two is needed)

        return SqliteEvents(directory / "events.db")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise InputError(
            "The URL of the store is not a PostgreSQL URL.",
            hint="Write postgresql://USER@HOST:PORT/DATABASE.",
        )
    # Without this check, a part of the password could be read as a host name.
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
