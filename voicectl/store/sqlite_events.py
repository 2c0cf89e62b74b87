"""An event store in SQLite, for one machine. Stored events survive a power cut (WAL, ``synchronous=FULL``)."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from voicectl.errors import StoreError
from voicectl.store import files
from voicectl.store.event_rows import EVENT_COLUMNS, PRUNE_SECONDS, TOKEN_COLUMNS, Batch, paged
from voicectl.store.events import TOKEN_SECONDS
from voicectl.store.sqlite_faults import FAULTS, NO_SPACE, code_of, reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from voicectl.store.events import Arrival, Kept, Query, Stored

T = TypeVar("T")

SCHEMA_VERSION = 1

LOCK_SECONDS = 0.5
"""How long ``add`` waits for another writer before it fails, in seconds. If it fails, the receiver uses its spool."""

PURGE_LOCK_SECONDS = 10.0
POLL_SECONDS = 0.2
PART = 64
"""The maximum number of rows in one SQL statement. It must be a power of two."""

LOG_PAGES = 4000
"""The size of the write-ahead log at which a checkpoint starts, in pages of 4 KiB.

With a large log, database pages that change often are copied from the log to the database less often.
"""

PURGE_ROWS = 1000

_SCHEMA = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    repeats INTEGER NOT NULL DEFAULT 0,
    received REAL NOT NULL,
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    query BLOB NOT NULL,
    body BLOB NOT NULL,
    is_signed INTEGER NOT NULL,
    jti TEXT,
    kind TEXT NOT NULL,
    leg TEXT,
    conversation TEXT,
    conversation_from TEXT,
    status TEXT,
    told REAL,
    reference TEXT,
    fault TEXT
) STRICT;
CREATE INDEX events_by_time ON events (received);
CREATE INDEX events_by_kind ON events (kind);
CREATE INDEX events_by_status ON events (status) WHERE status IS NOT NULL;
CREATE INDEX events_by_leg ON events (leg) WHERE leg IS NOT NULL;
CREATE INDEX events_by_conversation ON events (conversation) WHERE conversation IS NOT NULL;
CREATE INDEX events_by_old_conversation ON events (conversation_from) WHERE conversation_from IS NOT NULL;
CREATE INDEX events_by_reference ON events (reference) WHERE reference IS NOT NULL;
CREATE TABLE tokens (
    jti TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    seen REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_time ON tokens (seen);
"""

_AGAIN = """
UPDATE events SET repeats = repeats + ?, is_signed = max(is_signed, ?), jti = coalesce(jti, ?) WHERE id = ?
"""

_DELETE = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE received < ? LIMIT ?)"

_HINTS = {
    "SQLITE_FULL": "Free disk space, or delete old events: voicectl webhook purge --before 30d.",
    "SQLITE_BUSY": "Another process has locked it; try again in a moment.",
    "SQLITE_CORRUPT": "Move the file elsewhere, with its -wal file; 'sqlite3 events.db .recover' may recover events.",
    "SQLITE_NOTADB": "Move the file elsewhere: voicectl creates a new one.",
}
_HINT = "Correct the problem, or choose another place with VOICECTL_STATE_DIR or --store."


