"""A store of batches in PostgreSQL, for batches that several machines run together.

Each process has a lease of its own, a row in ``workers`` that it renews every second. A process that finds the row of
another one that has ended, or has been silent for :data:`SILENT_SECONDS`, deletes it and inherits its open attempts.
From then on, the other process can change nothing.

All times are the server's, so that machines whose clocks differ agree about them.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from voicectl.errors import LeaseLost
from voicectl.store.batches import postgres_lists, postgres_report, postgres_schema
from voicectl.store.batches.postgres_report import COLUMNS, PLACES, UPDATE, attempt_of, values_of
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
)
from voicectl.store.postgres import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.store.batches.jobs import Jobs
    from voicectl.store.batches.records import Changes, Limits
    from voicectl.store.postgres import Link

SILENT_SECONDS = 30.0
"""How long a process may be silent before its attempts are taken over, in seconds."""

TURN_SECONDS = 0.9
"""How far ahead a turn is granted, in seconds, since a stop must be noticed within one second."""

ROWS_AT_ONCE = 2000

NOW = "extract(epoch FROM clock_timestamp())::float8"
_WAITING = 'SELECT id, "to", second, fields, attempts, due_at FROM people WHERE batch = %s'
_IS_OPEN = "state <> 'over' AND outcome IS NULL"
_PRICES = "coalesce(sum(price::numeric) FILTER (WHERE price ~ '^[0-9]+([.][0-9]+)?$'), 0)"


class PostgresBatch:
    """One batch, which implements :class:`voicectl.store.batches.records.BatchStore` for several processes.

    Args:
        url: A URL that libpq accepts.
        batch: The id of the batch.
        jobs: The jobs from which this process learns whom to call, or None to read that from the table of people.

    Raises:
        StoreError: The database cannot be used.
    """

    is_shared = True

    def __init__(self, url: str, batch: int, application_id: str, jobs: Jobs | None = None) -> None:
        self._id = batch
        self._application = application_id
        self._jobs = jobs
        self._token: str | None = None
        self._engine: int | None = None
        self._database = Database(url, "batch store", postgres_schema.prepare, postgres_schema.HINTS)

    @property
    def id(self) -> int:
        """The id of the batch in the database."""
        return self._id

    def info(self) -> BatchInfo:
        """Return the batch as a whole. Its holder is the process that was seen last."""
        with self._database.within() as link:
            row = self._ask(
                link,
                "SELECT name, application, base_url, created_at, settings, columns, digest, stop, pause"
                " FROM batches WHERE id = %s",
                self._id,
            )[0]
            workers = self._workers(link)
        name, application, base_url, created_at, settings, columns, digest, stop, pause = row
        return BatchInfo(
            name=name,
            application_id=application,
            base_url=base_url,
            created_at=created_at,
            settings=json.loads(settings),
            columns=tuple(json.loads(columns)),
            digest=digest,
            stop=Stop(stop),
            pause=pause,
            holder=max(workers, key=lambda each: each.seen_at, default=None),
        )

    def take_lease(self, me: Holder) -> Holder | None:
        """Take a lease for the process *me*, beside those of other processes.

        An earlier lease of the same process, which it could not release, is released.
        """
        with self._database.within() as link, link.transaction():
            link.execute(
                "DELETE FROM workers WHERE batch = %s AND host = %s AND boot = %s AND pid = %s AND started = %s",
                [self._id, me.host, me.boot, me.pid, me.started],
            )
            link.execute(
                f"INSERT INTO workers VALUES (%s, %s, %s, %s, %s, %s, {NOW}, NULL)",
                [me.token, self._id, me.host, me.boot, me.pid, me.started],
            )
        self._token = me.token
        return None

    def renew_lease(self, now: float) -> Stop:
        """Record that this process is alive, hand out jobs, and return what another command has asked it to do.

        A batch that another process has paused is to be stopped, too.
        """
        with self._changing() as link:
            link.execute(f"UPDATE workers SET seen_at = {NOW} WHERE token = %s", [self._token])
            ((stop, pause),) = self._ask(link, "SELECT stop, pause FROM batches WHERE id = %s", self._id)
            if self._jobs is not None and not stop and not pause:
                self._jobs.hand_out(link, self._id, now)
        return Stop(stop) if stop or not pause else Stop.STOP

    def release_lease(self) -> None:
        """Give the lease of this process up."""
        with self._database.within() as link, link.transaction():
            if self._jobs is not None:
                self._jobs.hand_back(link, self._id)
            link.execute("DELETE FROM workers WHERE token = %s", [self._token])
        self._token = None

    def set_stop(self, stop: Stop) -> None:
        """Ask the batch's processes to stop. This needs no lease."""
        with self._database.within() as link:
            link.execute("UPDATE batches SET stop = %s WHERE id = %s", [stop, self._id])

    def set_pause(self, reason: str) -> None:
        """Record that the batch paused, or with an empty *reason* that it goes on."""
        with self._changing() as link:
            link.execute("UPDATE batches SET pause = %s WHERE id = %s", [reason, self._id])

    def due(self, now: float, limit: int) -> list[WaitingPerson]:
        """Return people who may be called: those of this process's jobs, or any if it has no jobs."""
        with self._database.within() as link:
            if self._jobs is not None:
                self._note_engine(link, self._jobs)
                people = self._jobs.take(limit)
                mine = f"{_WAITING} AND id = ANY(%s) AND due_at IS NOT NULL ORDER BY due_at = 0, id"
                rows = self._ask(link, mine, self._id, people)
                self._jobs.finish(set(people) - {row[0] for row in rows})
            else:
                rows = self._ask(
                    link,
                    f"{_WAITING} AND due_at > 0 AND due_at <= %s ORDER BY due_at LIMIT %s",
                    self._id,
                    now,
                    limit,
                )
                rows += self._ask(
                    link, f"{_WAITING} AND due_at = 0 ORDER BY id LIMIT %s", self._id, limit - len(rows)
                )
        return [
            WaitingPerson(
                id=id_, to=to, second=second, fields=json.loads(row), attempts=attempts, due_at=due_at
            )
            for id_, to, second, row, attempts, due_at in rows
        ]

    def next_due_at(self) -> float | None:
        """Return the earliest time at which a waiting person may be called.

        As long as any process has a call under way, its person may have to be called again, so this is not None.
        """
        with self._database.within() as link:
            ((due_at, is_open, now),) = self._ask(
                link,
                "SELECT (SELECT min(due_at) FROM people WHERE batch = %s AND due_at IS NOT NULL),"
                f" EXISTS (SELECT FROM attempts WHERE batch = %s AND {_IS_OPEN}), {NOW}",
                self._id,
                self._id,
            )
            found: float | None = now if due_at is None and is_open else due_at
            return found

    def begin(
        self,
        person: WaitingPerson,
        attempt: Attempt,
        changes: Changes | None = None,
        limits: Limits | None = None,
    ) -> Begun:
        """Write *changes* and an attempt durably, and wait for the attempt's turn, which is at most 0.9 s away.

        The transaction that grants the turn also reads the request to stop and writes the attempt. The attempt's time
        is that of its turn.
        """
        with self._changing() as link:
            if changes is not None:
                self._write(link, changes)
            begun, wait = self._begin(link, person, attempt, limits)
        if changes is not None:
            self._finish(changes.people_changed)
        time.sleep(wait)
        return begun

    def record(self, changes: Changes) -> None:
        """Write changes in one transaction."""
        with self._changing() as link:
            self._write(link, changes)
        self._finish(changes.people_changed)

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts that are not over, oldest first."""
        with self._database.within() as link:
            rows = self._ask(
                link,
                f"SELECT {COLUMNS} FROM attempts WHERE batch = %s AND state <> 'over' ORDER BY asked_at",
                self._id,
            )
            return [attempt_of(row) for row in rows]

    def inherit(self) -> list[Attempt]:
        """Take over the attempts that are not over and that no running process follows, and return them."""
        with self._changing() as link:
            ((now,),) = self._ask(link, f"SELECT {NOW}")
            gone = [each.token for each in self._workers(link) if _is_gone(each, now)]
            engines = self._ask(link, "DELETE FROM workers WHERE token = ANY(%s) RETURNING engine", gone)
            if self._jobs is not None and engines:
                self._jobs.hand_on(link, self._id, [engine for (engine,) in engines])
            rows = self._ask(
                link,
                "UPDATE attempts SET worker = %s WHERE batch = %s AND state <> 'over'"
                f" AND worker NOT IN (SELECT token FROM workers) RETURNING {COLUMNS}",
                self._token,
                self._id,
            )
        return sorted(map(attempt_of, rows), key=lambda each: each.asked_at)

    def totals(self) -> Totals:
        """Return the counts over the batch."""
        with self._database.within() as link:
            outcomes = self._ask(
                link,
                "SELECT outcome, count(*), count(due_at) FROM people WHERE batch = %s GROUP BY outcome",
                self._id,
            )
            ((made, succeeded, spent),) = self._ask(
                link,
                f"SELECT count(*), count(*) FILTER (WHERE state = 'over' AND outcome <> 'failed'), {_PRICES}"
                " FROM attempts WHERE batch = %s",
                self._id,
            )
        waiting = sum(count for _, _, count in outcomes)
        return Totals(
            outcomes={outcome: count for outcome, count, _ in outcomes if outcome is not None},
            waiting=waiting,
            open=sum(count for outcome, count, _ in outcomes if outcome is None) - waiting,
            attempts=made,
            succeeded=succeeded,
            spent=Decimal(spent),
        )

    def people(self) -> Iterator[PersonRecord]:
        """Yield each person with all attempts, in the order of the list."""
        last = 0
        while True:
            with self._database.within() as link:
                found = postgres_report.people(link, self._id, after=last, limit=ROWS_AT_ONCE)
            if not found:
                return
            yield from found
            last = found[-1].id

    def difference(self, new: Path) -> Difference:
        """Return how the list in the file *new* differs from this batch's list."""
        with self._beside(new) as link:
            return postgres_lists.difference(link, self._id)

    def add_people(self, new: Path, digest: str) -> int:
        """Add the people of the file *new* whom this batch does not have, and return their number."""
        with self._beside(new) as link:
            return postgres_lists.add(link, self._id, digest)

    def duplicates(self) -> int:
        """Return the number of rows that were left out because an earlier row has the same number."""
        with self._database.within() as link:
            count: int = self._ask(link, "SELECT count(*) FROM duplicates WHERE batch = %s", self._id)[0][0]
            return count

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _begin(
        self, link: Link, person: WaitingPerson, attempt: Attempt, limits: Limits | None
    ) -> tuple[Begun, float]:
        """Write an attempt, if it may be made now. Return the outcome, and how long to wait for its turn."""
        ((is_stopped, has_succeeded, now),) = self._ask(
            link,
            f"SELECT stop <> '' OR pause <> '', has_succeeded, {NOW} FROM batches WHERE id = %s FOR UPDATE",
            self._id,
        )
        if is_stopped:
            return Begun.NO, 0.0
        asked_at, wait = attempt.asked_at, 0.0
        if limits is not None:
            turn = self._turn(link, now)
            if turn is None or not self._is_within(link, limits, has_succeeded=has_succeeded):
                return Begun.LATER, 0.0
            asked_at, wait = turn, turn - now
        changed = link.execute(
            "UPDATE people SET due_at = NULL, attempts = attempts + 1"
            " WHERE batch = %s AND id = %s AND attempts = %s AND due_at IS NOT NULL",
            [self._id, person.id, attempt.number - 1],
        )
        if changed.rowcount == 0:
            self._finish({person.id})
            return Begun.NO, 0.0
        values = [*values_of(replace(attempt, asked_at=asked_at)), self._id, self._token]
        link.execute(f"INSERT INTO attempts ({COLUMNS}, batch, worker) VALUES ({PLACES}, %s, %s)", values)
        if limits is not None:
            link.execute(
                "INSERT INTO turns VALUES (%s, %s) ON CONFLICT (application) DO UPDATE SET next = excluded.next",
                [self._application, asked_at + limits.dials / limits.rate],
            )
        return Begun.YES, wait

    def _note_engine(self, link: Link, jobs: Jobs) -> None:
        """Record which engine receives this process's jobs, so that they can be handed on if the process ends."""
        if jobs.engine != self._engine:
            link.execute("UPDATE workers SET engine = %s WHERE token = %s", [jobs.engine, self._token])
            self._engine = jobs.engine

    def _turn(self, link: Link, now: float) -> float | None:
        """Return the time of the next turn, or None if it is too far ahead. Other processes wait for this one."""
        link.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [self._application])
        rows = self._ask(link, "SELECT next FROM turns WHERE application = %s", self._application)
        turn = max(now, rows[0][0] if rows else 0.0)
        return turn if turn - now <= TURN_SECONDS else None

    def _is_within(self, link: Link, limits: Limits, *, has_succeeded: bool) -> bool:
        """Return True if one more call keeps to the limits: the first one is made alone."""
        if has_succeeded and limits.concurrent is None and limits.max_cost is None:
            return True
        ((open_, spent),) = self._ask(
            link,
            f"SELECT count(*) FILTER (WHERE {_IS_OPEN}), {_PRICES} FROM attempts WHERE batch = %s",
            self._id,
        )
        if (open_ and not has_succeeded) or (limits.concurrent is not None and open_ >= limits.concurrent):
            return False
        if limits.max_cost is None or limits.call_bound is None:
            return True
        return bool(spent + limits.call_bound * (open_ + 1) <= limits.max_cost)

    def _write(self, link: Link, changes: Changes) -> None:
        superseded = {each.person for each in changes.attempts if not self._update(link, each)}
        if any(each.state is AttemptState.OVER and each.outcome != "failed" for each in changes.attempts):
            link.execute(
                "UPDATE batches SET has_succeeded = TRUE WHERE id = %s AND NOT has_succeeded", [self._id]
            )
        for attempt in changes.unmade:
            link.execute(
                "DELETE FROM attempts WHERE batch = %s AND person = %s AND number = %s",
                [self._id, attempt.person, attempt.number],
            )
            link.execute(
                "UPDATE people SET attempts = attempts - 1, due_at = 0, outcome = NULL, detail = NULL,"
                " settled_at = NULL, is_queued = FALSE WHERE batch = %s AND id = %s",
                [self._id, attempt.person],
            )
        for change in changes.people:
            if change.person in superseded:
                continue
            link.execute(
                "UPDATE people SET outcome = %s, detail = %s, due_at = %s, settled_at = %s, is_queued = FALSE"
                " WHERE batch = %s AND id = %s",
                [
                    change.outcome,
                    change.detail,
                    change.due_at,
                    change.outcome and changes.at,
                    self._id,
                    change.person,
                ],
            )

    def _update(self, link: Link, attempt: Attempt) -> bool:
        """Write an attempt as it is now, or return False if another process has recorded what became of it.

        A process that was cut off may know more than the one that inherited the attempt and could not find out who
        answered. Its outcome counts, unless the person has been called again.
        """
        values = asdict(attempt) | {"batch": self._id, "is_over": attempt.state is AttemptState.OVER}
        return bool(link.execute(UPDATE, values).rowcount)

    def _workers(self, link: Link) -> list[Holder]:
        rows = self._ask(
            link, "SELECT token, host, boot, pid, started, seen_at FROM workers WHERE batch = %s", self._id
        )
        return [
            Holder(token=token, host=host, boot=boot, pid=pid, started=started, seen_at=seen_at)
            for token, host, boot, pid, started, seen_at in rows
        ]

    def _finish(self, people: set[int]) -> None:
        if self._jobs is not None:
            self._jobs.finish(people)

    @contextmanager
    def _beside(self, new: Path) -> Iterator[Link]:
        """Yield a connection with a temporary table of the people in the file *new*, in one transaction."""
        with self._database.within(postgres_lists.COPY_SECONDS) as link, link.transaction():
            postgres_lists.attach(link, new)
            yield link

    @contextmanager
    def _changing(self) -> Iterator[Link]:
        """Yield a connection in a transaction, after checking that this process still has its lease."""
        with self._database.within() as link, link.transaction():
            if not self._ask(link, "SELECT FROM workers WHERE token = %s FOR KEY SHARE", self._token):
                raise LeaseLost(
                    "Another process has taken over the calls of this process.",
                    hint="No further call is made here. Start another worker: voicectl batch work NAME --store URL",
                )
            yield link

    @staticmethod
    def _ask(link: Link, statement: str, *values: object) -> list[Any]:
        return link.execute(statement, values or None).fetchall()


def _is_gone(worker: Holder, now: float) -> bool:
    if worker.host == socket.gethostname():
        return is_gone(worker, now)
    return now - worker.seen_at > SILENT_SECONDS
