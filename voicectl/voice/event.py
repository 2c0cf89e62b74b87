"""Functions that classify the call events from webhooks, and that derive the state of a leg from its events.

Webhooks may arrive out of order, twice, or not at all. So :func:`fold` does not apply one event after another. Its
result depends only on the *set* of events, not on their order or on repetitions. The function follows these rules:

- Statuses have ranks: started < ringing < answered < human and machine < disconnected < final statuses. The leg's
  status is the reported status with the highest rank, so a late ``ringing`` does not replace ``answered``.
- A leg ends only once, but two final statuses may be reported: ``completed``, and a status that gives the reason why
  the leg ended (``busy``, ``timeout``, ``failed`` ...). The leg's status is then the reason, not ``completed``.
  However, if one event proves that the leg was answered and another event reports ``completed``, the reason is
  ignored, and the leg's status is ``completed``.
- ``answered``, ``human``, ``machine`` and ``disconnected`` prove that the leg was answered. ``completed`` proves an
  answer only if the event has a duration above 0.
- ``detail`` and ``sip_code`` explain a status, so they come from the event that reports the leg's status.
- All other fields, such as the result of machine detection and the conversation, take their values from the latest
  event that contains them. Events are ordered by their own timestamps, not by the time of receipt. Events with the
  same timestamp are ordered by rank, then by content, so that their order is always the same.

:mod:`voicectl.voice.call` defines which sequences of statuses are legal. This module does not require complete
sequences.

Source: Vonage webhook reference, "call status events", "action events" and "router order".
"""

from __future__ import annotations

import json
import re
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
    """The kinds of call events."""

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
"""The kind of event that each field indicates. If an event contains several of these fields, the first one decides.

The order matters: for example, ``transcribed`` events also contain ``status``.
"""

_NESTED = frozenset({"dtmf", "speech", "payload", "headers", "custom_data", "original_request", "body"})
"""The fields whose values are JSON text in the query of a webhook sent by GET."""

LEG_STATUS = "leg:status:update"
"""The type of the RTC event that reports the status of a leg."""

_NUMBERS = frozenset({"sip_code", "size", "id"})
"""The fields whose values are integers. In the query of a webhook sent by GET, these values are text."""

_EXPLAINING = frozenset({"detail", "sip_code"})
"""The fields that explain the status in the same event."""

_BRACKETS = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\]){1,10})")
_BRACKETED = re.compile(r"\[([^\[\]]+)\]")
_INTEGER = re.compile("0|[1-9][0-9]{0,14}")

MAX_DEPTH = 100
"""The maximum nesting depth of an event's fields, in levels. The platform's own fields have five levels."""

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
    """Return the kind of an event, as indicated by the event's *fields*.

    The field ``reason`` normally indicates an ``error`` event. In a request to the fallback URL, however, it only
    says why the original request failed.
    """
    kind = next((kind for name, kind in _ROUTER if name in fields), Kind.UNKNOWN)
    return Kind.UNKNOWN if kind is Kind.ERROR and "original_request" in fields else kind


def leg_of(fields: Fields) -> str | None:
    """Return the id of an event's leg, or None if the event has no leg id.

    The id is in the field ``uuid`` or, for the statuses ``human`` and ``machine``, in ``call_uuid``. The
    format of the id is not checked. Check it before you use the id for anything except a comparison.
    """
    return _first_text(fields.get(name) for name in ("uuid", "call_uuid"))


def conversation_of(fields: Fields) -> str | None:
    """Return the id of an event's conversation, or None if the event has no such id.

    For a transfer, this is the id of the leg's new conversation.
    """
    return _first_text(fields.get(name) for name in ("conversation_uuid_to", "conversation_uuid"))


def rtc_of(fields: Fields) -> tuple[str | None, str | None, str | None]:
    """Return the type, leg id and conversation id of an RTC event, that is, an event from the Conversation API.

    Each value is None if the event does not contain it. The leg id is in ``body.leg_id`` for ``leg:status:update``,
    in ``body.rtc_id`` for muting and earmuffing, and in ``body.channel`` for all other types.
    """
    kind = fields.get("type", fields.get("event_type"))
    kind = kind if isinstance(kind, str) else None
    conversation = fields.get("conversation_id")
    return kind, _rtc_leg(kind or "", fields), conversation if isinstance(conversation, str) else None


def _rtc_leg(kind: str, fields: Fields) -> str | None:
    body = strict_json.fields(fields.get("body"))
    channel = strict_json.fields(body.get("channel") or fields.get("channel"))
    legs = channel.get("legs")
    first = strict_json.fields(legs[0] if isinstance(legs, list) and legs else None)
    named = {LEG_STATUS: "leg_id"}.get(kind)
    if kind.startswith(("audio:mute:", "audio:earmuff:")):
        named = "rtc_id"
    own = None if named is None else body.get(named)
    found = [each for each in (own, channel.get("id"), first.get("leg_id")) if isinstance(each, str) and each]
    if own in found:
        return found[0]
    return next(filter(is_leg_id, found), found[0] if found else None)


def _first_text(found: Iterable[object]) -> str | None:
    """Return the first value in *found* that is text and not empty, or None."""
    return next((each for each in found if isinstance(each, str) and each), None)


