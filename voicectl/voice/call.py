"""A leg's record, its statuses, and the transitions between them.

A leg's record shows one status at a time. A sequence of statuses is legal if it begins with ``started``, and if
:data:`NEXT` allows each status to follow the previous one::

    started ──> ringing ──> answered ──> machine ──> completed
       │           │            └──────────────────> completed
       └───────────┴──> busy, cancelled, failed, rejected, timeout, unanswered
       └──> answered                     (if the other end picks up without ringing)

Final statuses have no successor. ``machine`` replaces ``answered`` when machine detection recognises a machine.
The other result of machine detection, ``human``, appears only in events; the record still shows ``answered``.

A client rarely sees the whole sequence: polling misses brief statuses, and events may arrive late or not at all. So
:meth:`Call.has_reached` does not rely on the sequence. It infers from the known statuses whether the leg must have
reached a status: ``answered`` implies ``ringing``, ``machine`` and ``human`` imply ``answered``, and every status
implies ``started``. ``completed`` is ambiguous, since the platform also reports this status after ``busy`` or
``timeout``. ``completed`` implies ``ringing``, but implies ``answered`` only in combination with a duration above 0,
or with an event that shows the answer.

The sandbox produces only legal sequences. :mod:`voicectl.voice.event` defines what events prove about a leg.

Source: Voice API reference, "call record" and "status values".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias


class CallStatus(StrEnum):
    """The statuses that a call record can have. ``GET /v1/calls`` can filter calls by these statuses."""

    STARTED = "started"
    RINGING = "ringing"
    ANSWERED = "answered"
    MACHINE = "machine"
    COMPLETED = "completed"
    BUSY = "busy"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    UNANSWERED = "unanswered"


LIVE = (CallStatus.STARTED, CallStatus.RINGING, CallStatus.ANSWERED, CallStatus.MACHINE)
"""The statuses of a leg that has not ended, in the order in which the leg passes through them."""

FINAL = frozenset(CallStatus) - frozenset(LIVE)

HUMAN = "human"
"""The result of machine detection if a person answered. Events report this result, but call records do not."""

Until: TypeAlias = CallStatus | Literal["ended", "human"]
"""A status to wait for. ``ended`` means any final status."""

CONVERSATION_PREFIX = "CON-"
"""The prefix of a conversation id. The rest of the id is a UUID."""

_LEG_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")

_PICKED_UP = frozenset({CallStatus.ANSWERED, CallStatus.MACHINE, HUMAN})

_OTHER_VERDICT = {HUMAN: CallStatus.MACHINE.value, CallStatus.MACHINE.value: HUMAN}

_NOT_REACHED = FINAL - {CallStatus.COMPLETED}

NEXT: dict[CallStatus, frozenset[CallStatus]] = {
    CallStatus.STARTED: _NOT_REACHED | {CallStatus.RINGING, CallStatus.ANSWERED},
    CallStatus.RINGING: _NOT_REACHED | {CallStatus.ANSWERED},
    CallStatus.ANSWERED: frozenset({CallStatus.MACHINE, CallStatus.COMPLETED}),
    CallStatus.MACHINE: frozenset({CallStatus.COMPLETED}),
    **{status: frozenset() for status in FINAL},
}
"""For each status, the statuses that can come next in a leg's record."""


class Region(StrEnum):
    """A region of the platform, named as in an application's settings. Each call exists in only one region.

    Source: Application API v2 reference, ``capabilities.voice.region``.
    """

    NA_EAST = "na-east"
    NA_WEST = "na-west"
    EU_WEST = "eu-west"
    EU_EAST = "eu-east"
    APAC_SNG = "apac-sng"
    APAC_AUSTRALIA = "apac-australia"


