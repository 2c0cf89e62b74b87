"""A PostgreSQL server for the commands that read an event store."""

from tests.support.event_stores import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]
