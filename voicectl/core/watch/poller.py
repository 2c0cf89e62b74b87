"""A poller that requests watched legs from the API, reads stored events between requests, and yields the changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voicectl.core.history import forms, leg_key
from voicectl.core.watch.schedule import PollSchedule, PollStatus
from voicectl.errors import (
    ConfigError,
    InputError,
    NotFoundError,
    RateLimitedError,
    StoreError,
    TransportError,
)
from voicectl.store.events import Query
from voicectl.voice.call import LIVE
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.watch.board import Board
    from voicectl.core.watch.sight import Change
    from voicectl.store.action_log import ActionLog
    from voicectl.store.events import EventStore, Stored
    from voicectl.voice.call import Call

LOOK_SECONDS = 0.2
"""How long the poller waits between two reads of stored events, in seconds."""

STEP_SECONDS = 1.0
"""How long the poller waits before it yields changes again if there is no event store, in seconds."""

SOON_SECONDS = 0.001
"""How far a time may be in the future and still count as reached, in seconds."""

WITHIN_SECONDS = 5.0
"""The time limit for a request to the API, in seconds. No events are read during a request."""

LEAST_SECONDS = 1.0
"""The shortest time limit for a request to the API, in seconds, even if less time is left."""

BESIDE_EVENTS_SECONDS = 3.0
"""The time limit for a request about a leg that has events, in seconds."""

FEW = 15
"""The maximum number of named legs that are requested one by one.

This is the number of requests that are allowed in one second. If there are more named legs, the API's list of legs is
requested instead.
"""

MOST_LOST = 10
"""The maximum number of legs missing from the API's list that are requested one by one in each poll."""

PAGE = 100

_KINDS = (Kind.STATUS, Kind.TRANSFER)


class Tail:
    """Reads new events about legs from the event store. If the store fails, another attempt is made later.

    Args:
        open_: A function that returns the event store, or None if there is no event store.
        clock: The clock that measures the time until the next attempt.
        is_needed: True if the caller waits for what only events report. The store's errors are then raised.

    Attributes:
        trouble: The message of the store's last error, or None if the store works.
        heard: The time at which the last event was received, in Unix seconds, or None if there is no event.
    """

    RETRY_SECONDS = 5.0

    def __init__(
        self, open_: Callable[[], EventStore | None], clock: Clock, *, is_needed: bool = False
    ) -> None:
        self.trouble: str | None = None
        self.heard: float | None = None
        self._open = open_
        self._clock = clock
        self._is_needed = is_needed
        self._began = clock.time()
        self._after: int | None = None
        self._retry_at = -math.inf
        found = self._find(Query(last=1))
        if self.trouble is None:
            self._after = max((stored.id for stored in found), default=0)
        self._note(found)

    def news(self) -> list[Stored]:
        """Return the events that were stored since this method was last called, in the order of their ids."""
        if self._after is None:
            found = self._find(Query(kinds=_KINDS, since=self._began))
        else:
            found = self._find(Query(kinds=_KINDS, after=self._after))
        if found:
            self._after = found[-1].id
        self._note(found)
        return found

    def _note(self, found: list[Stored]) -> None:
        if found:
            self.heard = found[-1].arrival.received

    def past(self, uuid: str) -> list[Stored]:
        """Return all stored events about a leg."""
        return next(
            (found for name in forms(uuid) if (found := self._find(Query(leg=name, kinds=_KINDS)))), []
        )

    def _find(self, query: Query) -> list[Stored]:
        if self._clock.monotonic() < self._retry_at:
            return []
        try:
            store = self._open()
            found = [] if store is None else list(store.find(query))
        except (StoreError, InputError, ConfigError) as exc:
            if self._is_needed:
                raise
            self.trouble = exc.message
            self._retry_at = self._clock.monotonic() + self.RETRY_SECONDS
            return []
        self.trouble = None
        return found


