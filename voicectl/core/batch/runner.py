"""Running a batch: one loop that begins calls at the allowed rate, follows them, and records every change.

The main thread owns the batch's store and decides; other threads send requests and read records. Each turn of the
loop collects their results, renews the lease (which also tells whether another command asks the batch to stop), lets
the calls be followed, and begins at most one call.

A call is begun in this order, so that no call begins later than one second after a stop: a turn of the rate limiter
is taken, and then the attempt is written in the transaction that reads the request to stop. Only then does a thread
write the intent to the journal and send the request. Neither waits for anything on the way.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING

from voicectl.core.batch import attempts as rules
from voicectl.core.batch.attempts import Outcome, Recovery
from voicectl.core.batch.under_way import in_doubt
from voicectl.errors import (
    ApiError,
    AuthError,
    GuardError,
    InputError,
    OutcomeUnknown,
    RateLimitedError,
    TransportError,
    VoicectlError,
)
from voicectl.store.batches.records import Attempt, AttemptState, Begun, Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.api.session import Limiter
    from voicectl.clock import Clock
    from voicectl.core.batch.following import Follower
    from voicectl.core.batch.ledger import Ledger, Tally
    from voicectl.core.batch.load import Screen
    from voicectl.core.batch.message import Message
    from voicectl.core.batch.settings import Settings
    from voicectl.core.batch.under_way import CallsUnderWay
    from voicectl.core.batch.workers import Done, Results, Workers
    from voicectl.core.calls.create import CallPlacer
    from voicectl.core.calls.order import CallOrder
    from voicectl.interrupts import Interrupts
    from voicectl.store.batches.records import BatchStore, WaitingPerson
    from voicectl.store.intents import Intents

TURN_SECONDS = 0.9
"""How long the loop may wait for a turn of the rate limiter, in seconds; a stop must be noticed within one second."""

TICK_SECONDS = 0.25
RESULT_SECONDS = 0.05
LEASE_SECONDS = 1.0
INHERIT_SECONDS = 3.0
LEAVE_SECONDS = 4.0
TURNED_AWAY_IN_A_ROW = 5
REFUSED_HOLD_SECONDS = 2.0
UNREACHED_HOLD_SECONDS = 5.0
HOURLY_HOLD_SECONDS = 60.0
DUE_AT_ONCE = 100


class _Mode(Enum):
    """The work that the loop still does: everything, no more new calls, or only what is in flight."""

    CALL = auto()
    FINISH = auto()
    LEAVE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The objects with which a batch is run.

    Attributes:
        journal: The journal, for the main thread.
        placers: The threads that send the requests for new calls.
        readers: The threads that read what became of calls.
        on_tick: A function that is called with the counts in each turn of the loop.
    """

    store: BatchStore
    journal: Intents
    settings: Settings
    message: Message
    screen: Screen
    limiter: Limiter
    clock: Clock
    interrupts: Interrupts
    results: Results
    placers: Workers[CallPlacer]
    readers: Workers[Follower]
    ledger: Ledger
    under_way: CallsUnderWay
    on_tick: Callable[[Tally], None]
    remark: Callable[[str], None]


