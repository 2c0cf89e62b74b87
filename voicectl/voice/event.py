"""Events of calls, as webhooks tell them: what kind one is, whom it is about, and what a leg's events add up to.

Nothing here depends on the order in which events come, on how often one comes, or on all of them coming.

Source: Vonage webhook reference, "call status events", "action events" and "router order".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from voicectl import strict_json
from voicectl.voice.call import FINAL, HUMAN, CallStatus, is_leg_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Fields = Mapping[str, Any]


class Kind(StrEnum):
    """What an event tells of."""

    RECORD = "record"
    TRANSCRIBED = "transcribed"
    TRANSFER = "transfer"
    INPUT = "input"
    NOTIFY = "notify"
    STATUS = "status"
    ERROR = "error"
    UNKNOWN = "unknown"


_ROUTER = (
    ("recording_url", Kind.RECORD),
    ("transcription_url", Kind.TRANSCRIBED),
    ("conversation_uuid_from", Kind.TRANSFER),
    ("dtmf", Kind.INPUT),
    ("speech", Kind.INPUT),
    ("payload", Kind.NOTIFY),
    ("status", Kind.STATUS),
    ("reason", Kind.ERROR),
)
"""The first field that is there says what an event is: ``transcribed`` events have a status as well."""

_NESTED = frozenset({"dtmf", "speech", "payload", "headers", "custom_data", "original_request"})
"""What a query holds as JSON text."""

MAX_DEPTH = 100
"""How deep its fields may be nested; the platform's own are five deep."""

DISCONNECTED = "disconnected"

_RANKS: dict[str, int] = {
    CallStatus.STARTED: 1,
    CallStatus.RINGING: 2,
    CallStatus.ANSWERED: 3,
    HUMAN: 4,
    CallStatus.MACHINE: 4,
    DISCONNECTED: 5,
} | dict.fromkeys(FINAL, 6)


def kind_of(fields: Fields) -> Kind:
    """What an event with *fields* tells of."""
    return next((kind for name, kind in _ROUTER if name in fields), Kind.UNKNOWN)


def leg_of(fields: Fields) -> str | None:
    """The leg that an event is about: ``uuid``, else the ``call_uuid`` of ``human`` and ``machine``; None if none."""
    found = (fields.get(name) for name in ("uuid", "call_uuid"))
    return next((each for each in found if isinstance(each, str) and is_leg_id(each)), None)


def conversation_of(fields: Fields) -> str | None:
    """The conversation that an event is about; for a transfer, the one the leg went to."""
    found = (fields.get(name) for name in ("conversation_uuid_to", "conversation_uuid"))
    return next((each for each in found if isinstance(each, str) and each), None)


def rtc_of(fields: Fields) -> tuple[str | None, str | None, str | None]:
    """The type, leg and conversation of an RTC event; None for what it does not tell.

    Its leg is that of its ``channel``, where it has one.
    """
    kind = fields.get("type", fields.get("event_type"))
    conversation = fields.get("conversation_id")
    leg = strict_json.fields(strict_json.fields(fields.get("body")).get("channel")).get("id")
    return (
        kind if isinstance(kind, str) else None,
        leg if isinstance(leg, str) and is_leg_id(leg) else None,
        conversation if isinstance(conversation, str) else None,
    )


def is_about_event(fields: Fields) -> bool:
    """Whether a request to the fallback URL stands in for an event that could not be told, not for an answer."""
    return strict_json.fields(fields.get("original_request")).get("type") == "event"


def time_of(fields: Fields) -> float | None:
    """The ``timestamp`` in Unix seconds; None if there is none that a calendar has."""
    return moment(fields.get("timestamp"))


def moment(value: object) -> float | None:
    """An API time in Unix seconds; one without an offset is UTC. None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def from_query(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields of a webhook that came by GET: all of them text, objects as JSON in one parameter.

    What is no object stays text, as does one that :mod:`voicectl.strict_json` refuses.
    """
    return {name: _nested(value) if name in _NESTED else value for name, value in pairs}


def _nested(text: str) -> Any:
    if not text.startswith("{"):
        return text
    try:
        return strict_json.loads(text, has_unique_keys=True, max_depth=MAX_DEPTH)
    except (ValueError, RecursionError):
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class LegState:
    """What is known of a leg from its events, whichever of them came.

    Attributes:
        status: The farthest that it came; of two final ones the one that tells why it ended.
        reason: The final status other than ``completed`` that was told, if one was.
        was_answered: Whether an event proves that somebody, or a machine, picked up.
        detection: ``human`` or ``machine``; of several the one told last.
        sub_state: Of a machine, the one told last: ``beep_start``, ``beep_timeout``.
        told: Every status that was told.
        fields: Every field that its status events told, the latest value of each.
    """

    uuid: str
    status: str
    reason: str | None
    was_answered: bool
    detection: str | None
    sub_state: str | None
    conversation_uuid: str | None
    told: frozenset[str]
    fields: dict[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether the leg is over."""
        return self.status in FINAL


def fold(uuid: str, events: Iterable[Fields]) -> LegState | None:
    """What the *events* of leg *uuid* add up to; None if none of them tells of its status.

    The result is the same for every order, and with any of them twice.
    """
    told = sorted((each for each in events if leg_of(each) == uuid), key=_order)
    statuses = [each for each in told if kind_of(each) is Kind.STATUS and isinstance(each["status"], str)]
    if not statuses:
        return None
    was_answered = any(map(_proves_answer, statuses))
    reasons = [each["status"] for each in statuses if each["status"] in FINAL - {CallStatus.COMPLETED}]
    if was_answered and any(each["status"] == CallStatus.COMPLETED for each in statuses):
        reasons = []  # why nobody answered is no reason where somebody did
    farthest = max((each["status"] for each in reversed(statuses)), key=rank)
    detections = [each["status"] for each in statuses if each["status"] in (HUMAN, CallStatus.MACHINE)]
    sub_states = [each["sub_state"] for each in statuses if isinstance(each.get("sub_state"), str)]
    conversations = [found for each in told if (found := conversation_of(each))]
    return LegState(
        uuid=uuid,
        status=reasons[0] if reasons else CallStatus.COMPLETED if farthest in FINAL else farthest,
        reason=reasons[0] if reasons else None,
        was_answered=was_answered,
        detection=detections[-1] if detections else None,
        sub_state=sub_states[-1] if sub_states else None,
        conversation_uuid=conversations[-1] if conversations else None,
        told=frozenset(each["status"] for each in statuses),
        fields={name: value for each in statuses for name, value in each.items() if value is not None},
    )


def rank(status: str) -> int:
    """How far a leg with *status* has come; 0 if nobody knows the word."""
    return _RANKS.get(status, 0)


def _order(fields: Fields) -> tuple[float, int, str]:
    """By time, then by how far a status is, then by anything that is always the same."""
    status = fields.get("status")
    how_far = rank(status) if isinstance(status, str) else 0
    return time_of(fields) or 0.0, how_far, json.dumps(fields, sort_keys=True, default=str)


def _proves_answer(fields: Fields) -> bool:
    if fields["status"] in (CallStatus.ANSWERED, HUMAN, CallStatus.MACHINE, DISCONNECTED):
        return True
    try:
        return fields["status"] == CallStatus.COMPLETED and float(fields.get("duration") or 0) > 0
    except (TypeError, ValueError, OverflowError):
        return False
