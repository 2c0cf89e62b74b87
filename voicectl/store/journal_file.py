"""The database file of the journal: creating it, opening it, and explaining why it cannot be used."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from voicectl.errors import JournalError
from voicectl.store import files, sqlite_file
from voicectl.store.sqlite_faults import DAMAGED, FAULTS, reason
from voicectl.store.sqlite_file import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1

_SUFFIXES = ("-wal", "-shm", "-journal")

_SCHEMA = """
CREATE TABLE calls (
    reference TEXT PRIMARY KEY,
    asked_at REAL NOT NULL,
    pid INTEGER NOT NULL,
    "to" TEXT NOT NULL,
    "from" TEXT,
    body_hash TEXT NOT NULL,
    key TEXT,
    state TEXT NOT NULL,
    uuid TEXT UNIQUE,
    reply TEXT,
    certainty TEXT,
    reason TEXT,
    settled_at REAL
) STRICT;
CREATE INDEX calls_by_key ON calls (key) WHERE key IS NOT NULL;
CREATE INDEX calls_by_state ON calls (state);
CREATE TABLE dials (at REAL NOT NULL, number TEXT NOT NULL) STRICT;
CREATE INDEX dials_by_time ON dials (at);
"""

_HINT = (
    "Correct the problem, or set VOICECTL_STATE_DIR to another directory. 'call create --no-journal' works without a"
    " journal, but cannot look up a call whose response was lost."
)
_DAMAGED_HINT = (
    "Copy the file and its -wal file before you repair it: 'sqlite3 journal.db .recover' may recover the calls. If"
    " you move them away, a new journal begins, which has no record of calls in doubt or of idempotency keys."
    " 'call create --no-journal' works without a journal."
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal at *path*, whose directory must exist, and return the connection. Create a missing journal.

    This may raise ``Damaged``, ``OSError`` and ``sqlite3.Error``.
    """
    with files.alone(path.parent):
        if not os.path.lexists(path):
            _make(path)
        return sqlite_file.connect(path, SCHEMA_VERSION)


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Translate exceptions about the file *path* into a ``JournalError``."""
    try:
        yield
    except (*FAULTS, Damaged) as exc:
        why = DAMAGED if isinstance(exc, Damaged) else reason(exc, path)
        hint = _DAMAGED_HINT if why == DAMAGED else _HINT
        raise JournalError(f"The journal {path} cannot be used: {why}.", hint=hint) from exc


def _make(path: Path) -> None:
    """Create an empty journal at *path*. Even after a crash, the file is either missing or complete.

    An empty file at *path* is therefore the remains of a journal. May raise ``OSError`` or ``sqlite3.Error``.
    """
    for suffix in _SUFFIXES:  # of a journal that was deleted; SQLite would apply them to the new one
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    new = path.with_name(f".{path.name}{files.NEW}")
    new.unlink(missing_ok=True)
    with files.opened(new, files.OWN | os.O_EXCL):
        pass
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    new.replace(path)
    files.sync_directory(path.parent)
