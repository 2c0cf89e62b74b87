"""Gathers the facts for the trace of a leg or a conversation from all sources.

The trace of a leg includes the legs that were in a conversation with it, even if they have left the conversation
since. API records and events show which legs these are. Every search has a limit, and the trace reports what was left
out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

from voicectl.core.calls.references import number_reference
from voicectl.core.history import EventSummary, History, forms, leg_key, legs_that_begin, summaries
from voicectl.core.timeline.entries import Happening, Sort, of_call, of_event, of_intent, of_note
from voicectl.core.timeline.gaps import Gap
from voicectl.core.timeline.order import Trace, trace
from voicectl.errors import (
    JournalError,
    LegError,
    NotFoundError,
    RateLimitedError,
    StoreError,
    TransportError,
)
from voicectl.store.action_log import ENTERS
from voicectl.store.events import Query
from voicectl.voice import endpoint
from voicectl.voice.call import FINAL, is_leg_id
from voicectl.voice.event import Kind, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.errors import VoicectlError
    from voicectl.store.action_log import ActionLog, Note
    from voicectl.store.events import EventStore, Stored
    from voicectl.store.journal import Intent, Journal
    from voicectl.voice.call import Call

MAX_LEGS = 200
MAX_CONVERSATIONS = 20
MAX_EVENTS = 10_000
MAX_ASKED = 10
"""The maximum number of legs, other than the traced one, whose records are requested one by one.

Such a leg is not in any list that the API returned, and its end is not known. The API client looks for a missing
record in every region, so one leg may take several requests.
"""

NO_STORE = "store"
"""The kind of gap that is reported if there is no event store."""

APART_SECONDS = 1.0
"""The maximum gap between two legs at which they still count as having been in a conversation together, in seconds.

The gap is between the end of one leg and the beginning of the other, on the platform's clock.
"""

_RECORDING_KINDS = (Kind.RECORD, Kind.TRANSCRIBED)

LATE_SECONDS = 600.0
"""The time after the end of a leg during which events about its conversation belong to its trace, in seconds.

For example, transcriptions arrive after the leg has ended.
"""


@dataclass(slots=True)
class Gathered:
    """The facts gathered from each source.

    Attributes:
        calls: The API records of the legs, keyed by :func:`.leg_key`.
        events: The events, keyed by their ids.
        gone: The API's error messages about legs of which it has no record, keyed by :func:`.leg_key`. The message is
            empty for every leg except the one that the user asked for.
        entered: The :func:`.leg_key` of each leg that was created with an NCCO that brings the leg into a room.
        gaps: The gaps left by sources that failed, and by limits that were reached.
        asked_at: The time of the requests to the API, in Unix seconds.
        asked_for: The id of the leg that the user asked for, as the user wrote it.
    """

    asked_at: float
    has_events: bool
    calls: dict[str, Call] = field(default_factory=dict)
    events: dict[int, Stored] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    intents: dict[str, tuple[Intent, str | None]] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    entered: set[str] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)
    asked_for: str | None = None

    @property
    def legs(self) -> list[str]:
        """The ids of all legs in API records, events or the action log, in the form of :func:`.leg_key`."""
        reported = (each.arrival.leg for each in self.events.values())
        keys = (leg_key(leg) for leg in reported if leg is not None)
        return list(dict.fromkeys(chain(self.calls, keys, (each.uuid for each in self.notes))))

    def ids(self) -> dict[str, str]:
        """Return the reported form of each leg's id, keyed by :func:`.leg_key`. The API accepts no other form."""
        named = [] if self.asked_for is None else [self.asked_for]
        created = (intent.uuid for intent, _ in self.intents.values())
        reported = (stored.arrival.leg for _, stored in sorted(self.events.items()))
        recorded = (call.uuid for call in self.calls.values())
        every = chain(named, created, reported, recorded)  # later ids replace earlier ones
        return {leg_key(uuid): uuid for uuid in every if uuid is not None}

    def reported(self) -> dict[str, EventSummary]:
        """Return the summary of each leg's events, keyed by :func:`.leg_key`."""
        return {leg_key(leg): found for leg, found in summaries(self.events.values()).items()}

    def happenings(self) -> Iterator[Happening]:
        """Yield the entries of the timeline from all sources."""
        for call in self.calls.values():
            yield from of_call(call, self.asked_at)
        yield from map(of_event, self.events.values())
        yield from map(of_note, self.notes)
        for intent, uuid in self.intents.values():
            yield from of_intent(intent, uuid)

    def trace(self, *, all_events: bool = False) -> Trace:
        """Return the trace, with the legs' ids in the form in which they were reported.

        Args:
            all_events: True to keep the RTC events that only repeat another entry.
        """
        found = trace(
            self.happenings(),
            calls=self.calls,
            reported=self.reported(),
            gone=self.gone,
            entered=self.entered,
            has_events=self.has_events,
            all_events=all_events,
            gaps=self.gaps,
        )
        return found.called(self.ids())

    def records(self) -> dict[str, Call]:
        """Return the legs, keyed by the reported form of their ids, and merged from API records and events."""
        reported, ids = self.reported(), self.ids()
        found = {uuid: History.merged(call, reported.get(uuid)) for uuid, call in self.calls.items()}
        found = {uuid: each.alone() for uuid, each in reported.items()} | found
        return {ids[uuid]: call for uuid, call in found.items()}