@dataclass(slots=True)
class Runner:
    """Runs one batch until every person has an outcome, or until it pauses or is stopped.

    Args:
        name: The name of the batch.
        parts: The objects with which it is run. The store's lease must have been taken.
    """

    name: str
    parts: Parts
    _mode: _Mode = field(default=_Mode.CALL, init=False)
    _fatal: VoicectlError | None = field(default=None, init=False)
    _pause_reason: str = field(default="", init=False)
    _queue: deque[WaitingPerson] = field(default_factory=deque, init=False)
    _flying: dict[str, Attempt] = field(default_factory=dict, init=False)
    _holds_until: float = field(default=0.0, init=False)
    _renews_at: float = field(default=0.0, init=False)
    _leaves_at: float = field(default=0.0, init=False)
    _opens_at: float = field(default=0.0, init=False)
    _turned_away: int = field(default=0, init=False)
    _is_limited: bool = field(default=False, init=False)
    _inherits_at: float = field(default=0.0, init=False)
    _stopped: Stop = field(default=Stop.NO, init=False)

    def run(self) -> None:
        """Run the batch.

        Raises:
            GuardError: The batch paused. The message says why.
            Interrupted: A signal arrived. What was in flight was finished and recorded, as far as possible.
            VoicectlError: The run cannot go on: the credentials were refused, or the store or journal failed.
        """
        parts = self.parts
        with parts.interrupts.shield():
            try:
                parts.ledger.catch_up()
                self._recover()
                parts.ledger.flush()
                while not self._is_over():
                    self._collect(0.0)
                    self._keep_lease()
                    if self._mode is not _Mode.LEAVE:
                        parts.under_way.follow(self._flying.values())
                    self._check_alarm()
                    parts.on_tick(parts.ledger.tally)
                    if not self._begin_next():
                        self._flush()
                        self._wait()
                self._flush()
                if parts.store.is_shared:
                    parts.ledger.refresh()
            finally:
                self._close()
        parts.interrupts.check()
        if self._fatal is not None:
            raise self._fatal
        if self._pause_reason:
            raise GuardError(
                f"The batch {self.name} paused: {self._pause_reason}.",
                hint=f"Fix the cause, and then continue: voicectl batch resume {self.name}",
            )

    def _recover(self) -> None:
        """Sort out the attempts that other processes left open."""
        parts = self.parts
        self._inherits_at = self._now() + INHERIT_SECONDS
        for each in parts.store.inherit():
            if each.state is AttemptState.LIVE:
                parts.under_way.watch(each, is_new=False)
                continue
            intent = parts.journal.get(each.reference)
            match rules.recovered(intent):
                case Recovery.LIVE if intent is not None:
                    parts.under_way.watch(parts.ledger.found(replace(each, uuid=intent.uuid)), is_new=False)
                case Recovery.REFUSED if intent is not None:
                    parts.ledger.over(each, Outcome.FAILED, intent.reason, is_refused=True)
                case Recovery.UNMADE:
                    parts.ledger.unmade(each)
                case _ if each.outcome is None:  # the others have been looked for
                    parts.ledger.update([in_doubt(each)])
                    parts.under_way.doubt(in_doubt(each), is_inherited=True)

    def _is_over(self) -> bool:
        if self.parts.interrupts.pending:
            self._leave()
        if self._mode is _Mode.LEAVE:
            return not self._flying or self._now() >= self._leaves_at
        if self._flying or self.parts.under_way or self.parts.readers.busy:
            return False
        if self._mode is _Mode.FINISH:
            return True
        self._flush()
        return not self._queue and self.parts.store.next_due_at() is None

    def _close(self) -> None:
        """End the threads, record their last results, and give the lease up."""
        self.parts.placers.close(LEAVE_SECONDS)
        self.parts.readers.close(LEAVE_SECONDS)
        with suppress(VoicectlError):  # reported already
            self._collect(0.0)
            self.parts.ledger.flush()
        for attempt in self._flying.values():
            self.parts.remark(
                f"The outcome of the call to {attempt.to} was not recorded: {attempt.reference}"
            )
        with suppress(VoicectlError):  # another process takes over a lease whose process has ended
            self.parts.store.release_lease()

    def _flush(self) -> None:
        """Write what was collected. If that fails, report the calls under way, which the journal has, too."""
        try:
            self.parts.ledger.flush()
        except VoicectlError:
            for attempt in self.parts.under_way.attempts:
                self.parts.remark(f"{attempt.uuid}: called {attempt.to}")
            raise

    def _wait(self) -> None:
        if self.parts.placers.busy or self.parts.readers.busy:
            self._collect(RESULT_SECONDS)
        else:
            self.parts.clock.sleep(TICK_SECONDS)

    def _now(self) -> float:
        return self.parts.clock.monotonic()

    def _begin_next(self) -> bool:
        """Begin a call if one may be begun now. Return False if not."""
        if not self._may_begin():
            return False
        person = self._next_person()
        if person is None:
            return False
        attempt, order = self._prepared(person)
        dials = len(order.dialled)
        try:
            self.parts.limiter.take(creates=dials, others=0, urgent=False, budget=TURN_SECONDS * dials)
        except RateLimitedError:  # other commands have taken the next turns
            self._queue.appendleft(person)
            return False
        attempt = replace(attempt, asked_at=self.parts.clock.time())
        match self.parts.ledger.begin(person, attempt, self.parts.settings.limits(dials)):
            case Begun.NO:
                self._renews_at = 0.0  # the batch is asked to stop
                return True
            case Begun.LATER:
                self._queue.appendleft(person)
                return False
        self._flying[attempt.reference] = attempt
        key, reference = rules.key(self.name, attempt), attempt.reference
        self.parts.placers.do(attempt, lambda placer: placer.place(order, reference=reference, key=key))
        return True

    def _may_begin(self) -> bool:
        if self._mode is not _Mode.CALL or not self.parts.placers.is_free:
            return False
        if self._now() < self._holds_until or self.parts.clock.time() < self._opens_at:
            return False
        under_way = len(self._flying) + len(self.parts.under_way)
        if under_way and not self.parts.ledger.tally.succeeded:
            return False  # the first call is made alone
        most = self.parts.settings.concurrent
        return (most is None or under_way < most) and self._may_spend(under_way)

    def _may_spend(self, under_way: int) -> bool:
        """Return True if one more call cannot exceed the greatest cost. If it never can, pause."""
        settings, spent = self.parts.settings, self.parts.ledger.tally.spent
        bound = settings.call_bound
        if settings.max_cost is None or bound is None:
            return True
        if spent + bound * (under_way + 1) <= Decimal(settings.max_cost):
            return True
        if not under_way and self.parts.ledger.tally.waiting:
            self._pause(f"another call might exceed --max-cost {settings.max_cost}")
        return False

    def _next_person(self) -> WaitingPerson | None:
        """Return the next person who may be called now, after settling those before who may not."""
        now = self.parts.clock.time()
        if not self._queue:
            self._queue.extend(self.parts.store.due(now, DUE_AT_ONCE))
        while self._queue:
            person = self._queue.popleft()
            try:
                refusal = self.parts.screen.refusal(rules.number_for(person))
            except InputError as exc:
                self._queue.appendleft(person)
                self._pause(exc.message.rstrip("."))
                return None
            opens_at = self.parts.settings.opens_at(now, person.fields)
            if refusal is not None:
                self.parts.ledger.uncalled(person, *refusal)
            elif opens_at is None:
                return person
            elif self.parts.settings.timezone_column:
                self.parts.ledger.postpone(person, opens_at)
            else:  # the window is closed for all
                self._queue.appendleft(person)
                self._opens_at = opens_at
                return None
        return None

    def _prepared(self, person: WaitingPerson) -> tuple[Attempt, CallOrder]:
        to, token = rules.number_for(person), os.urandom(16).hex()
        attempt = Attempt(
            person=person.id,
            number=person.attempts + 1,
            reference=f"vc-{os.urandom(8).hex()}",
            token=token,
            to=to,
            asked_at=self.parts.clock.time(),
            state=AttemptState.INTENT,
        )
        return attempt, self.parts.message.order(to, person.fields, token)

    def _collect(self, seconds: float) -> None:
        """Handle the results of the threads, after waiting up to *seconds* for the first one."""
        placed: list[Attempt] = []
        for done in self.parts.results.take(seconds):
            if not isinstance(done.label, Attempt):
                try:
                    self.parts.under_way.read(done)
                except AuthError as exc:
                    self._fail(exc)
                continue
            self.parts.placers.busy -= 1
            if (attempt := self._placed(done.label, done)) is not None:
                placed.append(attempt)
        self.parts.ledger.update(placed)
        for each in placed:
            del self._flying[each.reference]
            if each.state is AttemptState.LIVE:
                self.parts.under_way.watch(each)
            else:
                self.parts.under_way.doubt(each)

    def _placed(self, attempt: Attempt, done: Done) -> Attempt | None:
        """Return an attempt whose call exists or may exist. Record any other attempt, and return None."""
        exc = done.error
        if exc is None:
            self._turned_away = 0
            if done.value.unrecorded is not None:
                self.parts.remark(f"Call {done.value.uuid} was created, but is not recorded in the journal.")
                self._fail(done.value.unrecorded)
            return replace(attempt, state=AttemptState.LIVE, uuid=done.value.uuid)
        if isinstance(exc, OutcomeUnknown):
            return in_doubt(attempt)
        if not isinstance(exc, VoicectlError):
            raise exc
        del self._flying[attempt.reference]
        if isinstance(exc, ApiError) and not isinstance(exc, (AuthError, RateLimitedError)):
            cause = f"{exc.status} {exc.title}".strip()
            self.parts.ledger.over(attempt, Outcome.FAILED, cause, is_refused=True)
            return None
        self.parts.ledger.unmade(attempt)
        self._turn_away(exc)
        return None

    def _turn_away(self, exc: VoicectlError) -> None:
        """Decide how to go on after a request that was not sent or not accepted, so that no call was made."""
        match exc:
            case RateLimitedError():
                self._hold(exc.retry_after or REFUSED_HOLD_SECONDS)
            case GuardError():
                if not self._is_limited:
                    self.parts.remark(f"{exc.message} The batch will continue when the limit allows it.")
                self._is_limited = True
                self._hold(HOURLY_HOLD_SECONDS)
                return
            case TransportError():
                self._hold(UNREACHED_HOLD_SECONDS)
            case _:  # the credentials were refused, or the journal cannot be written
                self._fail(exc)
                return
        self._turned_away += 1
        if self._turned_away >= TURNED_AWAY_IN_A_ROW:
            self._pause(f"{self._turned_away} requests in a row were not accepted: {exc.message.rstrip('.')}")

    def _keep_lease(self) -> None:
        if self._now() < self._renews_at:
            return
        self._renews_at = self._now() + LEASE_SECONDS
        stop = self.parts.store.renew_lease(self.parts.clock.time())
        if self.parts.store.is_shared and self._now() >= self._inherits_at:
            self._recover()
            self._flush()
            self.parts.ledger.refresh()
        if stop is not Stop.NO and self._stopped is Stop.NO:
            self.parts.remark("The batch was asked to stop. Calls under way are followed until they end.")
        self._stopped = stop
        if stop is not Stop.NO and self._mode is _Mode.CALL:
            self._mode = _Mode.FINISH
        if stop is Stop.HANG_UP:
            self.parts.under_way.hang_up()

    def _check_alarm(self) -> None:
        if self.parts.ledger.alarm.reason and not self._pause_reason:
            self._pause(self.parts.ledger.alarm.reason)

    def _pause(self, reason: str) -> None:
        self._pause_reason = reason
        if self._mode is _Mode.CALL:
            self._mode = _Mode.FINISH
        self.parts.store.set_pause(reason)
        self.parts.remark(f"The batch is pausing: {reason}. Calls under way are followed until they end.")

    def _fail(self, exc: VoicectlError) -> None:
        """Begin nothing new, finish what is in flight, and end with *exc*."""
        self._fatal = self._fatal or exc
        self._leave()

    def _leave(self) -> None:
        if self._mode is not _Mode.LEAVE:
            self._mode = _Mode.LEAVE
            self._leaves_at = self._now() + LEAVE_SECONDS

    def _hold(self, seconds: float) -> None:
        self._holds_until = max(self._holds_until, self._now() + min(seconds, HOURLY_HOLD_SECONDS))
