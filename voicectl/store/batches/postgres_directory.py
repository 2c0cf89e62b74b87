"""The batches of one application in PostgreSQL: listing, opening and creating them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicectl.store.batches import postgres_lists, postgres_schema
from voicectl.store.batches.directory import NewBatch, SqliteBatches, check_name, just_created, not_found
from voicectl.store.batches.postgres import NOW, PostgresBatch
from voicectl.store.postgres import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.store.batches.jobs import Jobs
    from voicectl.store.batches.records import BatchHead


class PostgresBatches:
    """The batches of an application in a database.

    Args:
        url: A URL that libpq accepts.
        directory: The application's state directory, in which lists are checked before they are sent to the database.
    """

    def __init__(self, url: str, directory: Path, application_id: str) -> None:
        self._url = url
        self._lists = SqliteBatches(directory)
        self._application = application_id
        self._database = Database(url, "batch store", postgres_schema.prepare, postgres_schema.HINTS)

    @property
    def database(self) -> Database:
        """The database, for the thread that uses this object."""
        return self._database

    def names(self) -> list[str]:
        """Return the names of all batches, in alphabetical order."""
        with self._database.within() as link:
            rows = link.execute("SELECT name FROM batches WHERE application = %s", [self._application])
            return sorted(name for (name,) in rows)

    def exists(self, name: str) -> bool:
        """Return True if there is a batch called *name*."""
        return self._id(name) is not None

    def open(self, name: str, jobs: Jobs | None = None) -> PostgresBatch:
        """Open a batch.

        Args:
            jobs: The jobs from which this process learns whom to call, or None to read that from the table of people.

        Raises:
            LegError: There is no such batch.
            StoreError: The database cannot be used.
        """
        found = self._id(name)
        if found is None:
            raise not_found(name, "voicectl batch list --store URL")
        return PostgresBatch(self._url, found, self._application, jobs)

    @contextmanager
    def new(self, name: str) -> Iterator[NewBatch]:
        """Yield a batch that can be filled, and that is sent to the database when it is kept."""
        with self._lists.filling(name, _NewPostgresBatch) as new:
            new.database = self._database
            yield new

    def now(self) -> float:
        """Return the server's time, in Unix seconds."""
        with self._database.within() as link:
            found: float = link.execute(f"SELECT {NOW}").fetchall()[0][0]
            return found

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _id(self, name: str) -> int | None:
        with self._database.within() as link:
            rows = link.execute(
                "SELECT id FROM batches WHERE application = %s AND name = %s",
                [self._application, check_name(name)],
            ).fetchall()
            return rows[0][0] if rows else None


class _NewPostgresBatch(NewBatch):
    """A batch that is being filled on this machine. If it is kept, it is copied to the database."""

    database: Database

    def keep(self, head: BatchHead) -> None:
        """Copy the batch to the database in one transaction.

        Raises:
            StoreError: The database cannot be used, or another batch was just given the name.
        """
        path = self.finish()
        with self.database.within(postgres_lists.COPY_SECONDS) as link, link.transaction():
            made = link.execute(
                "INSERT INTO batches (application, name, base_url, created_at, settings, columns, digest)"
                f" VALUES (%s, %s, %s, {NOW}, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id, created_at",
                [
                    head.application_id,
                    head.name,
                    head.base_url,
                    json.dumps(head.settings),
                    json.dumps(head.columns),
                    head.digest,
                ],
            ).fetchall()
            if not made:
                raise just_created(head.name)
            postgres_lists.copy(link, path, *made[0])
