"""The rules of attempts: which attempt may be made, what became of it, and what follows.

This is the only module that decides what an attempt may do; stores keep, and the runner carries out. A person is
called again only after an attempt that is known to be over, or that is known never to have been made::

    person waits ──begin──> intent ──POST──┬─> live ────────────> over (outcome)
         ^                    │            ├─> over (failed)      the API refused the call
         │                    │            ├─> in doubt ──┬─> live        a search or an event found the call
         │                    │            │              └─> in doubt    nothing is proved; the person's outcome
         │                    └────────────┴─> unmade     no request left, or the API turned it away (429, 401)
         └──────── unmade, or over with an outcome that may be repeated ──────────

1. Before the POST request, the attempt and then the intent in the journal are durable, in this order. The journal's
   key is the batch, the person and the number of the attempt, so no other process and no other attempt can use it.
2. A process that takes over finds attempts in the state ``intent``. The journal tells them apart: without an intent
   there, no request can have left, so the attempt is unmade; with the id of a call, the attempt is live; with an open
   intent, it is in doubt, since the process may have ended on either side of the POST request.
3. An attempt in doubt is looked for and never repeated. It becomes unmade only if the user says so
   (``call reconcile --assume not-created``).
4. All attempts of a person, to whichever number and for whatever reason, count against one budget. The next attempt
   uses the person's next number, if there are two.
5. An outcome is a fact about a person. ``answered`` means a person: with machine detection, only its verdict or the
   absence of a verdict by the time one would have come counts, and an answer without either is ``unverified``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from voicectl.store.batches.records import PersonChange
from voicectl.store.journal import IntentState
from voicectl.voice.call import HUMAN, CallStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from voicectl.store.batches.records import Attempt, WaitingPerson
    from voicectl.store.journal import Intent
    from voicectl.voice.call import Call

VERDICT_SECONDS = 6.0
"""How long after the answer a machine would have been detected, in seconds.

Source: Voice API reference, "machine detection": up to 4 to 5 s.
"""


class Outcome(StrEnum):
    """The result of a batch for a person."""

    CONFIRMED = "confirmed"
    ANSWERED = "answered"
    UNVERIFIED = "unverified"
    MACHINE = "machine"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OPTED_OUT = "opted-out"
    REFUSED = "refused"
    IN_DOUBT = "in-doubt"
    NOT_CALLED = "not-called"


REPEATABLE = (
    Outcome.BUSY,
    Outcome.NO_ANSWER,
    Outcome.MACHINE,
    Outcome.UNVERIFIED,
    Outcome.REJECTED,
    Outcome.FAILED,
    Outcome.CANCELLED,
)
"""The outcomes after which a person may be called again, if the user asks for it."""

USUALLY_REPEATED = (Outcome.BUSY, Outcome.NO_ANSWER)

_BY_STATUS = {
    CallStatus.BUSY: Outcome.BUSY,
    CallStatus.TIMEOUT: Outcome.NO_ANSWER,
    CallStatus.UNANSWERED: Outcome.NO_ANSWER,
    CallStatus.REJECTED: Outcome.REJECTED,
    CallStatus.FAILED: Outcome.FAILED,
    CallStatus.CANCELLED: Outcome.CANCELLED,
}


class Recovery(StrEnum):
    """The state in which another process left an attempt open."""

    UNMADE = "unmade"
    LIVE = "live"
    REFUSED = "refused"
    IN_DOUBT = "in-doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How often a person may be called.

    Attributes:
        attempts: The maximum number of attempts per person.
        retry_on: The outcomes after which another attempt follows.
        gap: The time between two attempts, in seconds.
    """

    attempts: int
    retry_on: Collection[str]
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A call as last seen, by the API's record and the stored events.

    Attributes:
        keys: The keys that the person pressed when asked, in order.
        detection: The result of machine detection (``human`` or ``machine``) with which the call was seen before, or
            None. The record of an ended call no longer shows it.
        answered_seconds: How long the call has been seen answered, or None if it has not been seen so.
    """

    call: Call
    keys: str = ""
    detection: str | None = None
    answered_seconds: float | None = None


def key(batch: str, attempt: Attempt) -> str:
    """Return the idempotency key of an attempt, which lives as long as the batch."""
    return f"batch {batch} person {attempt.person} attempt {attempt.number}"


def number_for(person: WaitingPerson) -> str:
    """Return the number that the person's next attempt calls."""
    numbers = [person.to, person.second] if person.second else [person.to]
    return numbers[person.attempts % len(numbers)]


def is_machine(sighting: Sighting) -> bool:
    """Return True if machine detection has recognised a machine."""
    call = sighting.call
    return sighting.detection == CallStatus.MACHINE or CallStatus.MACHINE in call.reported | {call.status}


def is_person(sighting: Sighting) -> bool:
    """Return True if machine detection has recognised a person, or would have recognised a machine by now."""
    return not is_machine(sighting) and (
        HUMAN in sighting.call.reported | {sighting.detection}
        or (sighting.answered_seconds or 0.0) >= VERDICT_SECONDS
    )


def detection(sighting: Sighting) -> str | None:
    """Return the result of machine detection, as far as it is known: ``human``, ``machine`` or None."""
    if is_machine(sighting):
        return CallStatus.MACHINE
    return HUMAN if is_person(sighting) else None


def outcome_of(
    sighting: Sighting, *, has_detection: bool, confirm_key: str | None = None, opt_out_key: str | None = None
) -> Outcome | None:
    """Return the outcome of a call, or None while the call is not over.

    Args:
        has_detection: True if the call was made with machine detection.
        confirm_key: The key with which a person confirms, or None.
        opt_out_key: The key with which a person asks not to be called again, or None.
    """
    call = sighting.call
    if not call.is_final:
        return None
    if opt_out_key is not None and opt_out_key in sighting.keys:
        return Outcome.OPTED_OUT
    if confirm_key is not None and confirm_key in sighting.keys:
        return Outcome.CONFIRMED
    if is_machine(sighting):
        return Outcome.MACHINE
    if call.status != CallStatus.COMPLETED:
        return _BY_STATUS.get(CallStatus(call.status), Outcome.UNVERIFIED)
    if not call.was_answered and sighting.answered_seconds is None and sighting.detection is None:
        return Outcome.NO_ANSWER
    return Outcome.ANSWERED if is_person(sighting) or not has_detection else Outcome.UNVERIFIED


def is_reached(outcome: str | None, *, confirm_key: str | None) -> bool:
    """Return True if *outcome* means that the person was reached."""
    return outcome == (Outcome.ANSWERED if confirm_key is None else Outcome.CONFIRMED)


def after(attempt: Attempt, outcome: Outcome, detail: str | None, budget: Budget, now: float) -> PersonChange:
    """Return what follows for a person whose attempt ended with *outcome* at the time *now*."""
    if outcome in budget.retry_on and attempt.number < budget.attempts:
        return PersonChange(person=attempt.person, detail=detail, due_at=now + budget.gap)
    return PersonChange(person=attempt.person, outcome=outcome, detail=detail)


def recovered(intent: Intent | None) -> Recovery:
    """Return what became of an attempt that was left open, from its *intent* in the journal, if there is one."""
    if intent is None:
        return Recovery.UNMADE
    match intent.state:
        case IntentState.CREATED:
            return Recovery.LIVE
        case IntentState.REJECTED:
            return Recovery.REFUSED
        case IntentState.NOT_SENT | IntentState.NOT_CREATED:
            return Recovery.UNMADE
    return Recovery.IN_DOUBT
