"""A store of batches in SQLite, for batches that one machine runs. Each batch is one file."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from voicectl.errors import GuardError, LeaseLost
from voicectl.store.batches import file
from voicectl.store.batches.file import usable
from voicectl.store.batches.process import is_gone
from voicectl.store.batches.records import (
    Attempt,
    AttemptState,
    BatchInfo,
    Begun,
    Difference,
    Holder,
    PersonRecord,
    Stop,
    Totals,
    WaitingPerson,
    price,
)
from voicectl.store.sqlite_file import Damaged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voicectl.store.batches.records import Changes, Limits

_ATTEMPT = tuple(each.name for each in fields(Attempt))
_COLUMNS = ", ".join(f'"{name}"' for name in _ATTEMPT)
_PLACES = ", ".join("?" * len(_ATTEMPT))
_IS_NEW = 'NOT EXISTS (SELECT 1 FROM main.people WHERE "to" = n."to")'
_MAX_EXAMPLES = 10
_WAITING = 'SELECT id, "to", second, fields, attempts, due_at FROM people WHERE due_at'


class SqliteBatch:
    """One batch, which implements :class:`voicectl.store.batches.records.BatchStore`.

    Raises:
        StoreError: The file cannot be used.
    """

    is_shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token: str | None = None
        with usable(path):
            self._db = file.connect(path)

    def info(self) -> BatchInfo:
        """Return the batch as a whole."""
        with usable(self._path):
            row = self._db.execute("SELECT * FROM batch").fetchone()
            try:
                return _info(row)
            except (TypeError, ValueError, LookupError) as exc:
                raise Damaged from exc

    def take_lease(self, me: Holder) -> Holder | None:
        """Take the lease for the process *me*, and return the process from which it was taken, if any."""
        with usable(self._path):
            if [tuple(row) for row in self._db.execute("PRAGMA quick_check(1)")] != [("ok",)]:
                raise Damaged
        with self._transaction():
            held = self.info().holder
            if held is not None and not is_gone(held, me.seen_at):
                where = f"process {held.pid}" if held.host == me.host else f"a process on {held.host}"
                raise GuardError(
                    f"This batch is being run by {where}.",
                    hint="To see its progress: voicectl batch status NAME. To stop it: voicectl batch stop NAME",
                )
            self._db.execute(
                "UPDATE batch SET holder = ?, token = ?, stop = ''", (json.dumps(asdict(me)), me.token)
            )
        self._token = me.token
        return held

    def renew_lease(self, now: float) -> Stop:
        """Record that the holder is alive, and return what another command has asked it to do."""
        with self._changing():
            row = self._db.execute("SELECT stop, holder FROM batch").fetchone()
            seen = json.loads(row["holder"]) | {"seen_at": now}
            self._db.execute("UPDATE batch SET holder = ?", (json.dumps(seen),))
            return Stop(row["stop"])

    def release_lease(self) -> None:
        """Give the lease up. Do nothing if another process holds it."""
        with self._transaction():
            self._db.execute("UPDATE batch SET holder = NULL, token = NULL WHERE token = ?", (self._token,))
        self._token = None

    def set_stop(self, stop: Stop) -> None:
        """Ask the batch's process to stop. This needs no lease."""
        with self._transaction():
            self._db.execute("UPDATE batch SET stop = ?", (stop,))

    def set_pause(self, reason: str) -> None:
        """Record that the batch paused, or with an empty *reason* that it goes on."""
        with self._changing():
            self._db.execute("UPDATE batch SET pause = ?", (reason,))

    def due(self, now: float, limit: int) -> list[WaitingPerson]:
        """Return people who may be called at the time *now*: repeated attempts first, then in the list's order."""
        with usable(self._path):
            rows = self._db.execute(f"{_WAITING} > 0 AND due_at <= ? ORDER BY due_at LIMIT ?", (now, limit))
            found = rows.fetchall()
            if len(found) < limit:
                found += self._db.execute(f"{_WAITING} = 0 ORDER BY id LIMIT ?", (limit - len(found),))
            return [WaitingPerson(**(dict(row) | {"fields": json.loads(row["fields"])})) for row in found]

    def next_due_at(self) -> float | None:
        """Return the earliest time at which a waiting person may be called, or None if no one waits."""
        with usable(self._path):
            found: float | None = self._db.execute(
                "SELECT min(due_at) FROM people WHERE due_at IS NOT NULL"
            ).fetchone()[0]
            return found

    def begin(
        self,
        person: WaitingPerson,
        attempt: Attempt,
        changes: Changes | None = None,
        limits: Limits | None = None,  # noqa: ARG002 (the only process checks them)
    ) -> Begun:
        """Write *changes* and an attempt durably, or only the changes if the attempt must not be made any more."""
        with self._changing():
            if changes is not None:
                self._write(changes)
            if self._db.execute("SELECT stop FROM batch").fetchone()[0]:
                return Begun.NO
            changed = self._db.execute(
                "UPDATE people SET due_at = NULL, attempts = attempts + 1"
                " WHERE id = ? AND attempts = ? AND due_at IS NOT NULL",
                (person.id, attempt.number - 1),
            )
            if changed.rowcount == 0:
                return Begun.NO
            self._db.execute(f"INSERT INTO attempts ({_COLUMNS}) VALUES ({_PLACES})", _values(attempt))
            return Begun.YES

    def record(self, changes: Changes) -> None:
        """Write changes in one transaction."""
        with self._changing():
            self._write(changes)

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts that are not over, oldest first."""
        with usable(self._path):
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM attempts WHERE state <> 'over' ORDER BY asked_at"
            )
            return [_attempt(row) for row in rows]

    def inherit(self) -> list[Attempt]:
        """Return the attempts that are not over. The lease shows that no other process follows them."""
        return self.open_attempts()

    def totals(self) -> Totals:
        """Return the counts over the batch."""
        with usable(self._path):
            outcomes = self._db.execute(
                "SELECT outcome, count(*) AS people FROM people WHERE outcome IS NOT NULL GROUP BY outcome"
            )
            counted = {row["outcome"]: row["people"] for row in outcomes}
            waiting, open_ = self._db.execute(
                "SELECT count(due_at), count(*) - count(due_at) FROM people WHERE outcome IS NULL"
            ).fetchone()
            made, succeeded = self._db.execute(
                "SELECT count(*), count(*) FILTER (WHERE state = 'over' AND outcome <> 'failed') FROM attempts"
            ).fetchone()
            prices = self._db.execute("SELECT price FROM attempts WHERE price IS NOT NULL")
            return Totals(
                outcomes=counted,
                waiting=waiting,
                open=open_,
                attempts=made,
                succeeded=succeeded,
                spent=sum((price(row["price"]) for row in prices), Decimal(0)),
            )

    def people(self) -> Iterator[PersonRecord]:
        """Yield each person with all attempts, in the order of the list."""
        with usable(self._path):
            rows = self._db.execute("SELECT * FROM people ORDER BY id")
            attempts = self._db.execute(f"SELECT {_COLUMNS} FROM attempts ORDER BY person, number")
            duplicates = self._db.execute(
                'SELECT people.id AS person, duplicates.line FROM duplicates JOIN people USING ("to") ORDER BY 1, 2'
            )
            own_attempts, own_duplicates = _grouped(attempts), _grouped(duplicates)
            for row in rows:
                found = {name: row[name] for name in row.keys() if name not in ("attempts", "due_at")}  # noqa: SIM118 (a row has no items)
                yield PersonRecord(
                    **found
                    | {
                        "fields": json.loads(row["fields"]),
                        "attempts": [_attempt(each) for each in own_attempts(row["id"])],
                        "duplicates": [each["line"] for each in own_duplicates(row["id"])],
                    }
                )

    def difference(self, new: Path) -> Difference:
        """Return how the list in the file *new*, which is a batch as well, differs from this batch's list."""
        with usable(self._path), self._beside(new):
            added = f"new.people AS n WHERE {_IS_NEW}"
            removed = 'main.people AS o WHERE NOT EXISTS (SELECT 1 FROM new.people WHERE "to" = o."to")'
            changed = (
                'main.people AS o JOIN new.people AS n USING ("to")'
                " WHERE o.fields <> n.fields OR o.second IS NOT n.second"
            )
            counts, examples = [], []
            for what, rows, line in (
                ("added", added, "n"),
                ("removed", removed, "o"),
                ("changed", changed, "n"),
            ):
                counts.append(self._db.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])
                first = self._db.execute(f'SELECT {line}.line, {line}."to" FROM {rows} LIMIT {_MAX_EXAMPLES}')
                examples += [f"{what}: {to} (line {at})" for at, to in first]
            return Difference(added=counts[0], removed=counts[1], changed=counts[2], examples=tuple(examples))

    def add_people(self, new: Path, digest: str) -> int:
        """Add the people of the file *new* whom this batch does not have, and return their number.

        Args:
            digest: The hash of the list in *new*, which becomes the batch's list.
        """
        with usable(self._path), self._beside(new), self._changing():
            added = self._db.execute(
                'INSERT INTO main.people (line, "to", second, fields, outcome, detail, settled_at, due_at)'
                ' SELECT line, "to", CASE WHEN EXISTS'
                ' (SELECT 1 FROM main.people AS o WHERE n.second IN (o."to", o.second))'
                " THEN NULL ELSE second END, fields, outcome, detail, settled_at, due_at"
                f" FROM new.people AS n WHERE {_IS_NEW}"
                ' AND NOT EXISTS (SELECT 1 FROM main.people WHERE second = n."to") ORDER BY n.id'
            )
            self._db.execute("UPDATE batch SET digest = ?", (digest,))
            return added.rowcount

    def duplicates(self) -> int:
        """Return the number of rows that were left out because an earlier row has the same number."""
        with usable(self._path):
            count: int = self._db.execute("SELECT count(*) FROM duplicates").fetchone()[0]
            return count

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def _write(self, changes: Changes) -> None:
        self._db.executemany(
            f"INSERT OR REPLACE INTO attempts ({_COLUMNS}) VALUES ({_PLACES})", map(_values, changes.attempts)
        )
        for each in changes.unmade:
            self._db.execute(
                "DELETE FROM attempts WHERE person = ? AND number = ?", (each.person, each.number)
            )
            self._db.execute(
                "UPDATE people SET attempts = attempts - 1, due_at = 0, outcome = NULL, detail = NULL,"
                " settled_at = NULL WHERE id = ?",
                (each.person,),
            )
        self._db.executemany(
            "UPDATE people SET outcome = ?, detail = ?, due_at = ?, settled_at = ? WHERE id = ?",
            [
                (each.outcome, each.detail, each.due_at, each.outcome and changes.at, each.person)
                for each in changes.people
            ],
        )

    @contextmanager
    def _beside(self, new: Path) -> Iterator[None]:
        """Attach the file *new* as the schema ``new`` for the duration of the ``with`` block."""
        self._db.execute("ATTACH ? AS new", (str(new),))
        try:
            yield
        finally:
            self._db.execute("DETACH new")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with usable(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._transaction():
            (token,) = self._db.execute("SELECT token FROM batch").fetchone()
            if self._token is None or token != self._token:
                raise LeaseLost(
                    "Another process has taken over this batch.",
                    hint="No further call is made here. To see its progress: voicectl batch status NAME",
                )
            yield


def _info(row: sqlite3.Row) -> BatchInfo:
    found = {name: row[name] for name in row.keys() if name != "token"}  # noqa: SIM118 (a row has no items)
    held = found["holder"]
    return BatchInfo(
        **found
        | {
            "settings": json.loads(found["settings"]),
            "columns": tuple(json.loads(found["columns"])),
            "stop": Stop(found["stop"]),
            "holder": None if held is None else Holder(**json.loads(held)),
        }
    )


def _grouped(rows: Iterator[sqlite3.Row]) -> Callable[[int], list[sqlite3.Row]]:
    """Return a function that returns the next *rows* of a person. It must be called with ids in ascending order."""
    following = next(rows, None)

    def take(person: int) -> list[sqlite3.Row]:
        nonlocal following
        own = []
        while following is not None and following["person"] == person:
            own.append(following)
            following = next(rows, None)
        return own

    return take


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(**{name: row[name] for name in _ATTEMPT} | {"state": AttemptState(row["state"])})


def _values(attempt: Attempt) -> tuple[Any, ...]:
    return tuple(getattr(attempt, name) for name in _ATTEMPT)
