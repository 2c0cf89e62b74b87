"""The entries of a timeline, which come from the API, webhook events, the journal and the action log.

Each :class:`Happening` is one report from one source, or the result of merging several reports of the same thing.
Speech and keypresses may be secret, and users share traces. So an entry contains only the number of words or keys.
The words and keys themselves stay in the event store, under the event's id.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from voicectl import strict_json
from voicectl.core.history import leg_key
from voicectl.store.action_log import REGION
from voicectl.store.events import Route
from voicectl.store.journal import IntentState
from voicectl.voice.call import CallStatus
from voicectl.voice.conversation import is_generated
from voicectl.voice.event import Kind, is_about_event, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from voicectl.store.action_log import Note
    from voicectl.store.events import Arrival, Stored
    from voicectl.store.journal import Intent
    from voicectl.voice.call import Call

MAX_TEXT = 160
"""The maximum length of a text in a trace, in characters. The event store contains the full texts of events."""

CREATE = "create"
DONE = "done"
ALREADY = "already"
UNKNOWN = "unknown"

_STATUS_FACTS = ("sub_state", "detail", "duration", "disconnected_by", "sip_code")
_ADDED_BY_FALLBACK = ("reason", "original_request")
_FACTS: dict[str, tuple[str, ...]] = {
    Kind.STATUS: _STATUS_FACTS,
    Kind.RECORD: ("recording_uuid", "size"),
    Kind.TRANSCRIBED: ("recording_uuid",),
    Kind.NOTIFY: ("payload",),
    Kind.ERROR: ("reason",),
    Route.ANSWER: ("from", "from_user", "to"),
    Route.FALLBACK: ("reason",),
    Route.RTC: ("from", "reason"),
}
_FIRST_TIME = -62_135_596_800.0
_LAST_TIME = 253_402_300_799.0  # the end of the year 9999; _FIRST_TIME is the start of the year 1


class Source(StrEnum):
    """A source of reports. ``HERE`` is this machine's action log."""

    API = "api"
    EVENT = "event"
    UNSIGNED = "unsigned event"
    JOURNAL = "journal"
    HERE = "here"


_SOURCES = list(Source)


