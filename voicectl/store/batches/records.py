"""The common interface of the stores of batches, and the records that they keep.

A batch has people and attempts. An attempt is written durably before its request is sent, and its outcome after it.
The states of attempts, and which of them may follow which, are described in :mod:`voicectl.core.batch.attempts`.
A store decides nothing: it keeps what it is given, and guarantees two things.

- Only the process that holds the batch's lease can change the batch. Each change checks the lease in its own
  transaction, so a process that was taken for dead can no longer write once another has taken over.
- :meth:`BatchStore.begin` checks in one transaction that the lease is held, that no one has asked the batch to stop,
  and that the person is still waiting with the expected number of attempts; only then does it write the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class AttemptState(StrEnum):
    """The state of an attempt."""

    INTENT = "intent"
    LIVE = "live"
    IN_DOUBT = "in-doubt"
    OVER = "over"


class Stop(StrEnum):
    """The request of another command to the batch's process."""

    NO = ""
    STOP = "stop"
    HANG_UP = "hang-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds the lease of a batch.

    Attributes:
        token: A random text that no other lease has.
        boot: The id of the host's current boot.
        pid: The process id.
        started: The time at which the process started, in the system's own format.
        seen_at: The time at which the process last renewed the lease, in Unix seconds.
    """

    token: str
    host: str
    boot: str
    pid: int
    started: str
    seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHead:
    """The properties that a batch has from its creation on.

    Attributes:
        settings: What the user asked for, as :class:`voicectl.core.batch.settings.Settings` writes it.
        columns: The names of the list's columns.
        digest: The SHA-256 hash of the list's bytes.
    """

    name: str
    application_id: str
    base_url: str
    created_at: float
    settings: dict[str, Any]
    columns: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInfo(BatchHead):
    """A batch as a whole.

    Attributes:
        pause: The reason why the batch paused, or an empty string.
        holder: The process that holds the lease, or None.
    """

    stop: Stop
    pause: str
    holder: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person of a list.

    Attributes:
        line: The line of the list on which the person's row begins.
        to: The number or endpoint to call, normalised.
        second: Another number or endpoint of the same person, or None.
        fields: The row's values, by column.
        refusal: The outcome and detail of a person who must not be called, or None.
    """

    line: int
    to: str
    second: str | None
    fields: Mapping[str, str]
    refusal: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPerson:
    """A person who may be called.

    Attributes:
        attempts: The number of attempts that were made so far.
        due_at: The earliest time of the next attempt, in Unix seconds.
    """

    id: int
    to: str
    second: str | None
    fields: Mapping[str, str]
    attempts: int
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to call a person.

    Attributes:
        number: The number of the attempt, counted from 1 for each person.
        reference: The reference of the attempt's intent in the journal.
        token: The unguessable part of the URLs that the platform is given for this attempt.
        asked_at: The time at which the attempt began, in Unix seconds.
        detection: The result of machine detection (``human`` or ``machine``), or None.
        ended_at: The time at which the outcome was known, in Unix seconds, or None.
        duration: The duration of the call in seconds, as the platform reports it.
        price: The price of the call, as the platform reports it.
    """

    person: int
    number: int
    reference: str
    token: str
    to: str
    asked_at: float
    state: AttemptState
    uuid: str | None = None
    outcome: str | None = None
    detail: str | None = None
    detection: str | None = None
    ended_at: float | None = None
    duration: str | None = None
    price: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonChange:
    """A change of a person.

    Attributes:
        outcome: The person's outcome, or None if the person waits for another attempt.
        due_at: The earliest time of the next attempt, if *outcome* is None and an attempt may follow.
    """

    person: int
    outcome: str | None = None
    detail: str | None = None
    due_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Changes:
    """Changes that are written together.

    Attributes:
        at: The time of the changes, in Unix seconds.
        attempts: The attempts as they are now.
        unmade: Attempts that were not made after all, since their requests did not leave this machine or were turned
            away. They are deleted, and their people wait again.
        people: The changes of people, in order.
    """

    at: float
    attempts: list[Attempt] = field(default_factory=list)
    unmade: list[Attempt] = field(default_factory=list)
    people: list[PersonChange] = field(default_factory=list)

    @property
    def people_changed(self) -> set[int]:
        """The ids of the people whose attempt has ended or was not made, or who are not called."""
        return {each.person for each in self.unmade} | {each.person for each in self.people}

    def __bool__(self) -> bool:
        """Return True if there are any changes."""
        return bool(self.attempts or self.unmade or self.people)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A person with all attempts, for a report.

    Attributes:
        duplicates: The lines of other rows with one of the person's numbers, which were left out.
    """

    id: int
    line: int
    to: str
    second: str | None
    fields: Mapping[str, str]
    outcome: str | None
    detail: str | None
    settled_at: float | None
    attempts: Sequence[Attempt]
    duplicates: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over a batch.

    Attributes:
        outcomes: The number of people with each outcome.
        waiting: The number of people who may still be called.
        open: The number of people who are being called, or whose calls are looked for.
        attempts: The number of attempts.
        succeeded: The number of attempts that are over and did not fail.
        spent: The sum of the prices that the platform has reported.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    open: int = 0
    attempts: int = 0
    succeeded: int = 0
    spent: Decimal = Decimal(0)

    @property
    def people(self) -> int:
        """The number of people in the batch."""
        return sum(self.outcomes.values()) + self.waiting + self.open


