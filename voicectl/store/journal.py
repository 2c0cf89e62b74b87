"""The journal: the calls that this machine asked the API to create, in one database per application.

Each call is recorded as an *intent*, which is written before the POST request that creates the call. The outcome is
written after the request. Both writes are durable (SQLite, WAL, ``synchronous=FULL``). So a call can be found again
after a crash or a power cut, and a second attempt with the same idempotency key finds the first attempt. An intent
moves through these states::

    intent ──> created       the API reported the call's id, or a search found the call (certainty "matched")
      │  └───> rejected      the API refused the request
      │  └───> not-sent      no byte of the request left this machine
      └──> in-doubt ──> created | not-created    a search or the user settled the outcome

An intent is open in the states ``intent`` and ``in-doubt``: a call may exist, but the journal does not contain the
call's id. If the process is killed during the POST request, the intent remains in the state ``intent``. An intent in
this state counts as in doubt once its process has ended, or after five minutes.

A search may claim a call for an intent only if no other open intent for the same number could have led to the call.
This is checked in the transaction that writes the claim. A call can be claimed for only one intent. For the hourly
limit, the table ``dials`` records every number that was made to ring. These records are written in the same
transaction as the intent.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from voicectl.errors import GuardError, JournalError, TransportError
from voicectl.store import files, journal_file
from voicectl.store.journal_file import usable
from voicectl.store.sqlite_file import Damaged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from voicectl.clock import Clock

HOUR_SECONDS = 3600
KEY_LIFE_SECONDS = 86_400
KEY_WAIT_SECONDS = 120
ABANDONED_SECONDS = 300

_MAX_PID = 2**31
_MAX_SECONDS = 1e11
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("reference", "to", "body_hash"), str),
    **dict.fromkeys(("from_", "key", "uuid", "certainty", "reason"), str | None),
    "asked_at": float | int,
    "settled_at": float | int | None,
    "pid": int,
    "reply": dict,
}

_OPEN = "state IN ('intent', 'in-doubt')"


class IntentState(StrEnum):
    """The state of a requested call."""

    INTENT = "intent"
    CREATED = "created"
    REJECTED = "rejected"
    NOT_SENT = "not-sent"
    IN_DOUBT = "in-doubt"
    NOT_CREATED = "not-created"

    @property
    def is_open(self) -> bool:
        """True if the call may exist, but its id is not known."""
        return self in (IntentState.INTENT, IntentState.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The record of a call that was requested.

    Attributes:
        asked_at: The time of the request, in Unix seconds.
        to: The number, URI, user or extension dialled.
        from_: The caller id that was sent, or None if the platform chose one.
        body_hash: The SHA-256 hash of the request body without the reference.
        reply: The API's reply to the request, or the API's record of the call if a search found it; ``{}`` if there
            is neither a reply nor a record.
        certainty: ``matched`` if a search found the call, or None if the API reported the id in the reply.
        settled_at: The time at which the outcome became known, in Unix seconds, or None if it is unknown.
    """

    reference: str
    asked_at: float
    pid: int
    to: str
    from_: str | None
    body_hash: str
    key: str | None
    state: IntentState
    uuid: str | None
    reply: dict[str, Any]
    certainty: str | None
    reason: str | None
    settled_at: float | None = None

    def is_abandoned(self, now: float) -> bool:
        """Return True if this open intent counts as in doubt at the time *now* (Unix seconds).

        An open intent counts as in doubt if its state is ``in-doubt``, if its process has ended, or if it has been
        open for five minutes.
        """
        if self.state is not IntentState.INTENT or now - self.asked_at > ABANDONED_SECONDS:
            return True
        try:
            os.kill(self.pid, 0)
        except PermissionError:  # the process exists, but runs as another user
            return False
        except ProcessLookupError:
            return True
        return False


