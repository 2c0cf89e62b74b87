"""A database as a place of batches that several machines run together."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from voicectl.core.batch.engine import Engine
from voicectl.core.batch.place import Place
from voicectl.store.batches import postgres_schema
from voicectl.store.batches.jobs import Jobs
from voicectl.store.batches.postgres import PostgresBatch
from voicectl.store.batches.postgres_directory import PostgresBatches
from voicectl.store.batches.postgres_journal import PostgresJournal
from voicectl.store.batches.postgres_opt_outs import PostgresOptOuts
from voicectl.store.postgres import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.clock import Clock
    from voicectl.store.batches.records import BatchStore


class ServerClock:
    """This machine's clock, set to the time of a server.

    Args:
        clock: This machine's clock.
        ahead: How far the server is ahead of it, in seconds.
    """

    def __init__(self, clock: Clock, ahead: float) -> None:
        self._clock = clock
        self._zero = clock.time() + ahead - clock.monotonic()

    def time(self) -> float:
        """Return the server's time in Unix seconds."""
        return self._clock.monotonic() + self._zero

    def monotonic(self) -> float:
        """Return the time of this machine's monotonic clock, in seconds."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for the given number of seconds."""
        self._clock.sleep(seconds)


def prepare(url: str, *, is_new: bool) -> bool:
    """Create the tables for batches, or upgrade them; see :func:`voicectl.core.batch.places.prepare`."""
    database = Database(url, "batch store", postgres_schema.search_path, postgres_schema.HINTS)
    with closing(database), database.within() as link:
        return postgres_schema.init(link) if is_new else postgres_schema.upgrade(link)


def place(url: str, directory: Path, application_id: str, clock: Clock) -> Place:
    """Return a PostgreSQL database as a place; see :func:`voicectl.core.batch.places.shared`."""
    batches = PostgresBatches(url, directory, application_id)
    jobs = Jobs()
    journal = PostgresJournal(url, application_id)  # one for all threads, since connections are scarce

    @contextmanager
    def hand_out(store: BatchStore, calls: int) -> Iterator[None]:
        assert isinstance(store, PostgresBatch)  # noqa: S101 (opened here)
        engine = Engine(url, store.id, jobs, calls)
        engine.start()
        try:
            yield
        finally:
            engine.close()

    def close() -> None:
        batches.close()
        journal.close()

    return Place(
        batches=batches,
        opt_outs=PostgresOptOuts(batches.database, application_id, clock),
        clock=ServerClock(clock, batches.now() - clock.time()),
        open_journal=lambda: journal,
        open=lambda name: batches.open(name, jobs),
        hand_out=hand_out,
        close=close,
        url=url,
    )
