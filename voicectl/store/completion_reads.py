"""Quick database queries for shell completion, which write nothing and ignore errors.

The queries do not wait for locks, and end after a short time, since the shell is blocked while it completes a word.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.store.sqlite_faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 0.04
"""The time limit for reading one database, in seconds."""

MAX_ROWS = 400


class RecentCall(NamedTuple):
    """A call that this machine created. ``asked_at`` is the time of the "create call" request, in Unix seconds."""

    uuid: str
    to: str
    from_: str
    asked_at: float


class RecentStatus(NamedTuple):
    """A leg's status as reported by an event.

    ``fields`` contains the fields of the event, and ``received`` is the time of receipt in Unix seconds.
    """

    uuid: str
    status: str
    received: float
    fields: dict[str, Any]


def recent_calls(directory: Path, since: float) -> list[RecentCall]:
    """Return the journal's calls that have an id and were requested after *since* (Unix seconds), newest first."""
    query = (
        'SELECT uuid, "to", coalesce("from", \'\'), asked_at FROM calls WHERE uuid IS NOT NULL AND asked_at >= ?'
        " ORDER BY rowid DESC LIMIT ?"
    )
    return [RecentCall(*row) for row in _rows(directory / "journal.db", query, since)]


def recent_statuses(directory: Path, since: float) -> Iterator[RecentStatus]:
    """Yield the statuses from events that were received after *since* (in Unix seconds), newest first."""
    query = (
        "SELECT leg, status, received, body FROM events WHERE kind = 'status' AND leg IS NOT NULL AND received >= ?"
        " ORDER BY id DESC LIMIT ?"
    )
    for uuid, status, received, body in _rows(directory / "events.db", query, since):
        fields = None
        with suppress(ValueError, RecursionError):
            fields = json.loads(body)
        yield RecentStatus(uuid, status or "", received, fields if isinstance(fields, dict) else {})


def _rows(path: Path, query: str, since: float) -> Iterator[tuple[Any, ...]]:
    if not path.exists():
        return
    # Without a WAL file, no process has the database open. An immutable connection does not create such a file.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=0)) as db:
            until = time.monotonic() + SECONDS
            db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
            yield from db.execute(query, (since, MAX_ROWS)).fetchall()
    except FAULTS:
        return