def is_about_event(fields: Fields) -> bool:
    """Return True if a request to the fallback URL replaces a failed event webhook, not a failed answer webhook."""
    return strict_json.fields(fields.get("original_request")).get("type") == "event"


def time_of(fields: Fields) -> float | None:
    """Return an event's ``timestamp`` in Unix seconds, or None if the field is absent or invalid."""
    return moment(fields.get("timestamp"))


def moment(value: object) -> float | None:
    """Convert a timestamp from the API to Unix seconds, or return None if *value* is not a timestamp.

    A timestamp without an offset is interpreted as UTC.
    """
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def from_query(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields in the query of a webhook sent by GET, with nested objects and integers decoded.

    A nested object is JSON text in one parameter, or has a parameter for each value, such as ``dtmf[digits]``. A
    nested value that is not an object, or that :mod:`voicectl.strict_json` rejects, remains a string.
    """
    return {name: _decoded(name, value) for name, value in gathered(pairs).items()}


def gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters as a dict in which names with brackets, such as ``dtmf[digits]``, are nested dicts.

    Brackets are interpreted only in the names of event fields that can contain nested values. If a name occurs more
    than once, the last value is kept.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        parts = _BRACKETS.fullmatch(name)
        if parts is None or parts[1] not in _NESTED:
            found[name] = value
            continue
        place, inner = found, parts[1]
        for key in _BRACKETED.findall(parts[2]):
            if not isinstance(place.get(inner), dict):
                place[inner] = {}
            place, inner = place[inner], key
        place[inner] = value
    return {name: _with_lists(value) for name, value in found.items()}


def _with_lists(value: Any) -> Any:
    """Convert each dict in *value* whose keys are 0, 1, 2 and so on to a list."""
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(each) for key, each in value.items()}
    return list(inner.values()) if [*inner] == [str(each) for each in range(len(inner))] else inner


def _decoded(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in _NUMBERS and _INTEGER.fullmatch(value):
        return int(value)
    return decoded_object(value) if name in _NESTED else value


def decoded_object(text: str) -> Any:
    """Return *text* as an object if it is a JSON object, or unchanged if it is not."""
    if not text.startswith("{"):
        return text
    try:
        return strict_json.loads(text, has_unique_keys=True, max_depth=MAX_DEPTH)
    except (ValueError, RecursionError):
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class LegState:
    """The state of a leg according to the events received.

    Attributes:
        status: The same as ``reason``. If ``reason`` is None, this is the reported status with the highest rank.
        reason: The final status other than ``completed`` that says why the leg ended, or None.
        was_answered: True if an event proves that a person or a machine answered.
        detection: The latest result of machine detection (``human`` or ``machine``), or None.
        sub_state: The latest sub-state of a detected machine (``beep_start`` or ``beep_timeout``), or None.
        reported: All statuses that the events report.
        fields: The latest value of each field in the status events, but ``detail`` and ``sip_code`` only from an
            event that reports *status*.
    """

    uuid: str
    status: str
    reason: str | None
    was_answered: bool
    detection: str | None
    sub_state: str | None
    conversation_uuid: str | None
    reported: frozenset[str]
    fields: dict[str, Any]

    @property
    def is_final(self) -> bool:
        """True if the leg has ended."""
        return self.status in FINAL


def fold(uuid: str, events: Iterable[Fields]) -> LegState | None:
    """Return the state of leg *uuid* according to *events*, or None if no event reports a status for the leg.

    The result does not depend on the order of the events or on repeated events.
    """
    reported = sorted((each for each in events if leg_of(each) == uuid), key=_order)
    statuses = [each for each in reported if kind_of(each) is Kind.STATUS and isinstance(each["status"], str)]
    if not statuses:
        return None
    was_answered = any(map(_proves_answer, statuses))
    reasons = [each["status"] for each in statuses if each["status"] in FINAL - {CallStatus.COMPLETED}]
    if was_answered and any(each["status"] == CallStatus.COMPLETED for each in statuses):
        reasons = []  # reasons for a missing answer do not apply to an answered leg
    farthest = max((each["status"] for each in reversed(statuses)), key=rank)
    detections = [each["status"] for each in statuses if each["status"] in (HUMAN, CallStatus.MACHINE)]
    sub_states = [each["sub_state"] for each in statuses if isinstance(each.get("sub_state"), str)]
    conversations = [found for each in reported if (found := conversation_of(each))]
    status = reasons[0] if reasons else CallStatus.COMPLETED if farthest in FINAL else farthest
    return LegState(
        uuid=uuid,
        status=status,
        reason=reasons[0] if reasons else None,
        was_answered=was_answered,
        detection=detections[-1] if detections else None,
        sub_state=sub_states[-1] if sub_states else None,
        conversation_uuid=conversations[-1] if conversations else None,
        reported=frozenset(each["status"] for each in statuses),
        fields={
            name: value
            for each in statuses
            for name, value in each.items()
            if value is not None and (name not in _EXPLAINING or each["status"] == status)
        },
    )


def rank(status: str) -> int:
    """Return the rank of *status*. Later statuses have higher ranks; unknown statuses have rank 0."""
    return _RANKS.get(status, 0)


def _order(fields: Fields) -> tuple[float, int, str]:
    """Return a sort key that orders events by time, then by the rank of their status, then by content."""
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
