"""An event store in PostgreSQL that several receivers and operators share. A database may serve several applications.

The batches of an application's events are committed one after another, so the ids of the events follow the order of
the commits. A reader that has read all events up to an id can therefore continue with larger ids without missing an
event.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel, conninfo
from psycopg.pq import TransactionStatus

from voicectl.errors import InputError, StoreError
from voicectl.store.event_rows import COLUMNS, EVENT_COLUMNS, PRUNE_SECONDS, TOKEN_COLUMNS, Batch, paged
from voicectl.store.events import TOKEN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from voicectl.store.events import Arrival, Kept, Query, Stored

# It would write to standard error about each connection that was lost, which the errors raised here report.
logging.getLogger("psycopg").setLevel(logging.CRITICAL + 1)

SCHEMA_VERSION = 1

CONNECT_SECONDS = 2
ADD_SECONDS = 3.0
"""The time limit for ``add``, including the time to connect, in seconds. A webhook's sender waits 10 seconds."""

READ_SECONDS = 30.0
LOCK_SECONDS = 2.0
CHANNEL = "voicectl_events"

# Statistics contain values that would outlive purged rows, so no statistics are kept for these columns. The planner
# therefore assumes that one event in 200 has the requested leg: see _IDS, _TOKENS and event_rows.paged.
_UNCOUNTED = ("key", "query", "body", "jti", "leg", "conversation", "conversation_from", "reference", "fault")
_SCHEMA = f"""
CREATE SCHEMA IF NOT EXISTS voicectl_events;
CREATE SEQUENCE voicectl_events.ids;
CREATE TABLE voicectl_events.events (
    application TEXT COLLATE "C" NOT NULL,
    id BIGINT NOT NULL,
    key BYTEA NOT NULL,
    repeats BIGINT NOT NULL,
    received DOUBLE PRECISION NOT NULL,
    route TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    query BYTEA NOT NULL,
    body BYTEA NOT NULL,
    is_signed BOOLEAN NOT NULL,
    jti TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    leg TEXT COLLATE "C",
    conversation TEXT COLLATE "C",
    conversation_from TEXT COLLATE "C",
    status TEXT COLLATE "C",
    told DOUBLE PRECISION,
    reference TEXT COLLATE "C",
    fault TEXT COLLATE "C",
    PRIMARY KEY (application, id),
    UNIQUE (application, key)
);
ALTER TABLE voicectl_events.events
    {", ".join(f"ALTER {name} SET STATISTICS 0" for name in _UNCOUNTED)};
CREATE INDEX events_by_time ON voicectl_events.events (application, received);
CREATE INDEX events_by_kind ON voicectl_events.events (application, kind, id);
CREATE INDEX events_by_status ON voicectl_events.events (application, status, id) WHERE status IS NOT NULL;
CREATE INDEX events_by_leg ON voicectl_events.events (application, leg) WHERE leg IS NOT NULL;
CREATE INDEX events_by_conversation ON voicectl_events.events (application, conversation)
    WHERE conversation IS NOT NULL;
CREATE INDEX events_by_old_conversation ON voicectl_events.events (application, conversation_from)
    WHERE conversation_from IS NOT NULL;
CREATE INDEX events_by_reference ON voicectl_events.events (application, reference) WHERE reference IS NOT NULL;
CREATE TABLE voicectl_events.tokens (
    application TEXT COLLATE "C" NOT NULL,
    jti TEXT COLLATE "C" NOT NULL,
    key BYTEA NOT NULL,
    seen DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (application, jti)
);
ALTER TABLE voicectl_events.tokens ALTER jti SET STATISTICS 0, ALTER key SET STATISTICS 0;
CREATE INDEX tokens_by_time ON voicectl_events.tokens (application, seen);
CREATE TABLE voicectl_events.schema_version (version INTEGER NOT NULL);
"""

# Read the catalogue itself, since to_regclass may return the state from before a lock was obtained.
_HAS_SCHEMA = """
SELECT FROM pg_catalog.pg_class AS found JOIN pg_catalog.pg_namespace AS place ON place.oid = found.relnamespace
WHERE place.nspname = 'voicectl_events' AND found.relname = 'schema_version'
"""