class Poller:
    """Polls the API, reads stored events between the polls, and yields the changes.

    Args:
        board: The board, which collects records and events, and determines the legs to request.
        schedule: The schedule of the requests to the API.
        tail: The reader of stored events, or None if there is no event store.
        notes: The action log, or None if its entries are not shown.
        check: A function that raises an exception if a signal was received.
        is_receiving: A function that returns True if a receiver is running on this machine, False if none is running,
            or None if this is unknown.
        is_strict: True to let each request take all the time that is left, and to stop if the API returns an error
            for a leg without events.

    Attributes:
        status: The current state of polling, which can be shown to the user.
        failure: The error that ended the last poll of the API, or None if that poll succeeded.
    """

    def __init__(
        self,
        api: VoiceApi,
        clock: Clock,
        board: Board,
        schedule: PollSchedule,
        *,
        tail: Tail | None,
        notes: ActionLog | None = None,
        check: Callable[[], None],
        is_receiving: Callable[[], bool | None] = lambda: None,
        is_strict: bool = False,
    ) -> None:
        self.status = PollStatus(began=clock.monotonic(), pause=schedule.pause, has_events=tail is not None)
        self.failure: TransportError | RateLimitedError | None = None
        self._api = api
        self._clock = clock
        self._board = board
        self._schedule = schedule
        self._tail = tail
        self._notes = notes
        self._check = check
        self._is_receiving = is_receiving
        self._is_strict = is_strict
        self._has_events = False
        self._notes_stamp: object = None
        self._give_up = math.inf
        self._has_asked_last = False
        self._requests = 0
        self._asked_at: dict[str, float] = {}
        self._has_asked = False
        self._look_at_receiver()

    @property
    def knows_all(self) -> bool:
        """True if every leg to watch has been found."""
        named = self._board.named
        return self._has_asked if named is None else all(map(self._board.sight, named))

    @property
    def is_about_to_ask(self) -> bool:
        """True if the next step is a request to the API, or if the first poll of the API is not complete."""
        is_first = not self._has_asked and self.failure is None
        return is_first or (self.status.asking is None and self._is_due)

    @property
    def _is_due(self) -> bool:
        """True if a poll of the API is due.

        Polls are due as scheduled, and a final poll is due when the time is up.
        """
        due = min(self._schedule.due, self._give_up)
        return not self._has_asked_last and self._clock.monotonic() >= due - SOON_SECONDS

    def rounds(self, *, give_up: float = math.inf) -> Iterator[list[Change]]:
        """Poll endlessly, and yield the list of changes after each step.

        A list may be empty. Except during a request, a list is yielded at least once a second.

        Args:
            give_up: The time after which the API is no longer polled, in seconds on the monotonic clock.

        Raises:
            NotFoundError: A named leg is known neither to the API nor to the event store.
            ApiError: The API refused a request.
            TransportError: The poller is strict, and received no response about a leg without events.
            RateLimitedError: The poller is strict, and a request for a leg without events was rate limited.
        """
        clock = self._clock
        self._give_up = give_up
        while True:
            self._check()
            yield self._hear()
            if self._is_due:
                yield from self._ask()
                self._board.forget(clock.time())
            now = clock.monotonic()
            step = STEP_SECONDS if self._tail is None else LOOK_SECONDS
            clock.sleep(max(min(step, self._schedule.due - now, give_up - now), SOON_SECONDS))

    def _hear(self) -> list[Change]:
        """Read new stored events and new entries in the action log, and return the changes."""
        at = self._clock.time()
        changes: list[Change] = []
        if self._notes is not None and self._notes.stamp != self._notes_stamp:
            self._notes_stamp = self._notes.stamp
            changes += self._board.mark(self._notes.marks(), at)
        if self._tail is not None:
            if found := self._tail.news():
                changes += self._board.events(found, at)
                self._schedule.stir()
            self.status.events = self._tail.trouble
            self._look_at_events()
        return changes

    def _look_at_events(self) -> None:
        """Record when the last event was received."""
        if self._tail is not None and self._tail.heard is not None:
            self.status.heard = self._clock.monotonic() - (self._clock.time() - self._tail.heard)

    def _look_at_receiver(self) -> None:
        """Record whether a receiver is running."""
        self._look_at_events()
        if self._tail is not None:
            self.status.is_receiving = self._is_receiving()

    def _ask(self) -> Iterator[list[Change]]:
        """Poll the API, and yield the changes. If an error occurs, responses received before it are still used."""
        began = self._clock.monotonic()
        self._has_asked_last = began >= self._give_up - SOON_SECONDS
        self._requests = 0
        self._look_at_receiver()
        is_changed = False
        self.status.asking = began
        try:
            for changes in self._answers():
                self.status.answered = self.status.asking = self._clock.monotonic()
                is_changed |= bool(changes)
                yield changes
                yield self._hear()
        except (TransportError, RateLimitedError) as exc:
            now = self._clock.monotonic()
            if self._is_strict and not self._has_events and now < self._give_up:
                raise
            self.failure = exc
            self._schedule.failed(now)
            self.status.trouble = exc.message
            self.status.is_limited = isinstance(exc, RateLimitedError)
        else:
            self.failure = None
            self._has_asked = True
            now = self._clock.monotonic()
            self._schedule.asked(began, now, requests=self._requests, is_changed=is_changed)
            self.status.trouble, self.status.is_limited = None, False
        self.status.asking = None
        self.status.pause = self._schedule.pause
        yield []

    def _answers(self) -> Iterator[list[Change]]:
        """Request the watched legs from the API. Yield the changes after each page of the list, or after each leg."""
        board = self._board
        if board.named is not None and len(still := self._still_asked()) <= FEW:
            yield from self._each(still, most=FEW)
            return
        self._has_events = board.named is not None and all(map(self._leg_has_events, board.named))
        listed: set[str] = set()
        for status in LIVE:
            page: list[Call] = []
            for call in self._api.get_calls(
                status=status,
                conversation_uuid=board.conversation,
                order=None,
                on_page=self._count,
                within=self._within,
            ):
                listed.add(leg_key(call.uuid))
                page.append(call)
                if len(page) == PAGE:
                    yield board.records(page, self._clock.time())
                    page = []
            yield board.records(page, self._clock.time())
        lost = board.unlisted(listed) if board.named is None else self._still_asked(listed)
        if not self._has_asked_last:
            known = [each for each in lost if board.sight(each) is not None]
            yield from self._each(known, most=MOST_LOST)
            lost = [each for each in lost if board.sight(each) is None]
        yield from self._each(lost)

    def _still_asked(self, listed: Collection[str] = ()) -> list[str]:
        """Return the ids of the legs to request: those that the user named, are live, and are not in *listed*."""
        named = self._board.named or ()
        return [each for each in named if not self._board.is_closed(each) and leg_key(each) not in listed]

    def _each(self, uuids: Iterable[str], *, most: int | None = None) -> Iterator[list[Change]]:
        """Request legs one by one, and yield the changes. The leg that was requested least recently comes first."""
        for uuid in sorted(uuids, key=lambda uuid: self._asked_at.get(uuid, -math.inf))[:most]:
            self._requests += 1
            self._asked_at[uuid] = self._clock.monotonic()
            self._has_events = self._leg_has_events(uuid)
            try:
                call = self._api.get_call(uuid, within=self._within)
            except NotFoundError:
                if self._board.sight(uuid) is None:
                    raise
                yield self._board.gone(uuid, self._clock.time())
            else:
                yield self._board.records([call], self._clock.time())

    @property
    def _within(self) -> float:
        """The time limit for the next request to the API, in seconds."""
        left = max(self._give_up - self._clock.monotonic(), LEAST_SECONDS)
        if self._has_events:
            return min(left, BESIDE_EVENTS_SECONDS)
        return left if self._is_strict else min(left, WITHIN_SECONDS)

    def _leg_has_events(self, uuid: str) -> bool:
        sight = self._board.sight(uuid)
        return sight is not None and sight.has_events

    def _count(self, _: bool) -> None:
        self._requests += 1