class SqliteEvents:
    """An ``EventStore`` in a file with mode 0600. Any thread may use the store, but only one at a time.

    Args:
        path: The path of the file, in an existing directory. A missing file is created.
        purge_lock_seconds: How long ``purge`` waits for other processes, in seconds.

    Raises:
        StoreError: The file cannot be used.
    """

    def __init__(self, path: Path, *, purge_lock_seconds: float = PURGE_LOCK_SECONDS) -> None:
        self.warnings: list[str] = []
        self._path = path
        self._purge_lock_seconds = purge_lock_seconds
        self._file: tuple[int, int] | None = None
        self._pruned = 0.0
        with self._translated():
            self._db = self._open()
            self._seen = self._version()

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Store all *arrivals* in one durable commit, as described for ``EventStore.add``."""
        if not arrivals:
            return []
        batch = Batch(arrivals)
        with self._writing() as db:
            batch.sort(
                dict(_look_up(db, "SELECT key, id FROM events WHERE key", batch.keys)),
                dict(_look_up(db, "SELECT jti, key FROM tokens WHERE jti", batch.token_ids)),
            )
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
            for number, row in enumerate(batch.new, start=last[0] + 1 if last else 1):
                row.id = number
            _insert(db, "events", EVENT_COLUMNS, [row.values() for row in batch.new])
            _insert(db, "tokens", TOKEN_COLUMNS, batch.tokens)
            db.executemany(_AGAIN, [(row.count, row.is_signed, row.jti, row.id) for row in batch.again])
            if batch.newest >= self._pruned + PRUNE_SECONDS:
                db.execute("DELETE FROM tokens WHERE seen < ?", (batch.newest - TOKEN_SECONDS,))
                self._pruned = batch.newest
        return batch.kept()

    def find(self, query: Query) -> Iterator[Stored]:
        """Yield the events that match *query*, in the order of their ids."""

        def select(statement: str, values: Sequence[object]) -> list[tuple[object, ...]]:
            with self._translated():
                return self._ready().execute(statement, values).fetchall()

        return paged(query, select, among="events WHERE 1 = 1", mark="?")

    def wait(self, seconds: float) -> None:
        """Wait for up to *seconds* seconds. Return early if events may have been stored since the last call."""
        deadline = time.monotonic() + seconds
        while True:
            with self._translated():
                self._ready()
                seen, self._seen = self._seen, self._version()
            rest = deadline - time.monotonic()
            if seen != self._seen or rest <= 0:
                return
            time.sleep(min(POLL_SECONDS, rest))

    def purge(self, before: float) -> int:
        """Delete old events; see ``EventStore.purge``. Writers wait while the file is rewritten (1 s for 100 MB).

        Raises:
            StoreError: The store failed, or another process is reading the log, so that deleted bytes remain in it.
                In the second case, the purge must be repeated.
        """
        count = 0
        with self._patiently():
            is_more = True
            while is_more:
                with self._writing() as db:
                    deleted = db.execute(_DELETE, (before, PURGE_ROWS)).rowcount
                count += deleted
                is_more = deleted == PURGE_ROWS
            with self._writing() as db:
                db.execute("DELETE FROM tokens WHERE seen < ?", (before - TOKEN_SECONDS,))
            with self._translated():
                self._shrink()
        return count

    def close(self) -> None:
        """Close the database."""
        with suppress(sqlite3.Error):
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        """Open the database, and return the connection. May raise ``OSError`` or ``sqlite3.Error``."""
        with files.opened(self._path, files.OWN) as handle:
            found = os.fstat(handle)
        db = sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA secure_delete = ON")  # overwrite deleted content
            db.execute("PRAGMA temp_store = MEMORY")  # leave no copies in other files
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        self._file = found.st_dev, found.st_ino
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        version = _schema_version(db)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"The event store {self._path} was written by a newer version of voicectl.",
                hint="Update voicectl, or choose another store with --store.",
            )
        if version == SCHEMA_VERSION:
            return
        with files.alone(self._path.parent):  # SQLite does not wait for a process that is switching to WAL
            db.execute("PRAGMA journal_mode = WAL")
            with _transaction(db):
                if _schema_version(db) == 0:
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _ready(self) -> sqlite3.Connection:
        """Return the connection, after reopening the database if the file was removed or replaced."""
        try:
            found = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 (faster, and done for every commit)
            is_same = (found.st_dev, found.st_ino) == self._file
        except FileNotFoundError:
            is_same = False
        if not is_same:
            self._db.close()  # first, since closing later would remove the new file's log
            self._db = self._open()
            self._seen = ()
        return self._db

    def _version(self) -> tuple[int, ...]:
        """Return a value that changes with every commit that is made through this or any other connection."""
        return (*self._db.execute("PRAGMA data_version").fetchone(), self._db.total_changes)

    def _shrink(self) -> None:
        """Rewrite the database file and empty the write-ahead log, since both may contain deleted rows.

        The setting ``secure_delete`` does not erase the traces of rows that SQLite has moved to other pages. The
        temporary copy of the database may be too large for memory, so it is an unnamed file in the same directory.
        """
        db = self._ready()
        directory = str(self._path.parent.absolute()).replace("'", "''")
        db.execute(f"PRAGMA temp_store_directory = '{directory}'")
        db.execute("PRAGMA temp_store = FILE")
        try:
            db.execute("VACUUM")
        finally:
            db.execute("PRAGMA temp_store = MEMORY")
        if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise StoreError(
                "The events were deleted, but their data is still in the write-ahead log (the -wal file), which"
                " another process is reading.",
                hint=f"Run the command again when no other process reads {self._path}.",
            )

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        with self._translated():
            self._ready().execute(f"PRAGMA busy_timeout = {self._purge_lock_seconds * 1000:.0f}")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                self._db.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000:.0f}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._translated(), _transaction(self._ready()):
            yield self._db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FAULTS as exc:
            why = reason(exc, self._path)
            code = "SQLITE_FULL" if why == NO_SPACE else code_of(exc)
            raise StoreError(
                f"The event store {self._path} cannot be used: {why}.",
                hint=next((hint for name, hint in _HINTS.items() if code.startswith(name)), _HINT),
            ) from exc


def _look_up(db: sqlite3.Connection, statement: str, values: Sequence[object]) -> Iterator[tuple[Any, Any]]:
    for part in _parts(values):
        yield from db.execute(f"{statement} IN ({', '.join('?' * len(part))})", part)


def _insert(
    db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Insert *rows* into *table*, many rows with each statement.

    With one statement per row, each statement could wait 5 ms for the interpreter lock if another thread is busy.
    """
    into, row = f"{table} ({', '.join(columns)})", f"({', '.join('?' * len(columns))})"
    for part in _parts(rows):
        values = [value for each in part for value in each]
        db.execute(f"INSERT OR ROLLBACK INTO {into} VALUES {', '.join([row] * len(part))}", values)  # noqa: S608 (no text from outside)


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split *whole* into parts of only a few different lengths, so that SQLite can reuse prepared statements."""
    start, length = 0, PART
    while start < len(whole):
        while length > len(whole) - start:
            length //= 2
        yield whole[start : start + length]
        start += length


def _schema_version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    with db:
        db.execute("BEGIN IMMEDIATE")
        yield