class Gatherer:
    """Gathers the facts for one trace from all sources.

    If the API or the event store does not respond, the trace has a gap, and the other sources are used.

    Args:
        events: The event store, or None if there is no working event store.
        journal: The journal, or None if it cannot be used.
        gaps: The gaps for the sources that could not be opened.
    """

    def __init__(
        self,
        api: VoiceApi,
        clock: Clock,
        notes: ActionLog,
        *,
        events: EventStore | None,
        journal: Journal | None,
        gaps: Iterable[Gap] = (),
    ) -> None:
        self._api = api
        self._notes = notes
        self._events = events
        self._journal = journal
        self._found = Gathered(asked_at=clock.time(), has_events=events is not None, gaps=list(gaps))
        self._failure: VoicectlError | None = None
        self._absence: NotFoundError | None = None

    def of_leg(self, uuid: str) -> Gathered:
        """Gather the facts about a leg, and about the legs that were in its conversations at the same time.

        Args:
            uuid: The leg's full id, in any of its forms.

        Raises:
            NotFoundError: No source knows the leg.
            TransportError: The API does not respond, and no other source knows the leg.
        """
        own = leg_key(uuid)
        found = self._found
        found.asked_for = uuid
        self._read_leg(uuid)
        self._ask_leg(found.ids()[own])
        for conversation in self._conversations(own)[-MAX_CONVERSATIONS:]:
            self._read_conversation(conversation)
        self._read_others(own)
        self._leave_apart(own)
        self._read_ours([own])
        if own not in found.legs and not any(leg == own for _, leg in found.intents.values()):
            failure = self._absence or self._failure
            assert failure is not None  # noqa: S101 (the API was asked)
            raise failure
        return self._bounded()

    def of_conversation(self, conversation: str) -> Gathered:
        """Gather the facts about a conversation and all its known legs.

        Raises:
            LegError: No source knows the conversation.
            TransportError: The API does not respond, and no event is about the conversation.
        """
        self._read_conversation(conversation)
        if not self._found.calls and not self._found.events:
            if self._failure is not None:
                raise self._failure
            raise LegError(
                f"There is no conversation {conversation}.",
                hint="Neither the API nor the event store has a record of it."
                " List the legs: voicectl call list --all",
            )
        self._read_others(None)
        self._read_ours([])
        return self._bounded()

    def _ask_leg(self, uuid: str) -> None:
        """Request the record of a leg from the API, unless an earlier request failed."""
        if self._failure is not None or not is_leg_id(uuid):
            return  # no other id may be put into a URL
        try:
            is_reported = any(stored.arrival.leg == uuid for stored in self._found.events.values())
            self._found.calls[leg_key(uuid)] = self._api.get_call(uuid, is_exact=is_reported)
        except NotFoundError as exc:
            is_asked_for = self._found.asked_for is not None and leg_key(uuid) == leg_key(
                self._found.asked_for
            )
            self._found.gone[leg_key(uuid)] = exc.message if is_asked_for else ""
            self._absence = exc
        except (TransportError, RateLimitedError) as exc:
            self._give_up_api(exc)

    def _read_conversation(self, conversation: str) -> None:
        """Read the API records of the legs in a conversation, and the events about the conversation."""
        self._read(Query(conversation=conversation, last=MAX_EVENTS + 1))
        if self._failure is not None:
            return
        try:
            for call in islice(self._api.get_calls(conversation_uuid=conversation), MAX_LEGS + 1):
                self._found.calls.setdefault(leg_key(call.uuid), call)
        except NotFoundError:
            pass  # treated like an empty list
        except (TransportError, RateLimitedError) as exc:
            self._give_up_api(exc)

    def _give_up_api(self, exc: VoicectlError) -> None:
        self._failure = exc
        self._miss("api", f"The API cannot be read: {exc.message}")

    def _read_leg(self, uuid: str) -> None:
        for form in forms(uuid):
            self._read(Query(leg=form, last=MAX_EVENTS + 1))

    def _read(self, query: Query) -> None:
        """Read events from the store. If the store fails, it is not used again."""
        if self._events is None:
            return
        try:
            self._found.events |= {stored.id: stored for stored in self._events.find(query)}
        except StoreError as exc:
            self._events = None
            self._found.has_events = False
            self._miss("events", f"The event store cannot be read: {exc.message}")

    def _conversations(self, own: str) -> list[str]:
        """Return the ids of the conversations that a leg was in, in chronological order."""
        call = self._found.calls.get(own)
        found = [
            conversation
            for _, stored in sorted(self._found.events.items())
            for conversation in (stored.arrival.conversation_from, stored.arrival.conversation)
            if conversation is not None
            and stored.arrival.leg is not None
            and leg_key(stored.arrival.leg) == own
        ]
        if call is not None and call.conversation_uuid:
            found.append(call.conversation_uuid)
        return list(dict.fromkeys(reversed(found)))[::-1]

    def _read_others(self, own: str | None) -> None:
        """Read all events about the other legs that were found, and the API records of those that may be live."""
        legs = [each for each in self._found.legs if each != own]
        if len(legs) > MAX_LEGS:
            self._drop(set(legs[MAX_LEGS:]))
            self._miss("legs", f"Only {MAX_LEGS} other legs are shown; {len(legs)} were found.")
        ids = self._found.ids()
        for leg in legs[:MAX_LEGS]:
            self._read_leg(ids[leg])
        reported = self._found.reported()
        asked = [
            leg
            for leg in legs[:MAX_LEGS]
            if leg not in self._found.calls and is_leg_id(leg) and not _is_over(reported.get(leg))
        ]
        for leg in asked[:MAX_ASKED]:
            self._ask_leg(ids[leg])
        if len(asked) > MAX_ASKED:
            self._miss("api", f"Only {MAX_ASKED} of {len(asked)} records of other legs were requested.")

    def _leave_apart(self, own: str) -> None:
        """Drop the legs that were in the conversations of the leg *own*, but not at the same time as *own*.

        For example, a conversation that is used every day contains such legs.
        """
        spans = self._spans()
        began, ended = spans.get(own, (-math.inf, math.inf))
        first, last = began - APART_SECONDS, ended + APART_SECONDS
        self._drop({leg for leg, (start, end) in spans.items() if end < first or start > last})
        recordings = _recordings_between(self._found.events.values(), first, ended + LATE_SECONDS)
        for number, stored in list(self._found.events.items()):
            reported = of_event(stored)
            is_at_time = first <= reported.time <= ended + LATE_SECONDS
            if reported.uuid is None and not is_at_time and _recording(stored) not in recordings:
                del self._found.events[number]

    def _spans(self) -> dict[str, tuple[float, float]]:
        """Return each leg's first and last known times, in Unix seconds. The last time of a live leg is infinity."""
        spans: dict[str, tuple[float, float]] = {}
        over: set[str] = set()
        for each in self._found.happenings():
            if each.uuid is not None and each.at is not None:
                start, end = spans.get(each.uuid, (math.inf, -math.inf))
                spans[each.uuid] = min(start, each.at), max(end, each.at)
            if each.uuid is not None and each.sort is Sort.STATUS and each.what in FINAL:
                over.add(each.uuid)
        return {leg: (start, end if leg in over else math.inf) for leg, (start, end) in spans.items()}

    def _drop(self, legs: set[str]) -> None:
        found = self._found
        for leg in legs & found.calls.keys():
            del found.calls[leg]
        for number, stored in list(found.events.items()):
            if stored.arrival.leg is not None and leg_key(stored.arrival.leg) in legs:
                del found.events[number]

    def _read_ours(self, legs: list[str]) -> None:
        """Read what the journal and the action log report about *legs* and all legs found so far."""
        found = self._found
        names = dict.fromkeys([*found.legs, *legs])
        notes = [note for note in self._notes.since(-math.inf) if note.uuid in names]
        found.notes = [note for note in notes if note.what != ENTERS]
        found.entered = {leg_key(note.uuid) for note in notes if note.what == ENTERS}
        if self._journal is None:
            return
        try:
            for leg in names:
                for form in forms(leg):
                    if intent := self._journal.by_leg(form):
                        found.intents[intent.reference] = intent, leg
            self._read_in_doubt(self._journal)
        except JournalError as exc:
            self._miss("journal", exc.message)

    def _read_in_doubt(self, journal: Journal) -> None:
        """Read the intents that are in doubt and whose references occur in events.

        Events about other legs that the call connected have the same reference. The call's own leg is the one that
        calls the number in the intent.
        """
        legs: dict[str, dict[str, object]] = {}
        for stored in self._found.events.values():
            arrival = stored.arrival
            if arrival.reference is not None and arrival.leg is not None and arrival.is_signed:
                legs.setdefault(arrival.reference, {})[leg_key(arrival.leg)] = arrival.fields.get("to")
        for reference, reported in legs.items():
            intent = journal.get(reference)
            if intent is not None and intent.uuid is None:
                same = [leg for leg, to in reported.items() if to == intent.to]
                self._found.intents[reference] = intent, same[0] if len(same) == 1 else None

    def _miss(self, what: str, detail: str) -> None:
        """Add a gap for a source that failed, or for a limit that was reached."""
        self._found.gaps.append(Gap(what=what, detail=detail))

    def _bounded(self) -> Gathered:
        found = self._found
        if len(found.events) > MAX_EVENTS:
            found.events = {number: found.events[number] for number in sorted(found.events)[-MAX_EVENTS:]}
            self._miss("events", f"Events before the last {MAX_EVENTS} were left out.")
        if not found.has_events and not any(gap.what == "events" for gap in found.gaps):
            self._miss(NO_STORE, "There are no stored events: only 'voicectl webhook serve' stores them.")
        return found