_SETTINGS = f"""
SELECT current_setting('server_encoding'), current_setting('synchronous_commit'), current_setting('fsync'),
    set_config('lock_timeout', '{LOCK_SECONDS:.0f}s', false),
    set_config('statement_timeout', '{READ_SECONDS:.0f}s', false)
"""

_TYPES = dict.fromkeys(COLUMNS, "text") | {
    "id": "bigint",
    "key": "bytea",
    "repeats": "bigint",
    "received": "float8",
    "query": "bytea",
    "body": "bytea",
    "is_signed": "boolean",
    "told": "float8",
    "seen": "float8",
}

_AGAIN = """
UPDATE voicectl_events.events AS kept
SET repeats = kept.repeats + incoming.count, is_signed = kept.is_signed OR incoming.is_signed,
    jti = coalesce(kept.jti, incoming.jti)
FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[], %s::text[]) AS incoming (id, count, is_signed, jti)
WHERE application = %s AND kept.id = incoming.id
"""

# LATERAL looks up each key separately. For key = ANY(...), the planner would read the whole table.
_IDS = """
SELECT asked.key, kept.id FROM unnest(%b::bytea[]) AS asked (key), LATERAL (
    SELECT id FROM voicectl_events.events WHERE application = %s AND key = asked.key LIMIT 1
) AS kept
"""
_TOKENS = """
SELECT asked.jti, kept.key FROM unnest(%s::text[]) AS asked (jti), LATERAL (
    SELECT key FROM voicectl_events.tokens WHERE application = %s AND jti = asked.jti LIMIT 1
) AS kept
"""
_NEXT_IDS = "SELECT nextval('voicectl_events.ids') FROM generate_series(1, %s)"
_FILE = "SELECT pg_relation_filenode('voicectl_events.events')"
_PRUNE = "DELETE FROM voicectl_events.tokens WHERE application = %s AND seen < %s"

