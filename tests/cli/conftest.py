"""A PostgreSQL server for the commands that read an event store."""

from tests.support.event_stores import database, postgres, postgres_server

__all__ = ["database", "postgres", "postgres_server"]