class Journal:
    """The journal of one application.

    Args:
        directory: The application's state directory, which must exist.

    Raises:
        JournalError: The journal cannot be used.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._path = directory / "journal.db"
        self._clock = clock
        self._is_checked = False
        with usable(self._path):
            self._db = journal_file.connect(self._path)

    def check(self) -> None:
        """Check the whole database for damage. Later calls do nothing.

        Before a call is created, it is not enough that the queries for this call work: the damaged part of the
        database may have contained a call in doubt or the same idempotency key.

        Raises:
            JournalError: The database is damaged.
        """
        if self._is_checked:
            return
        with usable(self._path):
            if self._db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                raise Damaged
        self._is_checked = True

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
        """Write a new intent durably to the journal, and return it.

        Args:
            dialled: Every number that the request makes ring, including *to*.
            hourly_limit: How many numbers may be dialled per hour, or None for no limit.

        Raises:
            GuardError: The hourly limit would be exceeded. Nothing was written.
            JournalError: The journal cannot be used, or some part of it is damaged.
        """
        self.check()
        now = self._clock.time()
        with self._transaction():
            self._record_dials(now, dialled, hourly_limit)
            row = self._db.execute(
                'INSERT INTO calls (reference, asked_at, pid, "to", "from", body_hash, key, state)'
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
                (reference, now, os.getpid(), to, from_, body_hash, key, IntentState.INTENT),
            ).fetchone()
            return _intent(row)

    def settle(self, reference: str, state: IntentState, reason: str = "") -> Intent:
        """Set the state of an intent to anything except ``created``, and return the intent.

        Raises:
            JournalError: The journal does not contain an intent with the reference *reference*.
        """
        with self._transaction():
            row = self._db.execute(
                "UPDATE calls SET state = ?, reason = ?, settled_at = ? WHERE reference = ? RETURNING *",
                (state, reason, self._clock.time(), reference),
            ).fetchone()
            if row is None:
                raise missing(reference)
            return _intent(row)

    def created(
        self,
        reference: str,
        uuid: str,
        reply: dict[str, Any],
        *,
        certainty: str | None = None,
        reason: str | None = None,
    ) -> Intent | None:
        """Record the id of the call that was created for an intent, and return the intent.

        Return None if another intent has claimed the id. However, if the API itself reported the id (*certainty* is
        None), the older claim is replaced, since sandboxes with the same seed create calls with the same ids.

        Raises:
            JournalError: The journal does not contain the intent, although the API reported the id.
        """
        with self._transaction():
            if certainty is None:
                self._db.execute(
                    "UPDATE calls SET uuid = NULL, state = ?, reason = 'a later call has its id' WHERE uuid = ?",
                    (IntentState.NOT_CREATED, uuid),
                )
            intent = self._claim(reference, uuid, reply, certainty, reason)
            if intent is None and certainty is None:
                raise missing(reference)
            return intent

    def match(self, intent: Intent, uuid: str, reply: dict[str, Any]) -> Intent | None:
        """Record the id of a call that a search found, and return the intent.

        Return None if another intent may have led to the call. This is checked in the transaction that records the
        id, since another process may have written such an intent after the search began.
        """
        with self._transaction():
            if self.has_rival(intent):
                return None
            return self._claim(intent.reference, uuid, reply, "matched", None)

    def note_dials(self, dialled: Sequence[str], hourly_limit: int | None = None) -> None:
        """Record the numbers that a request other than "create call" makes ring.

        The arguments and errors are the same as for :meth:`intend`.
        """
        with self._transaction():
            self._record_dials(self._clock.time(), dialled, hourly_limit)

    def check_dials(self, dialled: Sequence[str], hourly_limit: int | None) -> None:
        """Check the hourly limit in advance. The arguments and errors are the same as for :meth:`intend`."""
        with usable(self._path):
            self._check_dials(self._clock.time(), dialled, hourly_limit)

    def get(self, reference: str) -> Intent | None:
        """Return the intent with the reference *reference*, or None if there is no such intent."""
        return self._one("reference = ?", reference)

    def last_created(self) -> Intent | None:
        """Return the intent whose call was created last, or None if no call was created."""
        return self._one("uuid IS NOT NULL ORDER BY asked_at DESC, rowid DESC LIMIT 1")

    def by_leg(self, uuid: str) -> Intent | None:
        """Return the intent that led to the leg *uuid* (an id in the API's spelling), or None if no intent did."""
        return self._one("uuid = ?", uuid)

    def by_key(self, key: str) -> Intent | None:
        """Return the newest intent with idempotency key *key* that is open or less than 24 hours old, or None."""
        return self._one(
            f"key = ? AND (asked_at >= ? OR {_OPEN}) ORDER BY asked_at DESC, rowid DESC LIMIT 1",
            key,
            self._clock.time() - KEY_LIFE_SECONDS,
        )

    def in_doubt(self) -> list[Intent]:
        """Return the intents whose outcomes are unknown, oldest first.

        Raises:
            JournalError: The journal cannot be used, or some part of it is damaged.
        """
        self.check()
        found = self._all(f"{_OPEN} ORDER BY asked_at, rowid")
        now = self._clock.time()
        return [intent for intent in found if intent.is_abandoned(now)]

    def has_rival(self, intent: Intent) -> bool:
        """Return True if another open intent is for the same number and could therefore claim the same call."""
        return bool(self._all(f'{_OPEN} AND "to" = ? AND reference <> ?', intent.to, intent.reference))

    def claimed(self, uuids: list[str]) -> set[str]:
        """Return the ids in *uuids* that have been claimed for intents."""
        marks = ",".join("?" * len(uuids))
        with usable(self._path):
            rows = self._db.execute(f"SELECT uuid FROM calls WHERE uuid IN ({marks})", uuids)  # noqa: S608 (placeholders)
            return {row["uuid"] for row in rows}

    @contextmanager
    def only_one(self, key: str) -> Iterator[None]:
        """Hold the lock for the idempotency key *key* for the duration of the ``with`` block.

        If another process holds the lock, wait for it first.

        Raises:
            JournalError: The journal is damaged, or the lock cannot be used.
            TransportError: Another process held the lock for two minutes.
        """
        self.check()
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        path = self._directory / f"key-{name}.lock"
        with ExitStack() as stack:
            with usable(path):
                handle = stack.enter_context(files.opened(path, files.OWN))
            give_up = self._clock.monotonic() + KEY_WAIT_SECONDS
            while not files.try_lock(handle):
                if self._clock.monotonic() >= give_up:
                    raise TransportError(
                        "Another voicectl process is still creating the call for this idempotency key.",
                        hint="Nothing was sent. Run the command again in a moment.",
                    )
                self._clock.sleep(0.1)
            yield

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _claim(
        self, reference: str, uuid: str, reply: dict[str, Any], certainty: str | None, reason: str | None
    ) -> Intent | None:
        row = self._db.execute(
            "UPDATE OR IGNORE calls SET state = ?, uuid = ?, reply = ?, certainty = ?,"
            " reason = coalesce(?, reason), settled_at = ? WHERE reference = ? RETURNING *",
            (IntentState.CREATED, uuid, json.dumps(reply), certainty, reason, self._clock.time(), reference),
        ).fetchone()
        return None if row is None else _intent(row)

    def _record_dials(self, now: float, dialled: Sequence[str], hourly_limit: int | None) -> None:
        """Check the hourly limit and record the numbers. The caller's transaction keeps other processes out."""
        self._check_dials(now, dialled, hourly_limit)
        self._db.executemany("INSERT INTO dials VALUES (?, ?)", [(now, number) for number in dialled])
        self._db.execute("DELETE FROM dials WHERE at < ?", (now - 2 * KEY_LIFE_SECONDS,))

    def _check_dials(self, now: float, dialled: Sequence[str], hourly_limit: int | None) -> None:
        if hourly_limit is None:
            return
        self.check()  # a damaged part may have contained calls
        (made,) = self._db.execute(
            "SELECT count(*) FROM dials WHERE at >= ?", (now - HOUR_SECONDS,)
        ).fetchone()
        check_hourly(made, len(dialled), hourly_limit)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with usable(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def _one(self, where: str, *values: object) -> Intent | None:
        found = self._all(where, *values)
        return found[0] if found else None

    def _all(self, where: str, *values: object) -> list[Intent]:
        with usable(self._path):
            rows = self._db.execute(f"SELECT * FROM calls WHERE {where}", values).fetchall()  # noqa: S608 (no text from outside)
            return [_intent(row) for row in rows]


def _intent(row: sqlite3.Row) -> Intent:
    """Return the intent in *row*.

    Raises:
        Damaged: The row contains a value that the journal cannot have written.
    """
    found: dict[str, Any] = dict(row)
    try:
        found |= {
            "from_": found.pop("from"),
            "state": IntentState(row["state"]),
            "reply": json.loads(row["reply"] or "{}"),
        }
        if not all(isinstance(found[name], kind) for name, kind in _TYPES.items()):
            raise Damaged
        if not (0 <= found["asked_at"] < _MAX_SECONDS and 0 < found["pid"] < _MAX_PID):
            raise Damaged
        return Intent(**found)
    except (LookupError, TypeError, ValueError, RecursionError) as exc:
        raise Damaged from exc


def check_hourly(made: int, more: int, limit: int) -> None:
    """Check that *more* phones may be rung after *made* in the last hour.

    Raises:
        GuardError: The limit would be exceeded.
    """
    if made + more > limit:
        raise GuardError(
            f"This profile allows {limit} {'call' if limit == 1 else 'calls'} per hour;"
            f" {made} {'was' if made == 1 else 'were'} made in the last hour.",
            hint="Wait, or raise the limit: voicectl profile add NAME --replace --max-calls-per-hour N ...",
        )


def missing(reference: str) -> JournalError:
    """Return the error for an intent that the journal does not contain."""
    return JournalError(f"The journal has no call with the reference {reference}.")