class LegAction(StrEnum):
    """Actions for ``PUT /v1/calls/{uuid}`` that are safe to repeat."""

    MUTE = "mute"
    UNMUTE = "unmute"
    EARMUFF = "earmuff"
    UNEARMUFF = "unearmuff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A leg, as the API last described it.

    Attributes:
        uuid: The leg's id, a hyphenated UUID or 32 hex digits.
        status: One of :class:`CallStatus`, or a status that this version of voicectl does not know.
        to: The called endpoint, as an endpoint object, or ``{}`` if the record has none.
        from_: The endpoint object of the caller. It has no number if the caller withheld the number.
        raw: The complete record, as received.
        reported: The statuses that events have reported. :data:`HUMAN` may be one of them.
    """

    uuid: str
    status: str
    direction: str
    conversation_uuid: str
    to: dict[str, Any]
    from_: dict[str, Any]
    duration: str | None
    raw: dict[str, Any]
    reported: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Call:
        """Create a call from an API record. Only the field ``uuid`` is required.

        Raises:
            ValueError: The field ``uuid`` is missing, empty or not a string.
        """
        uuid = raw.get("uuid")
        if not isinstance(uuid, str) or not uuid:
            raise ValueError("a call record without a uuid")
        duration = raw.get("duration")
        return cls(
            uuid=uuid,
            status=_text(raw.get("status")),
            direction=_text(raw.get("direction")),
            conversation_uuid=_text(raw.get("conversation_uuid")),
            to=_party(raw.get("to")),
            from_=_party(raw.get("from")),
            duration=None if duration is None else str(duration),
            raw=raw,
        )

    @property
    def is_final(self) -> bool:
        """True if the leg has ended."""
        return self.status in FINAL

    @property
    def was_answered(self) -> bool:
        """True if the record or an event proves that a person or a machine answered."""
        if not self._been.isdisjoint(_PICKED_UP):
            return True
        return self.status == CallStatus.COMPLETED and _is_positive(self.duration)

    def has_reached(self, until: Until) -> bool:
        """Return True if the leg has reached the status *until*, even if the leg now has another status.

        ``completed`` can also follow ``busy`` or ``timeout``. Therefore, ``completed`` proves that the leg rang, but
        it proves that the leg was answered only if ``duration`` is above 0.
        """
        if until == "ended":
            return self.is_final
        if until in self._been or until == CallStatus.STARTED:
            return True
        if until == CallStatus.RINGING:
            return not self._been.isdisjoint(_PICKED_UP | {CallStatus.COMPLETED})
        return until == CallStatus.ANSWERED and self.was_answered

    def rules_out(self, until: Until) -> bool:
        """Return True if the leg cannot reach *until* because machine detection reported the opposite result."""
        return _OTHER_VERDICT.get(until) in self._been

    @property
    def _been(self) -> frozenset[str]:
        return self.reported | {self.status}


def is_leg_id(text: str) -> bool:
    """Return True if *text* has the format of a full leg id: a hyphenated UUID or 32 hex digits."""
    return _LEG_ID.fullmatch(text) is not None


def is_conversation_id(text: str) -> bool:
    """Return True if *text* has the format of a conversation id: ``CON-`` followed by a UUID."""
    return text.startswith(CONVERSATION_PREFIX) and is_leg_id(text.removeprefix(CONVERSATION_PREFIX))


def plain(uuid: str) -> str:
    """Return *uuid*, a leg id or the beginning of one, without hyphens and in lower case."""
    return uuid.replace("-", "").lower()


def hyphenated(uuid: str) -> str:
    """Return *uuid*, a leg's id, in the form used for comparing ids.

    A UUID is returned hyphenated and in lower case, as the platform usually writes it. An id of any other form is
    returned unchanged.
    """
    if not is_leg_id(uuid):
        return uuid
    digits = plain(uuid)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def spellings(uuid: str) -> list[str]:
    """Return all ids that may stand for the same leg as the leg id *uuid*, beginning with *uuid* itself.

    The platform's ids are in lower case, most of them with hyphens, and those of some inbound legs without. Copied
    from another program, an id may have lost its hyphens, or have gained hyphens or capitals. An id that is not a
    UUID has only one spelling.
    """
    if not is_leg_id(uuid):
        return [uuid]
    usual = [hyphenated(uuid), plain(uuid)]
    return list(dict.fromkeys([uuid, *(usual if "-" in uuid else reversed(usual))]))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _party(value: object) -> dict[str, Any]:
    """Return *value* as an endpoint object.

    In old records, *value* is an array that contains the object. In some other records, *value* is only a number.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        return value
    return {"number": value} if isinstance(value, str) else {}


def _is_positive(duration: str | None) -> bool:
    try:
        return float(duration or 0) > 0
    except ValueError:
        return False
