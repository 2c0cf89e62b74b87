"""The ledger of a running batch: every change goes to the store, to the counts and to the progress display."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from voicectl.core.batch import attempts as rules
from voicectl.core.batch.alarm import Alarm
from voicectl.core.batch.attempts import Outcome
from voicectl.errors import VoicectlError
from voicectl.store.batches.records import AttemptState, Begun, Changes, PersonChange, Totals, price

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from decimal import Decimal

    from voicectl.clock import Clock
    from voicectl.store.batches.records import Attempt, BatchStore, Limits, WaitingPerson
    from voicectl.store.batches.spool import Spool

OVER = "over"
WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that is reported while the batch runs.

    Attributes:
        at: The time of the change, in Unix seconds.
        person: The person's id.
        to: The number that the attempt calls, or the person's number if there is no attempt.
        state: The attempt's state; ``waiting`` if another attempt follows; ``over`` if the person has an outcome.
        outcome: The person's outcome, or None if the person has none yet.
        attempt: The attempt as it is now, or None if the person is not called.
    """

    at: float
    person: int
    to: str
    state: str
    outcome: str | None = None
    detail: str | None = None
    attempt: Attempt | None = None


@dataclass(slots=True)
class Tally:
    """The counts of a running batch, which are updated with every change.

    Attributes:
        succeeded: The number of attempts that are over and did not fail.
        spent: The sum of the prices that the platform has reported.
        live: The number of calls under way.
    """

    outcomes: dict[str, int]
    waiting: int
    succeeded: int
    spent: Decimal
    live: int = 0

    @classmethod
    def of(cls, totals: Totals) -> Tally:
        """Return the counts with which a run begins."""
        return cls(dict(totals.outcomes), totals.waiting, totals.succeeded, totals.spent)

    @property
    def done(self) -> int:
        """The number of people who have an outcome."""
        return sum(self.outcomes.values())

    def totals(self, people: int) -> Totals:
        """Return the counts of a batch with this many *people*."""
        open_ = people - self.waiting - self.done
        return Totals(outcomes=self.outcomes, waiting=self.waiting, open=open_)

    def settle(self, outcome: str, people: int = 1) -> None:
        """Count people with an outcome, or with -1, uncount one."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + people


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Records what happens to the attempts and people of a batch.

    Changes are collected, and written together by :meth:`flush` or with the next attempt. If the process ends before
    that, the next one finds them out again: the journal has the calls, and the API their outcomes.

    Args:
        on_change: A function that is called with every change.
        opt_out: A function that is called with the number of a person who asks not to be called again. It must have
            recorded the number when it returns.
        spool: Where changes are kept that cannot be written, or None if the store is on this machine, too.
    """

    store: BatchStore
    clock: Clock
    budget: rules.Budget
    on_change: Callable[[Change], None]
    opt_out: Callable[[str], None]
    spool: Spool | None = None
    tally: Tally = field(init=False)
    alarm: Alarm = field(default_factory=Alarm, init=False)
    _changes: Changes = field(default_factory=lambda: Changes(at=0.0), init=False)

    def __post_init__(self) -> None:
        """Read the counts with which the run begins."""
        self.tally = Tally.of(self.store.totals())

    def refresh(self) -> None:
        """Count again what all processes have recorded. All changes must have been written."""
        live = self.tally.live
        self.tally = Tally.of(self.store.totals())
        self.tally.live = live

    def begin(self, person: WaitingPerson, attempt: Attempt, limits: Limits) -> Begun:
        """Record an attempt before its request is sent, unless it must not be made now."""
        changes = self._take()
        with self._spooling(changes):
            begun = self.store.begin(person, attempt, changes, limits)
        if begun is not Begun.YES:
            return begun
        self.tally.waiting -= 1
        self.alarm.began()
        self._tell(attempt)
        return begun

    def update(self, attempts: Iterable[Attempt]) -> None:
        """Record attempts that are live or in doubt now."""
        for each in attempts:
            self._changes.attempts.append(each)
            self._tell(each)

    def note(self, attempt: Attempt) -> None:
        """Record what has been learnt about an attempt whose state has not changed."""
        self._record([attempt])

    def flush(self) -> None:
        """Write the changes that have not been written yet."""
        changes = self._take()
        if changes:
            with self._spooling(changes):
                self.store.record(changes)

    def catch_up(self) -> None:
        """Write the changes that earlier runs on this machine could not write."""
        if self.spool is None:
            return
        for changes in self.spool.changes():
            self.store.record(changes)
        self.refresh()

    def found(self, attempt: Attempt) -> Attempt:
        """Record that the call of an attempt in doubt exists, and return the attempt as it is now."""
        self._forget_doubt(attempt)
        attempt = replace(attempt, state=AttemptState.LIVE, outcome=None, detail=None)
        self._record([attempt], [PersonChange(person=attempt.person)])
        self._tell(attempt)
        return attempt

    def unmade(self, attempt: Attempt) -> None:
        """Record that an attempt was not made after all. The person waits again."""
        self._forget_doubt(attempt)
        self._changes.unmade.append(attempt)
        self.tally.waiting += 1
        self._tell(attempt, WAITING)

    def over(
        self, attempt: Attempt, outcome: Outcome, detail: str | None, *, is_refused: bool = False
    ) -> None:
        """Record that an attempt is over, and what follows for the person.

        Args:
            is_refused: True if the API refused to make the call.
        """
        self._forget_doubt(attempt)
        now = self.clock.time()
        attempt = replace(attempt, state=AttemptState.OVER, outcome=outcome, detail=detail, ended_at=now)
        if outcome is Outcome.OPTED_OUT:
            self.opt_out(attempt.to)
        follows = rules.after(attempt, outcome, detail, self.budget, now)
        self._record([attempt], [follows])
        self.tally.spent += price(attempt.price)
        if follows.outcome is None:
            self.tally.waiting += 1
        else:
            self.tally.settle(follows.outcome)
        self._tell(attempt, WAITING if follows.outcome is None else OVER, follows.outcome)
        if outcome is Outcome.FAILED:
            is_first = is_refused and not self.tally.succeeded
            self.alarm.failed(detail or "no reason was given", is_first=is_first)
        else:
            self.tally.succeeded += 1
            if outcome not in (Outcome.BUSY, Outcome.NO_ANSWER):
                self.alarm.ended()

    def lost(self, attempt: Attempt, *, is_inherited: bool = False) -> None:
        """Record that an attempt remains in doubt. The person is not called again.

        Args:
            is_inherited: True if an earlier process made the attempt. Then it is no reason to pause.
        """
        detail = f"voicectl call reconcile {attempt.reference}"
        attempt = replace(attempt, outcome=Outcome.IN_DOUBT, detail=detail)
        self._record(
            [attempt], [PersonChange(person=attempt.person, outcome=Outcome.IN_DOUBT, detail=detail)]
        )
        self.tally.settle(Outcome.IN_DOUBT)
        if not is_inherited:
            self.alarm.lost()
        self._tell(attempt, outcome=Outcome.IN_DOUBT)

    def uncalled(self, person: WaitingPerson, outcome: str, detail: str) -> None:
        """Record the outcome of a person who is not called."""
        self._record(people=[PersonChange(person=person.id, outcome=outcome, detail=detail)])
        self.tally.waiting -= 1
        self.tally.settle(outcome)
        self.on_change(
            Change(
                at=self.clock.time(),
                person=person.id,
                to=person.to,
                state=OVER,
                outcome=outcome,
                detail=detail,
            )
        )

    def postpone(self, person: WaitingPerson, until: float) -> None:
        """Record that a person must not be called before the time *until*."""
        self._record(people=[PersonChange(person=person.id, due_at=until)])

    def _forget_doubt(self, attempt: Attempt) -> None:
        """Uncount a person who was in doubt when an earlier run ended."""
        if attempt.outcome == Outcome.IN_DOUBT:
            self.tally.settle(Outcome.IN_DOUBT, -1)

    def _take(self) -> Changes:
        """Return the changes that are to be written now."""
        changes, self._changes = self._changes, Changes(at=0.0)
        changes.at = self.clock.time()
        return changes

    @contextmanager
    def _spooling(self, changes: Changes) -> Iterator[None]:
        """Keep *changes* on this machine if the ``with`` block cannot write them."""
        try:
            yield
        except VoicectlError:
            if self.spool is not None:
                with suppress(
                    OSError, VoicectlError
                ):  # the calls are in the journal, and their outcomes in the API
                    self.spool.put(changes)
            raise

    def _record(self, attempts: Iterable[Attempt] = (), people: Iterable[PersonChange] = ()) -> None:
        self._changes.attempts += attempts
        self._changes.people += people

    def _tell(self, attempt: Attempt, state: str | None = None, outcome: str | None = None) -> None:
        self.on_change(
            Change(
                at=self.clock.time(),
                person=attempt.person,
                to=attempt.to,
                state=state or attempt.state,
                outcome=outcome,
                detail=attempt.detail,
                attempt=attempt,
            )
        )
