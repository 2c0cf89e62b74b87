"""An event store in PostgreSQL that several receivers and operators share. A database may serve several applications.

The batches of an application's events are committed one after another, so the ids of the events follow the order of
the commits. A reader that has read all events up to an id can therefore continue with larger ids without missing an
event.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING

from voicectl.errors import StoreError
from voicectl.store.event_rows import COLUMNS, EVENT_COLUMNS, PRUNE_SECONDS, TOKEN_COLUMNS, Batch, paged
from voicectl.store.events import TOKEN_SECONDS
from voicectl.store.postgres import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from voicectl.store.events import Arrival, Kept, Query, Stored
    from voicectl.store.postgres import Link

SCHEMA_VERSION = 1

ADD_SECONDS = 3.0
"""The time limit for ``add``, including the time to connect, in seconds. A webhook's sender waits 10 seconds."""

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

_HINTS = {
    "42501": "Ask the owner of the database to GRANT CREATE ON DATABASE for the first start, and later USAGE ON"
    " SCHEMA voicectl_events and ALL on its tables and sequence.",
    "53100": "Free disk space on the server, or delete old events: voicectl webhook purge --before 30d.",
}


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
        self._add_seconds = add_seconds
        self._application = application_id
        self._pruned = 0.0
        self._database = Database(url, "event store", _migrate, _HINTS)
        with self._database.within():
            pass

    @property
    def warnings(self) -> list[str]:
        """The server's settings that make the store less safe, as messages for the user."""
        return self._database.warnings

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Store all *arrivals* in one durable commit, as described for ``EventStore.add``.

        If the connection breaks during the commit, this method raises an error, but the events may have been stored.
        Adding the same arrivals again does no harm.
        """
        if not arrivals:
            return []
        batch = Batch(arrivals)
        with self._database.within(self._add_seconds) as link, link.pipeline(), link.transaction():
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
            with self._database.within() as link, link.cursor(binary=True) as cursor:
                return cursor.execute(statement, values).fetchall()

        among = "voicectl_events.events WHERE application = %s"
        return paged(query, select, among=among, given=[self._application], mark="%s")

    def wait(self, seconds: float) -> None:
        """Wait for up to *seconds* seconds. Return early if the server reports that events may have been stored."""
        with self._database.within() as link:
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
        with self._database.within(math.inf) as link:
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
        self._database.close()

    def _ask(self, link: Link, statement: str, *values: object) -> list[Any]:
        return link.execute(statement, values).fetchall()

    def _insert(
        self, link: Link, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        if not rows:
            return
        arrays = ", ".join(f"%b::{_TYPES[column]}[]" for column in columns)
        link.execute(
            f"INSERT INTO voicectl_events.{table} (application, {', '.join(columns)})"  # noqa: S608 (no text from outside)
            f" SELECT %s, incoming.* FROM unnest({arrays}) AS incoming",
            [self._application, *_columns(rows)],
        )


def _migrate(link: Link) -> None:
    version = _schema_version(link)
    if version == 0:
        with link.transaction():
            link.execute("SELECT pg_advisory_xact_lock(hashtextextended('voicectl_events', 0))")
            if (version := _schema_version(link)) == 0:
                link.execute(_SCHEMA)
                link.execute("INSERT INTO voicectl_events.schema_version VALUES (%s)", [SCHEMA_VERSION])
                version = SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        raise StoreError(
            "The event store was written by a newer version of voicectl.",
            hint="Update voicectl, or use another database.",
        )


def _schema_version(link: Link) -> int:
    if not link.execute(_HAS_SCHEMA).fetchall():
        return 0
    version: int = link.execute("SELECT version FROM voicectl_events.schema_version").fetchall()[0][0]
    return version


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
