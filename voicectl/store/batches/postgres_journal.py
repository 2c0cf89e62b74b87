"""The journal of the calls of batches in PostgreSQL: the intents, and which calls were claimed for them.

It keeps what :class:`voicectl.store.journal.Journal` keeps on one machine, for processes on several machines. The
states of intents, and what may claim a call, are described there.

A process may be paused for so long that others take over its attempts, and then go on. Therefore the unique index
``intents_once`` refuses an intent for an attempt for which another intent is open or led to a call. Whichever process
writes its intent first makes the call, and the other one sends no request.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.errors import JournalError, StoreError
from voicectl.store.batches import postgres_schema
from voicectl.store.batches.postgres import NOW
from voicectl.store.journal import (
    ABANDONED_SECONDS,
    HOUR_SECONDS,
    Intent,
    IntentState,
    check_hourly,
    missing,
)
from voicectl.store.postgres import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voicectl.store.postgres import Link

_COLUMNS = 'reference, asked_at, pid, "to", "from", body_hash, key, state, uuid, reply, certainty, reason, settled_at'
_OPEN = "state IN ('intent', 'in-doubt')"


@dataclass(frozen=True, slots=True, kw_only=True)
class _SharedIntent(Intent):
    """An intent of a process that may run on another machine."""

    def is_abandoned(self, now: float) -> bool:
        """Return True if this open intent counts as in doubt: it does after five minutes at the latest."""
        return self.state is not IntentState.INTENT or now - self.asked_at > ABANDONED_SECONDS


class PostgresJournal:
    """The journal of an application's batches in a database. Threads may share it, and then take turns.

    Every method may raise ``JournalError``.

    Args:
        url: A URL that libpq accepts.
    """

    def __init__(self, url: str, application_id: str) -> None:
        self._application = application_id
        self._lock = threading.Lock()
        self._database = Database(url, "batch journal", postgres_schema.prepare, postgres_schema.HINTS)

    def check(self) -> None:
        """Check that the database can be used."""
        with self._transaction():
            pass

    def intend(
        self,
        reference: str,
        *,
        to: str,
        from_: str | None,
        body_hash: str,
        key: str | None,
        dialled: Sequence[str],
        hourly_limit: int | None = None,
    ) -> Intent:
        """Write a new intent durably, and return it; see :meth:`voicectl.store.journal.Journal.intend`.

        Raises:
            GuardError: The hourly limit would be exceeded. Nothing was written.
        """
        with self._transaction() as link:
            ((now,),) = link.execute(f"SELECT {NOW}").fetchall()
            if hourly_limit is not None:
                self._check_dials(link, now, len(dialled), hourly_limit)
            link.cursor().executemany(
                "INSERT INTO dials VALUES (%s, %s, %s)",
                [(self._application, now, number) for number in dialled],
            )
            rows = link.execute(
                'INSERT INTO intents (reference, application, asked_at, pid, "to", "from", body_hash, key, state)'
                f" VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}",
                [
                    reference,
                    self._application,
                    now,
                    os.getpid(),
                    to,
                    from_,
                    body_hash,
                    key,
                    IntentState.INTENT,
                ],
            )
            return _intent(rows.fetchall()[0])

    def settle(self, reference: str, state: IntentState, reason: str = "") -> Intent:
        """Set the state of an intent to anything except ``created``, and return the intent."""
        with self._transaction() as link:
            rows = link.execute(
                f"UPDATE intents SET state = %s, reason = %s, settled_at = {NOW} WHERE reference = %s"
                f" RETURNING {_COLUMNS}",
                [state, reason, reference],
            ).fetchall()
            if not rows:
                raise missing(reference)
            return _intent(rows[0])

    def created(
        self,
        reference: str,
        uuid: str,
        reply: dict[str, Any],
        *,
        certainty: str | None = None,
        reason: str | None = None,
    ) -> Intent | None:
        """Record the id of the call that was created for an intent.

        The result is that of :meth:`voicectl.store.journal.Journal.created`.
        """
        with self._transaction() as link:
            if certainty is None:
                link.execute(
                    "UPDATE intents SET uuid = NULL, state = %s, reason = 'a later call has its id'"
                    " WHERE application = %s AND uuid = %s AND reference <> %s",
                    [IntentState.NOT_CREATED, self._application, uuid, reference],
                )
            intent = self._claim(link, reference, uuid, reply, certainty, reason)
            if intent is None and certainty is None:
                raise missing(reference)
            return intent

    def match(self, intent: Intent, uuid: str, reply: dict[str, Any]) -> Intent | None:
        """Record the id of a call that a search found, unless another intent may have led to the call."""
        with self._transaction() as link:
            link.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", [f"{self._application} {intent.to}"]
            )
            if self._rivals(link, intent):
                return None
            return self._claim(link, intent.reference, uuid, reply, "matched", None)

    def get(self, reference: str) -> Intent | None:
        """Return the intent with the reference *reference*, or None if there is no such intent."""
        with self._transaction() as link:
            rows = link.execute(
                f"SELECT {_COLUMNS} FROM intents WHERE application = %s AND reference = %s",
                [self._application, reference],
            ).fetchall()
            return _intent(rows[0]) if rows else None

    def in_doubt(self) -> list[Intent]:
        """Return the intents whose outcomes are unknown, oldest first."""
        with self._transaction() as link:
            rows = link.execute(
                f"SELECT {_COLUMNS} FROM intents WHERE application = %s AND {_OPEN}"
                f" AND (state = 'in-doubt' OR asked_at < {NOW} - {ABANDONED_SECONDS}) ORDER BY asked_at",
                [self._application],
            )
            return [_intent(row) for row in rows]

    def has_rival(self, intent: Intent) -> bool:
        """Return True if another open intent is for the same number and could therefore claim the same call."""
        with self._transaction() as link:
            return self._rivals(link, intent)

    def claimed(self, uuids: list[str]) -> set[str]:
        """Return the ids in *uuids* that have been claimed for intents."""
        with self._transaction() as link:
            rows = link.execute(
                "SELECT uuid FROM intents WHERE application = %s AND uuid = ANY(%s)",
                [self._application, uuids],
            )
            return {uuid for (uuid,) in rows}

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._database.close()

    def _claim(
        self,
        link: Link,
        reference: str,
        uuid: str,
        reply: dict[str, Any],
        certainty: str | None,
        reason: str | None,
    ) -> Intent | None:
        rows = link.execute(
            "UPDATE intents SET state = %s, uuid = %s, reply = %s, certainty = %s, reason = coalesce(%s, reason),"
            f" settled_at = {NOW} WHERE application = %s AND reference = %s"
            " AND NOT EXISTS (SELECT FROM intents WHERE application = %s AND uuid = %s AND reference <> %s)"
            f" RETURNING {_COLUMNS}",
            [
                IntentState.CREATED,
                uuid,
                json.dumps(reply),
                certainty,
                reason,
                self._application,
                reference,
                self._application,
                uuid,
                reference,
            ],
        ).fetchall()
        return _intent(rows[0]) if rows else None

    def _rivals(self, link: Link, intent: Intent) -> bool:
        rows = link.execute(
            f'SELECT FROM intents WHERE application = %s AND {_OPEN} AND "to" = %s AND reference <> %s LIMIT 1',
            [self._application, intent.to, intent.reference],
        )
        return bool(rows.fetchall())

    def _check_dials(self, link: Link, now: float, count: int, hourly_limit: int) -> None:
        link.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 4))", [self._application])
        ((made,),) = link.execute(
            "SELECT count(*) FROM dials WHERE application = %s AND at >= %s",
            [self._application, now - HOUR_SECONDS],
        ).fetchall()
        check_hourly(made, count, hourly_limit)

    @contextmanager
    def _transaction(self) -> Iterator[Link]:
        try:
            with self._lock, self._database.within() as link, link.transaction():
                yield link
        except StoreError as exc:
            error = JournalError(exc.message, hint=exc.hint)
            error.is_temporary = exc.is_temporary
            raise error from exc


def _intent(row: Sequence[Any]) -> Intent:
    reference, asked_at, pid, to, from_, body_hash, key, state, uuid, reply, certainty, reason, settled_at = (
        row
    )
    return _SharedIntent(
        reference=reference,
        asked_at=asked_at,
        pid=pid,
        to=to,
        from_=from_,
        body_hash=body_hash,
        key=key,
        state=IntentState(state),
        uuid=uuid,
        reply=json.loads(reply or "{}"),
        certainty=certainty,
        reason=reason,
        settled_at=settled_at,
    )