_DEFAULTS: dict[str, Any] = {
    "application_name": "voicectl",
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": 2000,  # ms
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_SECRETS = ("password", "sslpassword", "oauth_client_secret")

_HINTS = {
    "25006": "This server is a read-only replica: use the URL of its primary.",
    "42501": "Ask the owner of the database to GRANT CREATE ON DATABASE for the first start, and later USAGE ON"
    " SCHEMA voicectl_events and ALL on its tables and sequence.",
    "53100": "Free disk space on the server, or delete old events: voicectl webhook purge --before 30d.",
    "55P03": "Another process has locked it; try again in a moment.",
}
_REASONS = {"53100": "no space left on the server's disk"}
_HINT = "Check that the server is running and accepts this user: run psql with the same URL."


class _Link(psycopg.Connection[Any]):
    """A connection that is closed if the server does not respond by ``deadline``, a value of ``time.monotonic()``."""

    deadline = math.inf
    is_listening = False

    @property
    def is_idle(self) -> bool:
        """True if no transaction is open, so that the connection can be used again."""
        return self.info.transaction_status is TransactionStatus.IDLE

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            state = next(gen)
            while True:
                ready = yield state  # psycopg resumes this generator ten times a second
                if time.monotonic() > self.deadline:
                    self.pgconn.finish()  # so that nothing waits for the server any longer
                    raise psycopg.OperationalError("the server does not respond")
                state = gen.send(ready)
        except StopIteration as done:
            return done.value


class PostgresEvents:
    """An ``EventStore`` in its own schema of a PostgreSQL database. The schema is created if it is missing.

    If the connection is lost, the next method call reconnects.

    Args:
        url: A URL that libpq accepts. Missing parts are taken from the ``PG...`` environment variables.
        add_seconds: The time limit for ``add``, in seconds.

    Raises:
        InputError: *url* is malformed.
        StoreError: The database cannot be used.
    """

    def __init__(self, url: str, application_id: str, *, add_seconds: float = ADD_SECONDS) -> None:
        self.warnings: list[str] = []
        self._add_seconds = add_seconds
        self._application = application_id
        self._pruned = 0.0
        try:
            self._settings = _DEFAULTS | conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise InputError(  # without the cause, which quotes the whole URL
                "The store's URL is not a valid PostgreSQL URL.",
                hint="Write postgresql://USER@HOST:PORT/DATABASE.",
            ) from None
        self._link: _Link | None = None
        with self._within(READ_SECONDS):
            pass

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Store all *arrivals* in one durable commit, as described for ``EventStore.add``.

        If the connection breaks during the commit, this method raises an error, but the events may have been stored.
        Adding the same arrivals again does no harm.
        """
        if not arrivals:
            return []
        batch = Batch(arrivals)
        with self._within(self._add_seconds) as link, link.pipeline(), link.transaction():
            link.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"voicectl {self._application}"]
            )
            ids = self._ask(link, _IDS, batch.keys, self._application)
            tokens = self._ask(link, _TOKENS, batch.token_ids, self._application)
            numbers = self._ask(link, _NEXT_IDS, len(batch.keys))
            batch.sort(dict(ids), dict(tokens))
            for (number,), row in zip(sorted(numbers), batch.new, strict=False):
                row.id = number
            self._insert(link, "events", EVENT_COLUMNS, [row.values() for row in batch.new])
            self._insert(link, "tokens", TOKEN_COLUMNS, batch.tokens)
            if batch.again:
                rows = [(row.id, row.count, row.is_signed, row.jti) for row in batch.again]
                link.execute(_AGAIN, [*_columns(rows), self._application])
            if batch.newest >= self._pruned + PRUNE_SECONDS:
                link.execute(_PRUNE, [self._application, batch.newest - TOKEN_SECONDS])
                self._pruned = batch.newest
            if batch.new:
                link.execute("SELECT pg_notify(%s, %s)", [CHANNEL, self._application])
        return batch.kept()

    def find(self, query: Query) -> Iterator[Stored]:
        """Yield the events that match *query*, in the order of their ids."""

        def select(statement: str, values: Sequence[object]) -> list[tuple[object, ...]]:
            with self._within(READ_SECONDS) as link, link.cursor(binary=True) as cursor:
                return cursor.execute(statement, values).fetchall()

        among = "voicectl_events.events WHERE application = %s"
        return paged(query, select, among=among, given=[self._application], mark="%s")

    def wait(self, seconds: float) -> None:
        """Wait for up to *seconds* seconds. Return early if the server reports that events may have been stored."""
        with self._within(READ_SECONDS) as link:
            if not link.is_listening:
                link.execute(f"LISTEN {CHANNEL}")
                link.is_listening = True
                return
            link.deadline = math.inf
            with closing(link.notifies(timeout=seconds)) as notices:
                is_notified = any(each.payload == self._application for each in notices)
            if is_notified:
                list(link.notifies(timeout=0))  # drop notices about events that the caller will find now

    def purge(self, before: float) -> int:
        """Delete old events; see ``EventStore.purge``. No event can be added while the table is rewritten.

        The server's own log, its replicas and its backups keep the deleted rows for a while.

        Raises:
            StoreError: The database failed, or the database user may not rewrite the table. (The table's owner may do
                so.)
        """
        events = "DELETE FROM voicectl_events.events WHERE application = %s AND received < %s"
        with self._within(math.inf) as link:
            link.execute("SET statement_timeout = 0")
            with link.transaction():
                count = link.execute(events, [self._application, before]).rowcount
                link.execute(_PRUNE, [self._application, before - TOKEN_SECONDS])
            ((old,),) = self._ask(link, _FILE)
            # VACUUM only warns a user who lacks the permission.
            link.execute("VACUUM (FULL) voicectl_events.events")
            ((new,),) = self._ask(link, _FILE)
            link.close()  # since this connection has no statement timeout any longer
        if new == old:
            raise StoreError(
                "The events were deleted, but their data is still in the server's files: the database user is not"
                " allowed to rewrite the table.",
                hint="Run the same command as the owner of the table voicectl_events.events.",
            )
        return count

    def close(self) -> None:
        """Close the connection to the database."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _ask(self, link: _Link, statement: str, *values: object) -> list[Any]:
        return link.execute(statement, values).fetchall()

    def _insert(
        self, link: _Link, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        if not rows:
            return
        arrays = ", ".join(f"%b::{_TYPES[column]}[]" for column in columns)
        link.execute(
            f"INSERT INTO voicectl_events.{table} (application, {', '.join(columns)})"  # noqa: S608 (no text from outside)
            f" SELECT %s, incoming.* FROM unnest({arrays}) AS incoming",
            [self._application, *_columns(rows)],
        )

    @contextmanager
    def _within(self, seconds: float) -> Iterator[_Link]:
        """Yield a connection for work that must finish within *seconds*, after connecting if necessary."""
        deadline = time.monotonic() + seconds
        try:
            if self._link is None:
                self._link = self._connect(deadline)
            link = self._link
            link.deadline = deadline
            yield link
        except psycopg.Error as exc:
            raise self._unusable(exc) from exc
        finally:
            if self._link is not None and not self._link.is_idle:
                self.close()

    def _connect(self, deadline: float) -> _Link:
        # No prepared statements: a generic plan may read the whole table, and connection poolers do not support them.
        link = _Link.connect(
            **self._settings, client_encoding="UTF8", autocommit=True, prepare_threshold=None
        )
        try:
            link.deadline = deadline
            link.isolation_level = (
                IsolationLevel.READ_COMMITTED
            )  # to see commits made while waiting for the lock
            self.warnings = self._check(link)
            self._migrate(link)
        except BaseException:
            link.close()
            raise
        return link

    def _check(self, link: _Link) -> list[str]:
        encoding, synchronous_commit, fsync, *_ = self._ask(link, _SETTINGS)[0]
        if encoding not in ("UTF8", "SQL_ASCII"):
            raise StoreError(
                f"The database's encoding is {encoding}, which cannot store all webhook events.",
                hint="Create another database: createdb --encoding UTF8 --template template0 NAME",
            )
        warnings = []
        if synchronous_commit == "off":
            link.execute("SET synchronous_commit = on")
            warnings.append(
                "synchronous_commit is off in PostgreSQL. voicectl turns it on for events, so that a crash cannot"
                " lose acknowledged ones."
            )
        if fsync == "off":
            warnings.append("fsync is off in PostgreSQL: a power cut may lose acknowledged events.")
        return warnings

    def _migrate(self, link: _Link) -> None:
        version = self._schema_version(link)
        if version == 0:
            with link.transaction():
                link.execute("SELECT pg_advisory_xact_lock(hashtextextended('voicectl_events', 0))")
                if (version := self._schema_version(link)) == 0:
                    link.execute(_SCHEMA)
                    link.execute("INSERT INTO voicectl_events.schema_version VALUES (%s)", [SCHEMA_VERSION])
                    version = SCHEMA_VERSION
        if version > SCHEMA_VERSION:
            raise StoreError(
                "The event store was written by a newer version of voicectl.",
                hint="Update voicectl, or use another database.",
            )

    def _schema_version(self, link: _Link) -> int:
        if not self._ask(link, _HAS_SCHEMA):
            return 0
        version: int = self._ask(link, "SELECT version FROM voicectl_events.schema_version")[0][0]
        return version

    def _unusable(self, exc: psycopg.Error) -> StoreError:
        said = (str(exc).splitlines() or [type(exc).__name__])[0].removesuffix(".")
        why = _REASONS.get(exc.sqlstate or "", said)
        for name in _SECRETS:
            if secret := self._settings.get(name):
                why = why.replace(str(secret), "***")
        return StoreError(
            f"The PostgreSQL event store cannot be used: {why}.",
            hint=_HINTS.get(exc.sqlstate or "", _HINT),
        )


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
