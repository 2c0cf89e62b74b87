"""A PostgreSQL for the commands that read a store of events."""

from tests.support.event_stores import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]
