"""The calls of a batch that are under way, and those that may be: following the ones, looking for the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from voicectl.core.batch import attempts as rules
from voicectl.core.batch.attempts import Outcome, Sighting
from voicectl.errors import AuthError, VoicectlError
from voicectl.store.batches.records import AttemptState
from voicectl.voice.call import CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voicectl.clock import Clock
    from voicectl.core.batch.following import Follower, Seen
    from voicectl.core.batch.ledger import Ledger
    from voicectl.core.batch.message import Message
    from voicectl.core.batch.settings import Settings
    from voicectl.core.batch.workers import Done, Workers
    from voicectl.store.batches.records import Attempt
    from voicectl.store.journal import Intent
    from voicectl.voice.call import Call

LOOK_SECONDS = 1.0
"""The time between two passes over all calls, in seconds."""

SOON_SECONDS = 1.5
LATER_SECONDS = 5.0
YOUNG_SECONDS = 120.0
"""The API is asked about a call every 1.5 s while the call is young, and then every 5 s."""

DOUBT_PAUSES = (2.0, 3.0, 3.0)
"""How long after a response was lost, and then after each search, the call is looked for again, in seconds."""

KEY_SECONDS = 10.0
"""How long after the end of a call the events about its keys may arrive, in seconds.

``webhook serve`` keeps events on disk while their database is away, and stores them a second after it is back.
"""

SILENCE_SECONDS = 5.0
LOOK, SEARCH, HANG_UP = "look", "search", "hang up"


@dataclass(slots=True)
class _Live:
    """A call that is followed.

    Attributes:
        asks_at: The time, on the monotonic clock, at which the API is asked about the call again.
        answered_at: The time, on the monotonic clock, at which the call was first seen answered.
        seen_at: The time, on the monotonic clock, at which the call was last seen answered.
        ended_at: The time, on the monotonic clock, at which the call was first seen to be over.
        is_hung_up: True if the call is being hung up.
    """

    attempt: Attempt
    asks_at: float
    answered_at: float | None = None
    seen_at: float = 0.0
    ended_at: float | None = None
    is_hung_up: bool = False


@dataclass(slots=True)
class _Doubt:
    """An attempt in doubt, the time (on the monotonic clock) of the next search, and the pauses before the others.

    Attributes:
        is_inherited: True if an earlier process made the attempt.
    """

    attempt: Attempt
    looks_at: float
    pauses: list[float]
    is_inherited: bool


@dataclass(slots=True, kw_only=True)
class CallsUnderWay:
    """Follows calls, and looks for those in doubt, by means of threads that read."""

    ledger: Ledger
    settings: Settings
    message: Message
    clock: Clock
    readers: Workers[Follower]
    remark: Callable[[str], None]
    _live: dict[str, _Live] = field(default_factory=dict, init=False)
    _doubts: dict[str, _Doubt] = field(default_factory=dict, init=False)
    _is_looking: bool = field(default=False, init=False)
    _is_searching: bool = field(default=False, init=False)
    _looks_at: float = field(default=0.0, init=False)
    _is_silent: bool = field(default=False, init=False)

    def __len__(self) -> int:
        """Return the number of calls under way or in doubt."""
        return len(self._live) + len(self._doubts)

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts whose calls are followed."""
        return [each.attempt for each in self._live.values()]

    def watch(self, attempt: Attempt, *, is_new: bool = True) -> None:
        """Follow the call of a live attempt. If it is not new, the API is asked about it at once."""
        self._live[attempt.reference] = _Live(attempt, self.clock.monotonic() + is_new * SOON_SECONDS)
        self.ledger.tally.live = len(self._live)

    def doubt(self, attempt: Attempt, *, is_inherited: bool = False) -> None:
        """Look for the call of an attempt in doubt.

        Args:
            is_inherited: True if an earlier process made the attempt.
        """
        first, *others = DOUBT_PAUSES
        looks_at = self.clock.monotonic() + first
        self._doubts[attempt.reference] = _Doubt(attempt, looks_at, others, is_inherited)

    def follow(self, flying: Iterable[Attempt]) -> None:
        """Let threads look at the calls whose turn has come, unless they are looking already.

        Args:
            flying: The attempts whose requests are not answered yet. Attempts in doubt are looked for once the
                requests sent before them are answered, so that their calls are not mistaken for each other.
        """
        self._look()
        self._search(min((each.asked_at for each in flying), default=None))

    def hang_up(self) -> None:
        """End all calls that are under way."""
        for each in self._live.values():
            self._end_call(each)

    def read(self, done: Done) -> None:
        """Handle the result of a thread.

        Raises:
            AuthError: The credentials were refused.
        """
        self.readers.busy -= 1
        self._is_looking = self._is_looking and done.label != LOOK
        self._is_searching = self._is_searching and done.label != SEARCH
        if isinstance(done.error, VoicectlError) and not isinstance(done.error, AuthError):
            if not self._is_silent:
                self.remark(f"Calls cannot be followed for now: {done.error.message}")
            self._is_silent = True
            self._looks_at = self.clock.monotonic() + SILENCE_SECONDS
        elif done.error is not None:
            raise done.error
        elif done.label == LOOK:
            self._is_silent = False
            for reference, seen in done.value.items():
                self._note(reference, seen)
        elif done.label == SEARCH:
            self._settle_doubts(*done.value)

    def _look(self) -> None:
        now = self.clock.monotonic()
        if self._is_looking or not self._live or now < self._looks_at:
            return
        asked = [each for each in self._live.values() if each.asks_at <= now]
        for each in asked:
            age = self.clock.time() - each.attempt.asked_at
            each.asks_at = now + (SOON_SECONDS if age < YOUNG_SECONDS else LATER_SECONDS)
        known, due = [each.attempt for each in self._live.values()], [each.attempt for each in asked]
        self._is_looking = True
        self._looks_at = now + LOOK_SECONDS
        self.readers.do(LOOK, lambda follower: follower.look(known, due))

    def _note(self, reference: str, seen: Seen) -> None:
        """Handle what was seen of a call."""
        live = self._live.get(reference)
        if live is None:
            return
        if seen.call is None:
            self._settle(live.attempt, Outcome.UNVERIFIED, "the platform has no record of the call")
            return
        now = self.clock.monotonic()
        if seen.call.status == CallStatus.ANSWERED:
            live.answered_at = now if live.answered_at is None else live.answered_at
            live.seen_at = now
        seconds = None if live.answered_at is None else live.seen_at - live.answered_at
        sighting = Sighting(
            call=seen.call, keys=seen.keys, detection=live.attempt.detection, answered_seconds=seconds
        )
        if (detection := rules.detection(sighting)) != live.attempt.detection:
            live.attempt = replace(live.attempt, detection=detection)
            self.ledger.note(live.attempt)
        outcome = rules.outcome_of(
            sighting,
            has_detection=self.message.detects(live.attempt.to),
            confirm_key=self.settings.confirm_key,
            opt_out_key=self.settings.opt_out_key,
        )
        if outcome is not None and not self._may_hear_of_key(live, seen, outcome):
            self._settle(_ended(live.attempt, seen.call), outcome, _detail(seen.call.raw))
        elif outcome is None and rules.is_machine(sighting) and not self.settings.leaves_message:
            self._end_call(live)

    def _may_hear_of_key(self, live: _Live, seen: Seen, outcome: Outcome) -> bool:
        """Return True if an event may still arrive that the person has pressed a key."""
        if not self.settings.asks_for_keys or outcome not in (Outcome.ANSWERED, Outcome.UNVERIFIED):
            return False
        now = self.clock.monotonic()
        live.ended_at = now if live.ended_at is None else live.ended_at
        return not seen.is_end_reported and now - live.ended_at < KEY_SECONDS

    def _end_call(self, live: _Live) -> None:
        if live.is_hung_up or live.attempt.uuid is None:
            return
        live.is_hung_up = True
        uuid = live.attempt.uuid
        self.readers.do(HANG_UP, lambda follower: follower.hang_up(uuid))

    def _settle(self, attempt: Attempt, outcome: Outcome, detail: str | None) -> None:
        del self._live[attempt.reference]
        self.ledger.tally.live = len(self._live)
        self.ledger.over(attempt, outcome, detail)

    def _search(self, before: float | None) -> None:
        now = self.clock.monotonic()
        due = [
            each.attempt.reference
            for each in self._doubts.values()
            if each.looks_at <= now and (before is None or each.attempt.asked_at < before)
        ]
        if due and not self._is_searching:
            self._is_searching = True
            self.readers.do(SEARCH, lambda follower: (due, follower.find(due)))

    def _settle_doubts(self, references: list[str], intents: list[Intent]) -> None:
        settled = {each.reference: each for each in intents}
        for reference in references:
            doubt, intent = self._doubts[reference], settled.get(reference)
            if intent is None and doubt.pauses:
                doubt.looks_at = self.clock.monotonic() + doubt.pauses.pop(0)
                continue
            del self._doubts[reference]
            if intent is None:
                self.ledger.lost(doubt.attempt, is_inherited=doubt.is_inherited)
            elif intent.uuid is not None:
                self.watch(self.ledger.found(replace(doubt.attempt, uuid=intent.uuid)))
            else:  # the user has said that the call was not created
                self.ledger.unmade(doubt.attempt)


def in_doubt(attempt: Attempt) -> Attempt:
    """Return *attempt* in the state in which its call may or may not exist."""
    return replace(attempt, state=AttemptState.IN_DOUBT)


def _ended(attempt: Attempt, call: Call) -> Attempt:
    """Return an attempt with what the platform reports about its call."""
    return replace(attempt, duration=call.duration, price=_text(call.raw.get("price")))


def _detail(raw: dict[str, Any]) -> str | None:
    """Return the platform's own words about the end of a call."""
    code = _text(raw.get("sip_code"))
    return ", ".join(filter(None, [_text(raw.get("detail")), code and f"SIP {code}"])) or None


def _text(value: Any) -> str | None:
    return None if value in (None, "") or isinstance(value, (dict, list)) else str(value)[:200]