class Begun(Enum):
    """The result of the request to begin an attempt."""

    YES = auto()
    NO = auto()
    """The batch is asked to stop, or the person does not wait any more."""

    LATER = auto()
    """Another process has the next turn, or too much is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a batch, which all its processes keep to together.

    Attributes:
        dials: The number of phones that the attempt rings.
        rate: The number of phones that may be rung per second.
        concurrent: The maximum number of calls under way, or None.
        max_cost: The greatest cost of the batch, or None.
        call_bound: The greatest cost of one call, or None if no price is known.
    """

    dials: int
    rate: float
    concurrent: int | None
    max_cost: Decimal | None
    call_bound: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The difference between the list of a batch and another list.

    Attributes:
        added: The number of people who are only in the other list.
        removed: The number of people who are only in the batch.
        changed: The number of people whose row differs.
        examples: Some of these people, each as one line.
    """

    added: int
    removed: int
    changed: int
    examples: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return True if the lists differ."""
        return bool(self.added or self.removed or self.changed)


def price(text: str | None) -> Decimal:
    """Return a price as the platform reports it, or 0 if it is absent or malformed."""
    try:
        found = Decimal(text or 0)
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


class BatchStore(Protocol):
    """One batch, opened by one thread.

    Attributes:
        is_shared: True if several processes can run the batch at the same time.

    Every method may raise ``StoreError``. Those that change people and attempts raise ``LeaseLost`` if another
    process has taken the lease.
    """

    is_shared: bool

    def info(self) -> BatchInfo:
        """Return the batch as a whole."""
        ...

    def take_lease(self, me: Holder) -> Holder | None:
        """Take the lease for the process *me*, and return the process from which it was taken, if any.

        In a shared store, each process has a lease of its own.

        Raises:
            GuardError: Another process holds the lease and is still running.
        """
        ...

    def renew_lease(self, now: float) -> Stop:
        """Record that the holder is alive, and return what another command has asked it to do."""
        ...

    def release_lease(self) -> None:
        """Give the lease up. Do nothing if another process holds it."""
        ...

    def set_stop(self, stop: Stop) -> None:
        """Ask the batch's process to stop. This needs no lease."""
        ...

    def set_pause(self, reason: str) -> None:
        """Record that the batch paused, or with an empty *reason* that it goes on."""
        ...

    def due(self, now: float, limit: int) -> list[WaitingPerson]:
        """Return people who may be called at the time *now*: repeated attempts first, then in the list's order."""
        ...

    def next_due_at(self) -> float | None:
        """Return the earliest time at which a waiting person may be called, or None if no one waits."""
        ...

    def begin(
        self,
        person: WaitingPerson,
        attempt: Attempt,
        changes: Changes | None = None,
        limits: Limits | None = None,
    ) -> Begun:
        """Write *changes* and an attempt durably, in one transaction, or only the changes if it is not begun now.

        Args:
            limits: The limits to check if several processes run the batch. A store that only one process can use need
                not check them, since that process does.
        """
        ...

    def record(self, changes: Changes) -> None:
        """Write changes in one transaction."""
        ...

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts that are not over, oldest first."""
        ...

    def inherit(self) -> list[Attempt]:
        """Take over the attempts that are not over and that no running process follows, and return them."""
        ...

    def totals(self) -> Totals:
        """Return the counts over the batch."""
        ...

    def people(self) -> Iterator[PersonRecord]:
        """Yield each person with all attempts, in the order of the list."""
        ...

    def duplicates(self) -> int:
        """Return the number of rows that were left out because an earlier row has the same number."""
        ...

    def difference(self, new: Path) -> Difference:
        """Return how the list in the file *new*, of a batch that is being filled, differs from this batch's list."""
        ...

    def add_people(self, new: Path, digest: str) -> int:
        """Add the people of the file *new* whom this batch does not have, and return their number.

        Args:
            digest: The hash of the list in *new*, which becomes the batch's list.
        """
        ...

    def close(self) -> None:
        """Close the store."""
        ...
