"""The events of a conversation, from the Conversation API and from stored webhooks, in one order.

The Conversation API keeps the events of a conversation only as long as the conversation itself. Most of them are also
sent as RTC webhooks, which the event store keeps, together with the events of the Voice API about the same calls.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voicectl.core.calls import conversations
from voicectl.core.timeline.entries import Source, of_event
from voicectl.errors import ApiError, AuthError, LegError, NotFoundError, StoreError, TransportError
from voicectl.store.events import Query, Route
from voicectl.voice.event import Kind, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from voicectl.api.conversations import ConversationApi
    from voicectl.clock import Clock
    from voicectl.store.events import EventStore, Stored
    from voicectl.voice.conversation import ConversationEvent

POLL_SECONDS = 1.0
MAX_STORED = 10_000

_NAMED_BY = ("conversation:created", "conversation:updated")
"""The types of the events that contain a conversation's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a conversation, as reported by one source or several.

    Attributes:
        number: The number of the event in its conversation, or None for an event of the Voice API.
        type: The type, such as ``member:joined``, or the status or kind of an event of the Voice API.
        leg: The id of the leg that the event is about, or None.
        time: The time of the event in Unix seconds, or infinity if unknown.
        sources: The sources that reported the event.
        stored: The ids of the event in the event store.
        raw: The API's record or, if the API did not list the event, the fields of the webhook.
    """

    number: int | None
    type: str
    leg: str | None
    time: float
    sources: tuple[Source, ...]
    stored: tuple[int, ...] = ()
    raw: dict[str, Any]

    @property
    def key(self) -> tuple[object, ...]:
        """A value that is equal for all reports of the same event."""
        return ("stored", *self.stored) if self.number is None else (self.number, self.type)


class ConversationEvents:
    """Reads the events of a conversation from both sources, and can be read again for the events since then.

    If one source fails, the other is still used, and the failure is reported once.

    Args:
        store: The event store, or None if there is no store.
        conversation: The id of the conversation: ``CON-...``.
        since: The earliest time of the events to return, in Unix seconds.
        on_trouble: A function that is called with a sentence about the failure of a source.
        on_cut: A function that is called if there are more events than can be read. The oldest ones are then missing.

    Attributes:
        absence: The API's error message if it has no record of the conversation, which has ended or is in another
            region; otherwise None.
    """

    def __init__(
        self,
        api: ConversationApi,
        store: EventStore | None,
        conversation: str,
        *,
        since: float = -math.inf,
        on_trouble: Callable[[str], None],
        on_cut: Callable[[], None],
    ) -> None:
        self.absence: NotFoundError | None = None
        self._api = api
        self._store = store
        self._conversation = conversation
        self._since = since
        self._on_trouble = on_trouble
        self._on_cut = on_cut
        self._last_number = self._last_stored = 0
        self._has_begun = False
        self._seen: set[tuple[object, ...]] = set()
        self._failing: set[str] = set()

    def read(self) -> list[Event]:
        """Return the events that this method has not returned yet, in order.

        Raises:
            AuthError: The API refused the credentials.
            ApiError: The API refused the first request, and no events are stored.
            TransportError: The API did not respond to the first request, and no events are stored.
            NotFoundError: The API has no record of the conversation, and no events are stored.
        """
        found = list(self._read_store())
        if self.absence is None:
            found += self._read_api(is_needed=not (self._last_stored or self._has_begun))
        self._has_begun = True
        events = [event for event in merged(found) if event.key not in self._seen]
        self._seen.update(event.key for event in events)
        return events

    def follow(self, clock: Clock) -> Iterator[list[Event]]:
        """Yield new events every :data:`POLL_SECONDS`, until shortly after the API no longer has the conversation."""
        while self.absence is None:
            clock.sleep(POLL_SECONDS)
            yield self.read()
        clock.sleep(POLL_SECONDS)  # the last webhooks may have arrived since
        yield self.read()

    def _read_store(self) -> Iterator[Event]:
        if self._store is None:
            return
        query = Query(conversation=self._conversation, after=self._last_stored, last=MAX_STORED + 1)
        try:
            found = list(self._store.find(query))
        except StoreError as exc:
            self._report("store", f"The event store failed: {exc.message}")
            return
        self._failing.discard("store")
        if len(found) > MAX_STORED:
            self._on_cut()
        for stored in found[-MAX_STORED:]:
            self._last_stored = stored.id
            event = _of_stored(stored)
            if event.time >= self._since:
                yield event

    def _read_api(self, *, is_needed: bool) -> list[Event]:
        """Return the new events that the API lists.

        Args:
            is_needed: True to raise the API's errors instead of reporting them.
        """
        found: list[Event] = []
        try:
            for listed in self._api.events(self._conversation, after=self._last_number, on_cut=self._on_cut):
                event = _of_listed(listed)
                if event.time < self._since:
                    break
                found.append(event)
        except (ApiError, TransportError) as exc:
            if is_needed or isinstance(exc, AuthError):
                raise
            if isinstance(exc, NotFoundError):
                self.absence = exc
            else:
                self._report("api", f"The Conversation API failed: {exc.message}")
            return []
        self._failing.discard("api")
        self._last_number = max((event.number or 0 for event in found), default=self._last_number)
        return found

    def _report(self, source: str, message: str) -> None:
        if source not in self._failing:
            self._failing.add(source)
            self._on_trouble(message)


def conversation_id(api: ConversationApi, store: EventStore | None, text: str) -> str:
    """Return the id of the conversation that *text* names, even if only stored events know the room.

    Raises:
        InputError: *text* is neither a conversation id nor a possible room name.
        LegError: No conversation has that name, now or according to stored events.
        TransportError: The API does not respond, and stored events do not contain the name.
        StoreError: The event store failed.
    """
    try:
        return conversations.conversation_id(api, text)
    except (LegError, TransportError):
        known = None if store is None else known_room(store, text)
        if known is None:
            raise
        return known


def merged(events: Iterable[Event]) -> list[Event]:
    """Return *events* in order, with several reports of the same event merged into one.

    Events with numbers are in the order of their numbers. The other events are put between them by their times.
    """
    by_key: dict[tuple[object, ...], Event] = {}
    for event in events:
        other = by_key.get(event.key)
        by_key[event.key] = event if other is None else _merged(other, event)
    numbered = sorted((each for each in by_key.values() if each.number is not None), key=_number)
    others = sorted((each for each in by_key.values() if each.number is None), key=lambda each: each.time)
    timed = ((each.time, 1, each) for each in others)
    return [each for _, _, each in heapq.merge(_timed(numbered), timed, key=lambda each: each[:2])]


def known_room(store: EventStore, name: str) -> str | None:
    """Return the id of the conversation that was last named *name* according to stored events, or None."""
    found = [
        stored
        for type_ in _NAMED_BY
        for stored in store.find(Query(kinds=(Route.RTC,), status=type_, last=MAX_STORED))
        if name_in(stored) == name and stored.arrival.conversation is not None
    ]
    return max(found, key=lambda stored: stored.id).arrival.conversation if found else None


def name_in(stored: Stored) -> str | None:
    """Return the name of the conversation that a stored event contains, or None if it contains none."""
    if stored.arrival.kind != Route.RTC or stored.arrival.status not in _NAMED_BY:
        return None
    body = stored.arrival.fields.get("body")
    name = body.get("name") if isinstance(body, dict) else None
    return name if isinstance(name, str) and name else None


def _of_listed(event: ConversationEvent) -> Event:
    at = moment(event.raw.get("timestamp"))
    return Event(
        number=event.number,
        type=event.type,
        leg=event.leg,
        time=math.inf if at is None else at,
        sources=(Source.API,),
        raw=event.raw,
    )


def _of_stored(stored: Stored) -> Event:
    arrival = stored.arrival
    is_rtc = arrival.kind == Route.RTC
    number = arrival.fields.get("id") if is_rtc else None
    is_named_by_status = arrival.kind in (Kind.STATUS, Route.RTC) and arrival.status
    raw = dict(arrival.fields)
    if not is_rtc:
        raw = {"timestamp": raw.get("timestamp"), "conversation_id": arrival.conversation, "body": raw}
    return Event(
        number=number if isinstance(number, int) and not isinstance(number, bool) else None,
        type=(arrival.status if is_named_by_status else None) or arrival.kind,
        leg=arrival.leg,
        time=of_event(stored).time,
        sources=(Source.EVENT if arrival.is_signed else Source.UNSIGNED,),
        stored=(stored.id,),
        raw=raw,
    )


def _merged(one: Event, other: Event) -> Event:
    """Return one event for two reports of it. The record of the API is preferred, since no one else can write it."""
    first, second = (one, other) if Source.API in one.sources else (other, one)
    sources = {*first.sources, *second.sources}
    return replace(
        first,
        leg=first.leg or second.leg,
        sources=tuple(each for each in Source if each in sources),
        stored=tuple(sorted({*first.stored, *second.stored})),
    )


def _number(event: Event) -> tuple[int, str]:
    return event.number or 0, event.type


def _timed(numbered: Iterable[Event]) -> Iterator[tuple[float, int, Event]]:
    """Yield the events with their times. An event without a time gets that of the event before it."""
    latest = -math.inf
    for event in numbered:
        if event.time != math.inf:
            latest = event.time
        yield latest, 0, event
