"""The database file of a batch: its tables, opening it, and explaining why it cannot be used.

Each batch has a file of its own. It is written in full under a temporary name while the list is checked, and renamed
once the batch is to begin. So even after a crash, a batch either does not exist or has its whole list, and a list of
any length does not hold up the other batches.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicectl.errors import StoreError
from voicectl.store import files, sqlite_file
from voicectl.store.sqlite_faults import DAMAGED, FAULTS, reason
from voicectl.store.sqlite_file import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE batch (
    name TEXT NOT NULL,
    application_id TEXT NOT NULL,
    base_url TEXT NOT NULL,
    created_at REAL NOT NULL,
    settings TEXT NOT NULL,
    columns TEXT NOT NULL,
    digest TEXT NOT NULL,
    stop TEXT NOT NULL DEFAULT '',
    pause TEXT NOT NULL DEFAULT '',
    holder TEXT,
    token TEXT
) STRICT;
CREATE TABLE people (
    id INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    "to" TEXT NOT NULL,
    second TEXT,
    fields TEXT NOT NULL,
    outcome TEXT,
    detail TEXT,
    settled_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL
) STRICT;
CREATE INDEX people_by_due ON people (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE duplicates (line INTEGER NOT NULL, "to" TEXT NOT NULL) STRICT;
CREATE TABLE attempts (
    person INTEGER NOT NULL,
    number INTEGER NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL UNIQUE,
    "to" TEXT NOT NULL,
    asked_at REAL NOT NULL,
    state TEXT NOT NULL,
    uuid TEXT,
    outcome TEXT,
    detail TEXT,
    detection TEXT,
    ended_at REAL,
    duration TEXT,
    price TEXT,
    PRIMARY KEY (person, number)
) STRICT;
CREATE INDEX attempts_by_state ON attempts (state) WHERE state <> 'over';
"""

INDEX_BY_NUMBER = 'CREATE INDEX people_by_number ON people ("to")'

_HINT = "No further call is made. Correct the problem, and run the command again."
_DAMAGED_HINT = (
    "No call is made from it. Copy the file and its -wal file before you repair it: 'sqlite3 FILE .recover' may"
    " recover the people. The calls themselves are in the journal: voicectl call reconcile."
)


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Translate exceptions about the file *path* into a ``StoreError``."""
    try:
        yield
    except (*FAULTS, Damaged) as exc:
        why = DAMAGED if isinstance(exc, Damaged) else reason(exc, path)
        hint = _DAMAGED_HINT if why == DAMAGED else _HINT
        raise StoreError(f"The batch in {path} cannot be used: {why}.", hint=hint) from exc


def connect(path: Path) -> sqlite3.Connection:
    """Open the batch at *path*, which must exist. This may raise ``Damaged``, ``OSError`` and ``sqlite3.Error``."""
    with files.alone(path.parent):
        return sqlite_file.connect(path, SCHEMA_VERSION)


def create(path: Path) -> sqlite3.Connection:
    """Create an empty batch at *path*, which is a temporary name, for one transaction without a journal of its own.

    A crash leaves a file that no one opens. This may raise ``OSError`` and ``sqlite3.Error``.
    """
    path.unlink(missing_ok=True)
    with files.opened(path, files.OWN | os.O_EXCL):
        pass
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -32000")
    db.execute("PRAGMA temp_store = FILE")
    db.executescript(SCHEMA)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("BEGIN")
    return db
