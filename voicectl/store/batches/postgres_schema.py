"""The PostgreSQL schema of batches, which ``batch store init`` creates and ``batch store upgrade`` brings up to date.

It holds our tables and those of Procrastinate, which distributes the work. Both versions are recorded, and are
checked whenever a connection is made, since an older program must not change what a newer one wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from procrastinate.schema import SchemaManager

from voicectl.errors import StoreError

if TYPE_CHECKING:
    from voicectl.store.postgres import Link

SCHEMA = "voicectl_batches"
SCHEMA_VERSION = 1

HINTS = {
    "42501": "Ask the owner of the database to run 'voicectl batch store init', and to GRANT USAGE ON SCHEMA"
    " voicectl_batches and ALL on its tables, sequences and functions.",
}

TABLES = """
CREATE TABLE batches (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application TEXT NOT NULL,
    name TEXT NOT NULL,
    base_url TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    settings TEXT NOT NULL,
    columns TEXT NOT NULL,
    digest TEXT NOT NULL,
    stop TEXT NOT NULL DEFAULT '',
    pause TEXT NOT NULL DEFAULT '',
    has_succeeded BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE (application, name)
);
CREATE TABLE people (
    batch BIGINT NOT NULL REFERENCES batches,
    id BIGINT NOT NULL,
    line BIGINT NOT NULL,
    "to" TEXT COLLATE "C" NOT NULL,
    second TEXT COLLATE "C",
    fields TEXT NOT NULL,
    outcome TEXT,
    detail TEXT,
    settled_at DOUBLE PRECISION,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at DOUBLE PRECISION,
    is_queued BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (batch, id)
);
CREATE INDEX people_by_number ON people (batch, "to");
CREATE INDEX people_by_due ON people (batch, due_at, id) WHERE due_at IS NOT NULL AND NOT is_queued;
CREATE INDEX people_queued ON people (batch, id) WHERE due_at IS NOT NULL AND is_queued;
CREATE TABLE duplicates (
    batch BIGINT NOT NULL REFERENCES batches,
    line BIGINT NOT NULL,
    "to" TEXT COLLATE "C" NOT NULL
);
CREATE INDEX duplicates_by_number ON duplicates (batch, "to");
CREATE TABLE attempts (
    batch BIGINT NOT NULL REFERENCES batches,
    person BIGINT NOT NULL,
    number INTEGER NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL UNIQUE,
    "to" TEXT NOT NULL,
    asked_at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL,
    uuid TEXT,
    outcome TEXT,
    detail TEXT,
    detection TEXT,
    ended_at DOUBLE PRECISION,
    duration TEXT,
    price TEXT,
    worker TEXT,
    PRIMARY KEY (batch, person, number)
);
CREATE INDEX attempts_open ON attempts (batch, asked_at) WHERE state <> 'over';
CREATE TABLE workers (
    token TEXT PRIMARY KEY,
    batch BIGINT NOT NULL REFERENCES batches,
    host TEXT NOT NULL,
    boot TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    engine BIGINT
);
CREATE INDEX workers_by_batch ON workers (batch);
CREATE TABLE turns (application TEXT PRIMARY KEY, next DOUBLE PRECISION NOT NULL);
CREATE TABLE intents (
    reference TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    asked_at DOUBLE PRECISION NOT NULL,
    pid INTEGER NOT NULL,
    "to" TEXT NOT NULL,
    "from" TEXT,
    body_hash TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    uuid TEXT,
    reply TEXT,
    certainty TEXT,
    reason TEXT,
    settled_at DOUBLE PRECISION,
    UNIQUE (application, uuid)
);
CREATE UNIQUE INDEX intents_once ON intents (application, key) WHERE state IN ('intent', 'in-doubt', 'created');
CREATE INDEX intents_open ON intents (application, "to") WHERE state IN ('intent', 'in-doubt');
CREATE TABLE dials (application TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, number TEXT NOT NULL);
CREATE TABLE opt_outs (
    application TEXT NOT NULL,
    number TEXT COLLATE "C" NOT NULL,
    batch TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (application, number)
);
CREATE INDEX dials_by_time ON dials (application, at);
CREATE TABLE schema_version (version INTEGER NOT NULL, jobs TEXT NOT NULL);
"""

_HAS_SCHEMA = "SELECT to_regclass('voicectl_batches.schema_version') IS NOT NULL"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('voicectl_batches', 0))"


def prepare(link: Link) -> None:
    """Make a new connection find the tables, and check that they suit this program.

    Raises:
        StoreError: The schema is missing, or is older or newer than this program.
    """
    link.execute(f"SET search_path = {SCHEMA}")
    found = _versions(link)
    if found is None:
        raise StoreError(
            "This database has no tables for batches.",
            hint="Create them: voicectl batch store init --store URL",
        )
    if found[0] > SCHEMA_VERSION or _parts(found[1]) > _parts(_engine()):
        raise StoreError(
            "The batches in this database were written by a newer version of voicectl or Procrastinate.",
            hint="Update voicectl: pip install --upgrade 'voicectl[batch]'",
        )
    if found[0] < SCHEMA_VERSION or _parts(found[1]) < _parts(_engine()):
        raise StoreError(
            "The tables for batches in this database were created by an older version of voicectl.",
            hint="Stop all workers, and then upgrade the tables: voicectl batch store upgrade --store URL",
        )


def search_path(link: Link) -> None:
    """Make a new connection find the tables, whether or not they exist."""
    link.execute(f"SET search_path = {SCHEMA}")


def init(link: Link) -> bool:
    """Create the schema. Return False if it exists."""
    with link.transaction():
        link.execute(_LOCK)
        if _versions(link) is not None:
            return False
        link.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        link.execute(TABLES)
        link.execute(SchemaManager.get_schema())
        link.execute("INSERT INTO schema_version VALUES (%s, %s)", [SCHEMA_VERSION, _engine()])
    return True


def upgrade(link: Link) -> bool:
    """Bring the schema up to date, and return True. Return False if it already was.

    Raises:
        StoreError: The schema is missing or newer than this program.
    """
    with link.transaction():
        link.execute(_LOCK)
        found = _versions(link)
        if found is None or found[0] > SCHEMA_VERSION or _parts(found[1]) > _parts(_engine()):
            prepare(link)
            return False
        if found == (SCHEMA_VERSION, _engine()):
            return False
        for path in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql")):
            if _parts(path.name.partition("_")[0]) > _parts(found[1]):
                link.execute(path.read_bytes())
        link.execute("UPDATE schema_version SET version = %s, jobs = %s", [SCHEMA_VERSION, _engine()])
    return True


def _versions(link: Link) -> tuple[int, str] | None:
    """Return the versions of our tables and of the engine's, or None if there is no schema."""
    if not link.execute(_HAS_SCHEMA).fetchall()[0][0]:
        return None
    found: tuple[int, str] = link.execute(f"SELECT version, jobs FROM {SCHEMA}.schema_version").fetchall()[0]
    return found


def _engine() -> str:
    """Return the version of Procrastinate's tables, which is that of the last migration."""
    last = max(Path(SchemaManager.get_migrations_path()).glob("*.sql"), key=lambda path: _parts(path.name))
    return last.name.partition("_")[0]


def _parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.partition("_")[0].split(".") if part.isdecimal())
