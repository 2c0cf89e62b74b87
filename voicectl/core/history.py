"""Merging a leg's stored events with the leg's record in the API.

Events arrive immediately, while the API is polled only once a second. Events also report facts that the API never
reports: whether a human answered, and why a call ended. Apart from the status, the fields of the API's record are not
changed: events only fill in fields that the record lacks. The merged status is the status in the record or the status
from the events, whichever comes later in the course of a call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from voicectl.errors import InputError, VoicectlError
from voicectl.store.events import Query, Route
from voicectl.voice import endpoint
from voicectl.voice.call import Call, CallStatus, hyphenated, plain, spellings
from voicectl.voice.event import Kind, fold, rank

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterable, Iterator

    from voicectl.store.events import EventStore, Stored
    from voicectl.voice.event import LegState

    Fields = dict[str, Any]

_PARTIES = ("from", "to")
_FILLED = (
    "direction",
    "start_time",
    "end_time",
    "duration",
    "rate",
    "price",
    "network",
    "detail",
    "sip_code",
    "disconnected_by",
)
"""The fields of status events that are added to a record if the record lacks them."""


class StatusSource(StrEnum):
    """The source of a status."""

    API = "api"
    EVENT = "event"
    UNSIGNED = "unsigned event"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary:
    """The state of a leg according to its events.

    Attributes:
        state: The state of the leg according to all its events, signed or not.
        verified: The state of the leg according to its signed events alone, or None if no signed event reports a
            status.
    """

    state: LegState
    verified: LegState | None

    @classmethod
    def read(cls, uuid: str, events: Iterable[Stored]) -> EventSummary | None:
        """Return a summary of the *events* of a leg, or None if none of the events reports a status."""
        found = list(events)
        state = fold(uuid, [each.arrival.fields for each in found])
        if state is None:
            return None
        signed = [each.arrival.fields for each in found if each.arrival.is_signed]
        return cls(state=state, verified=state if len(signed) == len(found) else fold(uuid, signed))

    @property
    def source(self) -> StatusSource:
        """The source of the status: ``EVENT`` if signed events alone give the same status, ``UNSIGNED`` if not."""
        return _source(self.verified is not None and self.verified.status == self.state.status)

    @property
    def detection_source(self) -> StatusSource:
        """The source of the machine detection result, determined in the same way as :attr:`source`."""
        return _source(self.verified is not None and self.verified.detection == self.state.detection)

    def alone(self) -> Call:
        """Return a call record for the leg, built from its events alone."""
        state = self.state
        raw = _filled({"uuid": state.uuid, "status": state.status}, self) | {
            "status_source": self.source.value
        }
        return replace(Call.from_json(raw), reported=_reported(state, was_answered=state.was_answered))

    def contradicts(self, call: Call) -> str | None:
        """Return a message about how the events contradict the API record *call*, or None if they do not.

        The events contradict the record if they report an end that the record does not report, or a different end. If
        one source gives a reason such as ``busy`` and the other says only ``completed``, there is no contradiction
        unless the call was answered.
        """
        state = self.state
        if not state.is_final or state.status == call.status:
            return None
        is_end_of_both = call.is_final and CallStatus.COMPLETED in (call.status, state.status)
        if is_end_of_both and not _is_denied(call, state):  # one gives the reason, the other only the end
            return None
        return f"The API reports {call.status}, but an {self.source.value} reports {state.status}."


class History:
    """The stored events of one application.

    If the event store fails, this is reported once, and the store is not used again.

    Args:
        open_: A function that opens the event store. It is called when the store is first used.
        on_trouble: A function that is called with a warning when the store fails.
        is_needed: True if nothing can replace the events. Then the store's errors are raised instead, and the store
            is used again.
    """

    def __init__(
        self, open_: Callable[[], EventStore], on_trouble: Callable[[str], None], *, is_needed: bool = False
    ) -> None:
        self._open = open_
        self._on_trouble = on_trouble
        self._is_needed = is_needed
        self._events: EventStore | None = None
        self._has_failed = False

    def leg(self, uuid: str) -> EventSummary | None:
        """Return the summary of a leg's events, or None if no event reports the leg's status."""
        for name in forms(uuid):
            if found := self._find(Query(leg=name, kinds=(Kind.STATUS, Kind.TRANSFER))):
                return EventSummary.read(name, found)
        return None

    def knows(self, uuid: str) -> bool:
        """Return True if *uuid* is a leg's id in stored events, spelled exactly so. The id may have any form."""
        return bool(self._find(Query(leg=uuid, last=1)))

    def seen(self, call: Call) -> Call:
        """Return an API record merged with the stored events of the same leg."""
        return self.merged(call, self.leg(call.uuid))

    @staticmethod
    def merged(call: Call, reported: EventSummary | None) -> Call:
        """Return an API record merged with the summary of the same leg's events.

        The result has a ``status_source`` and the fields that only events report. A leg has ended if the record or
        the events say so. If both say so, the result has the record's status, with one exception: the platform may
        report ``completed`` after a status such as ``busy``, which gives the reason. So if the record's status is
        ``completed``, the call was not answered, and events give a reason, the result has the status from the events.

        Args:
            call: The API record.
            reported: The summary, or None if there are no events.
        """
        if reported is None:
            return replace(call, raw=call.raw | {"status_source": StatusSource.API.value})
        state = reported.state
        is_from_events = _is_farther(state, call)
        raw = _filled(call.raw, reported)
        raw["status"] = state.status if is_from_events else call.status
        raw["status_source"] = (reported.source if is_from_events else StatusSource.API).value
        was_answered = state.was_answered or call.was_answered
        return replace(
            Call.from_json(raw), reported=_reported(state, was_answered=was_answered) | {call.status}
        )

    def keys(self, uuid: str, reference: str) -> str:
        """Return the keys that were pressed on a leg, in order, as reported to the URL that contains *reference*."""
        found = self._find(Query(leg=uuid, kinds=(Kind.INPUT,)))
        pressed = (each.arrival.fields.get("dtmf") for each in found if each.arrival.reference == reference)
        digits = (each.get("digits") if isinstance(each, dict) else each for each in pressed)
        return "".join(each for each in digits if isinstance(each, str))

    def proof(self, reference: str, to: str) -> Call | None:
        """Return the call with the reference *reference* if signed events prove that the call exists.

        The reference is part of the call's ``event_url``. Events about the legs that the call connects may be sent to
        this URL too, so events about several legs may have the reference. The call is proved to exist if exactly one
        of these legs is outbound and calls *to*. If none calls *to*, for example because the number is written in
        another way, exactly one of the legs must be outbound. Without such proof, the result is None.

        Args:
            reference: The reference of the call's intent.
            to: The number, URI, user or extension that the intent calls.
        """
        found = self._find(Query(reference=reference, kinds=(Kind.STATUS,)))
        signed = (each for each in found if each.arrival.is_signed and each.arrival.route is Route.EVENT)
        reported = summaries(signed).values()
        outbound = [each for each in reported if each.state.fields.get("direction", "outbound") == "outbound"]
        rung = [each for each in outbound if endpoint.is_same(each.state.fields.get("to"), to)]
        legs = rung or outbound
        return legs[0].alone() if len(legs) == 1 else None

    def _find(self, query: Query) -> list[Stored]:
        if self._has_failed:
            return []
        try:
            if self._events is None:
                self._events = self._open()
            return list(self._events.find(query))
        except VoicectlError as exc:
            if self._is_needed:
                raise
            self._has_failed = True
            self._on_trouble(f"warning: continuing without the event store: {exc.message}")
            return []