def kept_legs(events: EventStore, text: str) -> Iterator[Call]:
    """Yield the legs that match *text*, as described by stored events.

    A search by number covers the last :data:`MAX_EVENTS` status events.

    Args:
        text: A prefix of a leg's id, or of a number, written as ``to:NUMBER`` or ``from:NUMBER``.
    """
    named = number_reference(text)
    if named is None:
        yield from legs_that_begin(events, text)
        return
    end, digits = named
    for reported in summaries(events.find(Query(kinds=(Kind.STATUS,), last=MAX_EVENTS))).values():
        call = reported.alone()
        party = endpoint.label(call.to if end == "to" else call.from_) or ""
        if party.removeprefix("+").startswith(digits):
            yield call


def _recordings_between(events: Iterable[Stored], first: float, last: float) -> set[str]:
    """Return the ids of the recordings that were made between two times. Their transcriptions may come much later."""
    found = set()
    for stored in events:
        recording = _recording(stored)
        if stored.arrival.kind == Kind.RECORD and recording is not None:
            began = moment(stored.arrival.fields.get("start_time"))
            if first <= (of_event(stored).time if began is None else began) <= last:
                found.add(recording)
    return found


def _recording(stored: Stored) -> str | None:
    """Return the id of the recording that an event is about, or None if it is not about a recording."""
    found = stored.arrival.fields.get("recording_uuid")
    return found if stored.arrival.kind in _RECORDING_KINDS and isinstance(found, str) else None


def _is_over(reported: EventSummary | None) -> bool:
    """Return True if the verified events summarized in *reported* show that the leg has ended."""
    return reported is not None and reported.verified is not None and reported.verified.is_final
