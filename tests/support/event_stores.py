"""Fixtures of both event stores. Each ``conftest.py`` imports them by name; all share one server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from voicectl.store.event_stores import open_events
from voicectl.store.events import EventStore

from .postgres import Postgres, running

_shared: list[Postgres] = []


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The server of all tests; tests use the fixture ``postgres`` instead."""
    if _shared:
        yield _shared[0]
        return
    with ExitStack() as stack:
        try:
            _shared.append(stack.enter_context(running()))
        except LookupError as exc:
            pytest.skip(f"no PostgreSQL: {exc}")
        stack.callback(_shared.clear)
        yield _shared[0]


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """A running PostgreSQL server, restarted after a test that stopped it."""
    if not postgres_server.is_running:
        postgres_server.start()
    yield postgres_server
    if not postgres_server.is_running:
        postgres_server.start()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database for one test, named ``other``."""
    postgres.execute("CREATE DATABASE other")
    yield postgres.url_of("other")
    postgres.execute("DROP DATABASE other WITH (FORCE)")


class Stores:
    """Opener of several handles to one event store, as other processes would have.

    Attributes:
        url: The URL of the database; None for SQLite.
    """

    def __init__(self, url: str | None, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.application_id = str(uuid.uuid4())
        self._stack = ExitStack()

    def __call__(self) -> EventStore:
        """Return another handle, which is closed after the test."""
        return self._stack.enter_context(closing(open_events(self.url, self.directory, self.application_id)))

    def close(self) -> None:
        """Close all handles."""
        self._stack.close()


@pytest.fixture(params=["sqlite", "postgres"])
def events(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Return an opener for an empty event store of one application, in each database."""
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else None
    with closing(Stores(url, tmp_path)) as stores:
        yield stores
