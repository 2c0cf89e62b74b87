"""Fixtures of both event stores."""

from tests.support.event_stores import database, events, postgres, postgres_server

__all__ = ["database", "events", "postgres", "postgres_server"]
