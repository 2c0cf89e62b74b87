"""Batches in PostgreSQL for tests."""

from __future__ import annotations

from typing import Any

import psycopg

from voicectl.store.batches import postgres_schema
from voicectl.store.postgres import Database


def prepared(url: str) -> str:
    """Create the tables for batches in the database *url* unless they exist, and return the URL."""
    database = Database(url, "batch store", postgres_schema.search_path)
    with database.within() as link:
        postgres_schema.init(link)
    database.close()
    return url


def execute(url: str, statement: str | bytes) -> None:
    """Run SQL in the schema of batches."""
    with _connected(url) as link:
        link.execute(statement)  # type: ignore[call-overload]


def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query in the schema of batches."""
    with _connected(url) as link:
        return link.execute(query).fetchall()  # type: ignore[call-overload]


def _connected(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, options=f"-c search_path={postgres_schema.SCHEMA}")
