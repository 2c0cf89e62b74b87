"""The attempts and people of a batch in PostgreSQL, as rows and as records."""

from __future__ import annotations

import json
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any

from voicectl.store.batches.records import Attempt, AttemptState, PersonRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.store.postgres import Link

ATTEMPT = tuple(each.name for each in fields(Attempt))
COLUMNS = ", ".join(f'"{name}"' for name in ATTEMPT)
PLACES = ", ".join(["%s"] * len(ATTEMPT))
UPDATED = ", ".join(f'"{name}" = %({name})s' for name in ATTEMPT if name != "asked_at")
"""The columns of an attempt that may change. Its time remains that of its turn, by the server's clock."""

UPDATE = f"""
UPDATE attempts SET {UPDATED} WHERE batch = %(batch)s AND reference = %(reference)s AND (
    state <> 'over' OR %(is_over)s AND outcome = 'unverified' AND NOT EXISTS (
        SELECT FROM attempts AS later
        WHERE later.batch = %(batch)s AND later.person = attempts.person AND later.number > attempts.number
    )
)
"""
"""Writes an attempt unless another process has recorded what became of it."""


def people(link: Link, batch: int, *, after: int, limit: int) -> list[PersonRecord]:
    """Return the people of a batch, with all attempts, whose ids follow *after*."""
    rows = link.execute(
        'SELECT id, line, "to", second, fields, outcome, detail, settled_at FROM people'
        " WHERE batch = %s AND id > %s ORDER BY id LIMIT %s",
        [batch, after, limit],
    ).fetchall()
    if not rows:
        return []
    attempts = link.execute(
        f"SELECT {COLUMNS} FROM attempts WHERE batch = %s AND person BETWEEN %s AND %s ORDER BY number",
        [batch, rows[0][0], rows[-1][0]],
    ).fetchall()
    repeated = link.execute(
        'SELECT "to", line FROM duplicates WHERE batch = %s AND "to" = ANY(%s) ORDER BY line',
        [batch, [row[2] for row in rows]],
    ).fetchall()
    made: dict[int, list[Attempt]] = {}
    for each in map(attempt_of, attempts):
        made.setdefault(each.person, []).append(each)
    lines: dict[str, list[int]] = {}
    for to, line in repeated:
        lines.setdefault(to, []).append(line)
    return [
        PersonRecord(
            id=id_,
            line=line,
            to=to,
            second=second,
            fields=json.loads(row),
            outcome=outcome,
            detail=detail,
            settled_at=settled_at,
            attempts=made.get(id_, []),
            duplicates=lines.get(to, []),
        )
        for id_, line, to, second, row, outcome, detail, settled_at in rows
    ]


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Return the attempt in a row of :data:`COLUMNS`."""
    found = dict(zip(ATTEMPT, row, strict=True))
    return Attempt(**found | {"state": AttemptState(found["state"])})


def values_of(attempt: Attempt) -> list[Any]:
    """Return the values of an attempt, in the order of :data:`COLUMNS`."""
    return list(astuple(attempt))
