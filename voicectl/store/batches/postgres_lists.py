"""The lists of batches in PostgreSQL: copying a list that was checked on this machine, and comparing it with another.

Lists are checked in a file of SQLite, as those of batches that stay on this machine.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from voicectl.store.batches.records import Difference

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.store.postgres import Link

COPY_SECONDS = 600.0
"""The time limit for copying a list, in seconds."""

_MAX_EXAMPLES = 10
_PEOPLE = 'id, line, "to", second, fields, outcome, detail, due_at'
_IS_NEW = 'NOT EXISTS (SELECT FROM people AS o WHERE o.batch = %(batch)s AND n."to" = o."to")'
_ADDED = f'SELECT n.line, n."to" FROM new AS n WHERE {_IS_NEW} ORDER BY 1'
_REMOVED = """
SELECT o.line, o."to" FROM people AS o WHERE o.batch = %(batch)s
    AND NOT EXISTS (SELECT FROM new AS n WHERE n."to" = o."to") ORDER BY 1
"""
_CHANGED = """
SELECT n.line, n."to" FROM people AS o JOIN new AS n ON n."to" = o."to"
WHERE o.batch = %(batch)s AND (o.fields <> n.fields OR o.second IS DISTINCT FROM n.second) ORDER BY 1
"""
_ADD = f"""
INSERT INTO people (batch, id, line, "to", second, fields, outcome, detail, due_at)
SELECT %(batch)s, row_number() OVER (ORDER BY n.id) + (SELECT max(id) FROM people WHERE batch = %(batch)s),
    line, "to", CASE WHEN EXISTS
        (SELECT FROM people AS o WHERE o.batch = %(batch)s AND n.second IN (o."to", o.second))
    THEN NULL ELSE second END, fields, outcome, detail, due_at
FROM new AS n WHERE {_IS_NEW}
    AND NOT EXISTS (SELECT FROM people AS o WHERE o.batch = %(batch)s AND n."to" = o.second)
"""


def copy(link: Link, path: Path, batch: int, now: float) -> None:
    """Copy the people and duplicates of the file *path* to the database, in the transaction of *link*."""
    link.execute("SET LOCAL statement_timeout = 0")
    _copy(link, path, "people", "people", _PEOPLE, batch)
    _copy(link, path, "duplicates", "duplicates", 'line, "to"', batch)
    settled = "UPDATE people SET settled_at = %s WHERE batch = %s AND outcome IS NOT NULL"
    link.execute(settled, [now, batch])
    link.execute("ANALYZE people")


def attach(link: Link, path: Path) -> None:
    """Copy the people of the file *path* to the temporary table ``new``, for the transaction of *link*."""
    link.execute("SET LOCAL statement_timeout = 0")
    link.execute("CREATE TEMP TABLE new (LIKE people INCLUDING DEFAULTS) ON COMMIT DROP")
    _copy(link, path, "people", "new", _PEOPLE, 0)


def difference(link: Link, batch: int) -> Difference:
    """Return how the list in the table ``new`` differs from the list of a batch."""
    counts, examples = [], []
    for what, rows in (("added", _ADDED), ("removed", _REMOVED), ("changed", _CHANGED)):
        found = link.execute(rows, {"batch": batch}).fetchall()
        counts.append(len(found))
        examples += [f"{what}: {to} (line {line})" for line, to in found[:_MAX_EXAMPLES]]
    return Difference(added=counts[0], removed=counts[1], changed=counts[2], examples=tuple(examples))


def add(link: Link, batch: int, digest: str) -> int:
    """Add the people of the table ``new`` whom a batch does not have, and return their number."""
    added = link.execute(_ADD, {"batch": batch})
    link.execute("UPDATE batches SET digest = %s WHERE id = %s", [digest, batch])
    return added.rowcount


def _copy(link: Link, path: Path, source: str, table: str, columns: str, batch: int) -> None:
    """Copy rows from the SQLite file *path* to the database."""
    order = "id" if columns.startswith("id") else "line"
    with (
        closing(sqlite3.connect(path)) as db,
        link.cursor() as cursor,
        cursor.copy(f"COPY {table} (batch, {columns}) FROM STDIN") as copy,
    ):
        for row in db.execute(f"SELECT {columns} FROM {source} ORDER BY {order}"):
            copy.write_row((batch, *row))