def legs_that_begin(events: EventStore, text: str) -> Iterator[Call]:
    """Yield call records, built from stored events, for the legs whose ids begin with *text*.

    Args:
        events: The event store.
        text: A prefix of the ids: hexadecimal digits and hyphens.
    """
    begins = dict.fromkeys((text, text.lower(), plain(text), _with_hyphens(plain(text))))
    for uuid, found in _by_leg(chain.from_iterable(events.find(Query(leg_begins=each)) for each in begins)):
        reported = EventSummary.read(uuid, found)
        yield Call.from_json({"uuid": uuid, "status": "unknown"}) if reported is None else reported.alone()


def summaries(events: Iterable[Stored]) -> dict[str, EventSummary]:
    """Return a summary of each leg's events, by leg id. Legs without a status event are left out."""
    legs = ((uuid, EventSummary.read(uuid, found)) for uuid, found in _by_leg(events))
    return {uuid: reported for uuid, reported in legs if reported is not None}


def region_url(events: EventStore, uuid: str) -> str | None:
    """Return the ``region_url`` of a leg's latest answer webhook that has this field, or None if none has it.

    The value comes from outside, and is not checked here.
    """
    for name in forms(uuid):
        for stored in reversed(list(events.find(Query(leg=name, kinds=(Route.ANSWER,))))):
            url = stored.arrival.fields.get("region_url")
            if isinstance(url, str):
                return url
    return None