class Sort(IntEnum):
    """The kind of an entry. Kinds help to put causes before their effects, even if the sources' clocks disagree."""

    ASKED = 0
    SETTLED = 1
    STATUS = 2
    ACTION = 3
    OTHER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened to a leg, or in a conversation.

    Attributes:
        at: The time in Unix seconds, on the source's clock, or None if no source gives a time.
        by: The time by which the thing had happened, in Unix seconds, if only that is known; otherwise None.
        uuid: The id of the leg, or None if the entry is not about a leg. The id has the form of :func:`.leg_key`
            until :meth:`.Trace.called` changes it to the form in which it was reported.
        what: A status, a kind of event, or an action that a user requested on this machine, such as ``mute``.
        identity: A value that is equal in all reports of the same thing.
        facts: The details, as a mapping of names to texts.
        conversation: The id of the conversation in which the thing happened, or to which the leg was moved.
        left: The id of the conversation that the leg left, or None if it left none.
        outcome: The outcome of an action, such as ``done``, ``already``, ``unknown`` or ``failed``.
        events: The ids of the events that reported the thing.
        repeats: The number of times that these events were received again.
        number: The number of an RTC event in its conversation, or None for all other entries.
        reference: The reference of the call if this machine requested the call; otherwise None.
    """

    sort: Sort
    at: float | None = None
    by: float | None = None
    uuid: str | None
    what: str
    identity: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    conversation: str | None = None
    left: str | None = None
    outcome: str | None = None
    sources: tuple[Source, ...]
    events: tuple[int, ...] = ()
    repeats: int = 0
    number: int | None = None
    reference: str | None = None

    @property
    def is_ours(self) -> bool:
        """True if the entry's time was taken from this machine's clock."""
        return self.sources[0] in (Source.JOURNAL, Source.HERE)

    @property
    def time(self) -> float:
        """The time in Unix seconds: *at* or, if that is None, *by*. If both are None, the time is infinity."""
        known = self.at if self.at is not None else self.by
        return math.inf if known is None else known

    @property
    def key(self) -> tuple[Any, ...]:
        """The entry's sort key, for a total order that does not depend on the order in which reports are read.

        RTC events with the same time are ordered by their numbers, and then by their ids in the event store.
        """
        return (
            self.time,
            self.sort,
            (-1,) if self.number is None else (self.number, *self.events),
            self.uuid or "",
            self.what,
            self.identity,
            [_SOURCES.index(each) for each in self.sources],
            self.events,
            json.dumps([dict(self.facts), self.outcome, self.reference, self.conversation], sort_keys=True),
        )


def of_call(call: Call, asked_at: float) -> Iterator[Happening]:
    """Yield the entries for a leg's API record.

    One entry is for the leg's status. If an ended leg was answered, another entry says so.

    Args:
        asked_at: The time at which the API returned the record, in Unix seconds.
    """
    uuid = leg_key(call.uuid)
    conversation = call.conversation_uuid or None

    def status(what: str, at: float | None, facts: dict[str, str]) -> Happening:
        return Happening(
            sort=Sort.STATUS,
            at=at,
            by=asked_at if at is None else None,
            uuid=uuid,
            what=what,
            identity=("api", what),
            facts=facts,
            conversation=conversation,
            sources=(Source.API,),
        )

    began = _calendar(moment(call.raw.get("start_time")))
    if call.is_final and call.was_answered and began is not None:
        yield status(CallStatus.ANSWERED, began, {})
    if call.status:
        ended = _calendar(moment(call.raw.get("end_time"))) if call.is_final else None
        yield status(_cut(call.status), ended, _facts(call.raw, _STATUS_FACTS))


def of_event(stored: Stored) -> Happening:
    """Return the entry for a stored event."""
    arrival = stored.arrival
    fields = arrival.fields
    at = _calendar(arrival.told)
    sort, what, identity = _identified(arrival, at)
    found = Happening(
        sort=sort,
        at=at,
        by=_calendar(arrival.received) if at is None else None,
        uuid=None if arrival.leg is None else leg_key(arrival.leg),
        what=what,
        identity=identity,
        facts=_event_facts(arrival.kind, fields),
        conversation=arrival.conversation,
        left=arrival.conversation_from,
        sources=(Source.EVENT if arrival.is_signed else Source.UNSIGNED,),
        events=(stored.id,),
        repeats=stored.repeats,
    )
    if arrival.kind != Route.RTC:
        return found
    number, body = fields.get("id"), strict_json.fields(fields.get("body"))
    left = body.get("transferred_from")
    return replace(
        found,
        number=number if isinstance(number, int) else 0,
        left=left if isinstance(left, str) and left else None,
        facts={**found.facts, **_rtc_facts(body)},
    )


def of_note(note: Note) -> Happening:
    """Return the entry for an action in the action log."""
    facts = {each: _cut(_text(value)) for each, value in note.detail.items()}
    detail = json.dumps(note.detail, sort_keys=True, default=str)
    if note.outcome != DONE:
        facts = {"outcome": _cut(note.outcome)} | facts
    return Happening(
        sort=Sort.OTHER if note.what == REGION else Sort.ACTION,
        at=_calendar(note.at),
        uuid=leg_key(note.uuid),
        what=_cut(note.what),
        identity=(repr(note.at), note.what, note.outcome, detail),
        facts=facts,
        outcome=note.outcome,
        sources=(Source.HERE,),
    )


def of_intent(intent: Intent, uuid: str | None) -> Iterator[Happening]:
    """Yield the entries for a requested call: the request and, unless it is still in progress, its outcome.

    Args:
        uuid: The id of the leg that the request created, or None if the leg is not known.
    """
    leg = None if uuid is None else leg_key(uuid)

    def reported(
        sort: Sort, at: float | None, what: str, facts: dict[str, str | None], outcome: str
    ) -> Happening:
        return Happening(
            sort=sort,
            at=_calendar(at),
            uuid=leg,
            what=what,
            identity=(intent.reference, what),
            facts={each: _cut(value) for each, value in facts.items() if value},
            outcome=outcome,
            sources=(Source.JOURNAL,),
            reference=intent.reference,
        )

    is_open = intent.state is IntentState.INTENT
    asked = {"to": intent.to, "from": intent.from_}
    yield reported(Sort.ASKED, intent.asked_at, CREATE, asked, UNKNOWN if is_open else DONE)
    if not is_open:
        found = {"certainty": intent.certainty, "reason": intent.reason}
        outcome = UNKNOWN if intent.state.is_open else DONE
        yield reported(Sort.SETTLED, intent.settled_at, intent.state.value, found, outcome)


def merged(same: Iterable[Happening]) -> Happening:
    """Merge several reports of the same thing into one. The result does not depend on the order of the reports.

    Values from events and the journal are preferred: an event has more details than an API record, and the journal
    has more than the action log.
    """
    every = sorted(same, key=lambda each: (not each.events and each.reference is None, each.key))
    first = every[0]
    if len(every) == 1:
        return first
    at = next((each.at for each in every if each.at is not None), None)
    facts: dict[str, str] = {}
    for each in every:
        facts = dict(each.facts) | facts
    bys = [each.by for each in every if each.by is not None]
    return replace(
        first,
        at=at,
        by=None if at is not None else min(bys, default=None),
        facts=facts,
        conversation=next((each.conversation for each in every if each.conversation), None),
        left=next((each.left for each in every if each.left), None),
        sources=tuple(sorted({source for each in every for source in each.sources}, key=_SOURCES.index)),
        events=tuple(sorted({number for each in every for number in each.events})),
        repeats=sum({each.events: each.repeats for each in every}.values()),
        reference=next((each.reference for each in every if each.reference), None),
    )


def _identified(arrival: Arrival, at: float | None) -> tuple[Sort, str, tuple[str, ...]]:
    """Return the kind, the name and the identity of the entry for an event."""
    fields = arrival.fields
    if arrival.kind == Kind.STATUS and arrival.leg is not None and arrival.status is not None:
        reported = ("status", arrival.status, _text(fields.get("sub_state") or ""))
        return Sort.STATUS, _cut(arrival.status), reported if at is None else (*reported, repr(at))
    what = arrival.status if arrival.kind in (Kind.STATUS, Route.RTC) and arrival.status else arrival.kind
    if is_about_event(fields):  # the fallback URL received an event that the event URL did not accept
        fields = {each: value for each, value in fields.items() if each not in _ADDED_BY_FALLBACK}
    whole = json.dumps(fields, sort_keys=True, default=str) if fields else arrival.key.hex()
    return Sort.OTHER, _cut(what), (arrival.kind, whole)


def _event_facts(kind: str, fields: Mapping[str, Any]) -> dict[str, str]:
    if kind == Kind.INPUT:
        return _pressed(fields.get("dtmf")) | _spoken(fields.get("speech"))
    if kind == Kind.TRANSFER:
        ends = {"from": fields.get("conversation_uuid_from"), "to": fields.get("conversation_uuid_to")}
        return {each: _cut(_text(value)) for each, value in ends.items() if value is not None}
    if kind == Kind.UNKNOWN:
        return {"fields": _cut(" ".join(map(str, fields)))} if fields else {}
    return _facts(fields, _FACTS.get(kind, ()))


def _rtc_facts(body: Mapping[str, Any]) -> dict[str, str]:
    found = _facts(body, ("status", "name", "recording_id", "size"))
    if is_generated(found.get("name", "")):
        del found["name"]
    reason = strict_json.fields(body.get("reason"))
    for each in ("text", "code"):
        if isinstance(reason.get(each), str):
            return found | {"reason": _cut(reason[each])}
    return found


def _pressed(dtmf: object) -> dict[str, str]:
    digits = dtmf.get("digits") if isinstance(dtmf, dict) else dtmf
    found = {"keys": str(len(digits))} if isinstance(digits, str) else {}
    if isinstance(dtmf, dict) and dtmf.get("timed_out") is True:
        found["timed_out"] = "true"
    return found


def _spoken(speech: object) -> dict[str, str]:
    if not isinstance(speech, dict):
        return {}
    results = speech.get("results")
    best = results[0] if isinstance(results, list) and results else None
    text = best.get("text") if isinstance(best, dict) else None
    found = {"words": str(len(text.split()))} if isinstance(text, str) else {}
    return found | _facts(speech, ("timeout_reason", "error"))


def _facts(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {each: _cut(_text(fields[each])) for each in names if fields.get(each) not in (None, "", {})}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "\u2026"


def _calendar(at: float | None) -> float | None:
    """Return the time *at* if it is in the years 1 to 9999, otherwise None."""
    return at if at is not None and _FIRST_TIME <= at <= _LAST_TIME else None