def is_stored(events: EventStore, text: str) -> bool:
    """Return True if *text* is a leg's id in stored events. The platform's ids may have any form."""
    return bool(text) and any(True for _ in events.find(Query(leg=text, last=1)))


def is_conversation(events: EventStore, text: str) -> bool:
    """Return True if *text* is a conversation's id in stored events. The platform's ids may have any form."""
    return any(True for _ in events.find(Query(conversation=text, last=1)))


def known_as(events: EventStore, uuid: str) -> str:
    """Return a leg's full id in the form used in the event store, or *uuid* if the store has no events about it."""
    return next((name for name in forms(uuid) if any(events.find(Query(leg=name, last=1)))), uuid)


def forms(uuid: str) -> list[str]:
    """Return the forms in which a leg's id may be stored: the given form and, for a UUID, other spellings."""
    return spellings(uuid)


def leg_key(uuid: str) -> str:
    """Return a leg's id in the form used for comparing ids. An id that is not a UUID is returned unchanged."""
    return hyphenated(uuid)


def _with_hyphens(digits: str) -> str:
    """Return the beginning of a UUID, given as hex digits, with the hyphens that a UUID has there."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).rstrip("-")


def _by_leg(events: Iterable[Stored]) -> ItemsView[str, list[Stored]]:
    legs: dict[str, list[Stored]] = {}
    for stored in events:
        if stored.arrival.leg is not None:
            legs.setdefault(stored.arrival.leg, []).append(stored)
    return legs.items()


def _is_farther(state: LegState, call: Call) -> bool:
    """Return True if the merged record should take its status from the events rather than from the API record."""
    if call.is_final:
        return _is_reason(call, state)
    if state.is_final or not call.status:
        return True
    return 0 < rank(call.status) < rank(state.status)


def _is_reason(call: Call, state: LegState) -> bool:
    """Return True if events give the reason why a call ended, while the record shows only that it is completed."""
    return call.status == CallStatus.COMPLETED and state.reason is not None and not _is_denied(call, state)


def _is_denied(call: Call, state: LegState) -> bool:
    """Return True if events give a reason why a call was not answered, but other reports show an answered call."""
    return state.reason is not None and (call.was_answered or state.was_answered)


def _filled(raw: Fields, reported: EventSummary) -> Fields:
    """Return a copy of the API record *raw*, with missing fields filled in from the events in *reported*."""
    state = reported.state
    fields = {name: state.fields[name] for name in _FILLED if name in state.fields}
    fields |= {name: _party(state.fields[name]) for name in _PARTIES if name in state.fields}
    if state.conversation_uuid is not None:
        fields["conversation_uuid"] = state.conversation_uuid
    if state.reason is not None:
        fields["reason"] = state.reason
    if state.sub_state is not None:
        fields["sub_state"] = state.sub_state
    if state.detection is not None:
        fields |= {"detection": state.detection, "detection_source": reported.detection_source.value}
    return raw | {name: value for name, value in fields.items() if raw.get(name) in (None, "")}


def _party(value: object) -> object:
    """Convert the ``to`` or ``from`` value of an event to an endpoint object, which is the format in call records."""
    if not isinstance(value, str):
        return value
    try:
        return endpoint.shown(endpoint.parse(value))
    except InputError:
        return {"number": value}


def _reported(state: LegState, *, was_answered: bool) -> frozenset[str]:
    return state.reported | ({CallStatus.ANSWERED} if was_answered else set())


def _source(is_verified: bool) -> StatusSource:
    return StatusSource.EVENT if is_verified else StatusSource.UNSIGNED
