"""Watching legs: the API is asked again and again, stored events are looked at between, and what is new is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voicectl.core.calls.wait import fail
from voicectl.core.history import forms
from voicectl.core.watch.board import leg_key
from voicectl.errors import (
    ConfigError,
    InputError,
    NotFoundError,
    RateLimitedError,
    StoreError,
    TransportError,
    WaitEnded,
    WaitTimeout,
)
from voicectl.store.events import Query
from voicectl.voice.call import LIVE
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.watch.board import Board
    from voicectl.core.watch.schedule import PollSchedule, PollStatus
    from voicectl.core.watch.sight import Change, Sight
    from voicectl.store.action_log import Notes
    from voicectl.store.events import EventStore, Stored
    from voicectl.voice.call import Call, Until

LOOK_SECONDS = 0.2
"""How often stored events are looked at."""

STEP_SECONDS = 1.0
"""How often, where there are none, anything is looked at."""

WITHIN_SECONDS = 5.0
"""How long the API may take for a question: events are not looked at meanwhile."""

FEW = 15
"""So many named legs are asked for one by one: what the limiter lets pass in a second. More are found in the list."""

MOST_LOST = 10
"""So many legs that were in the list and are not any more are asked for at a time."""

PAGE = 100

_KINDS = (Kind.STATUS, Kind.TRANSFER)


class Tail:
    """The stored events of legs, as they come; a store that fails is told of, and tried again.

    Args:
        open_: Gives the store.
        clock: Says when to try again.
    """

    RETRY_SECONDS = 5.0

    def __init__(self, open_: Callable[[], EventStore | None], clock: Clock) -> None:
        self.trouble: str | None = None
        self._open = open_
        self._clock = clock
        self._began = clock.time()
        self._after: int | None = None
        self._retry_at = -math.inf

    def begin(self) -> None:
        """Have :meth:`news` tell what comes from now on."""
        found = self._find(Query(last=1))
        if self.trouble is None:
            self._after = max((stored.id for stored in found), default=0)

    def news(self) -> list[Stored]:
        """The events that came since it was last asked, by their ids."""
        if self._after is None:
            found = self._find(Query(kinds=_KINDS, since=self._began))
        else:
            found = self._find(Query(kinds=_KINDS, after=self._after))
        if found:
            self._after = found[-1].id
        return found

    def past(self, uuid: str) -> list[Stored]:
        """All events of a leg."""
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
            self.trouble = exc.message
            self._retry_at = self._clock.monotonic() + self.RETRY_SECONDS
            return []
        self.trouble = None
        return found


class Lookout:
    """Asks the API and looks at stored events, in turns, and tells what is new.

    Args:
        board: Takes what is found.
        rhythm: Says when the API is asked.
        standing: Told how that goes.
        named: Only these legs, by their ids; None for all.
        conversation: Only legs that are in it.
        tail: The stored events; None if there are none.
        notes: What was done to legs from here.
        check: Raises if a signal came.

    Attributes:
        failure: Why the API could not be asked, the last time; None if it could.
        has_asked: Whether it has told of all legs once.
    """

    def __init__(
        self,
        api: VoiceApi,
        clock: Clock,
        board: Board,
        rhythm: PollSchedule,
        standing: PollStatus,
        *,
        named: Sequence[str] | None,
        conversation: str | None,
        tail: Tail | None,
        notes: Notes,
        check: Callable[[], None],
    ) -> None:
        self._api = api
        self._clock = clock
        self._board = board
        self._rhythm = rhythm
        self._standing = standing
        self._named = named
        self._conversation = conversation
        self._tail = tail
        self._notes = notes
        self._check = check
        self._notes_stamp: object = None
        self._requests = 0
        self._looked_for: dict[str, float] = {}
        self.failure: TransportError | RateLimitedError | None = None
        self.has_asked = False

    def rounds(self, *, give_up: float = math.inf) -> Iterator[list[Change]]:
        """Go on for ever, and yield what is new, or nothing, several times a second to once a second.

        Args:
            give_up: When, by the monotonic clock, the last round is to be.

        Raises:
            NotFoundError: Nobody knows one of the named legs.
            ApiError: The API refuses to tell.
        """
        clock = self._clock
        if self._tail is not None:
            self._tail.begin()
        while True:
            self._check()
            yield self._hear()
            if clock.monotonic() >= self._rhythm.due:
                left = max(give_up - clock.monotonic(), 1.0)
                yield from self._ask(min(left, WITHIN_SECONDS))
                self._board.forget(clock.time())
            now = clock.monotonic()
            step = STEP_SECONDS if self._tail is None else LOOK_SECONDS
            clock.sleep(max(min(step, self._rhythm.due - now, give_up - now), 0.01))

    def _hear(self) -> list[Change]:
        """Look at what others have told: events, and what was done from this machine."""
        at = self._clock.time()
        changes: list[Change] = []
        stamp = self._notes.stamp
        if stamp != self._notes_stamp:
            self._notes_stamp = stamp
            changes += self._board.mark(self._notes.marks(), at)
        if self._tail is not None:
            if found := self._tail.news():
                changes += self._board.events(found, at)
                self._rhythm.stir()
            self._standing.events = self._tail.trouble
        return changes

    def _ask(self, within: float) -> Iterator[list[Change]]:
        """Ask the API; what was told before it stopped answering counts."""
        began = self._clock.monotonic()
        self._requests = 0
        is_changed = False
        self._standing.asking = began
        try:
            for changes in self._answers(within):
                self._standing.answered = self._standing.asking = self._clock.monotonic()
                is_changed |= bool(changes)
                yield changes
                yield self._hear()
        except (TransportError, RateLimitedError) as exc:
            self.failure = exc
            self._rhythm.failed(self._clock.monotonic())
            self._standing.trouble = exc.message
            self._standing.is_limited = isinstance(exc, RateLimitedError)
        else:
            self.failure = None
            self.has_asked = True
            now = self._clock.monotonic()
            self._rhythm.asked(began, now, requests=self._requests, is_changed=is_changed)
            self._standing.trouble = None
        self._standing.asking = None
        self._standing.pause = self._rhythm.pause
        yield []

    def _answers(self, within: float) -> Iterator[list[Change]]:
        """What is new in what the API says: a page, or a leg, at a time."""
        if self._named is not None and len(still := self._still_asked(self._named)) <= FEW:
            yield from self._each(still, within)
            return
        listed: set[str] = set()
        for status in LIVE:
            page: list[Call] = []
            for call in self._api.get_calls(
                status=status,
                conversation_uuid=self._conversation,
                order=None,
                on_page=self._count,
                within=within,
            ):
                listed.add(leg_key(call.uuid))
                page.append(call)
                if len(page) == PAGE:
                    yield self._board.records(page, self._clock.time())
                    page = []
            yield self._board.records(page, self._clock.time())
        lost = self._board.unlisted(listed) if self._named is None else self._still_asked(self._named, listed)
        lost.sort(key=lambda uuid: self._looked_for.get(uuid, -math.inf))
        for uuid in lost[:MOST_LOST]:
            self._looked_for[uuid] = self._clock.monotonic()
        yield from self._each(lost[:MOST_LOST], within)

    def _still_asked(self, named: Iterable[str], listed: Collection[str] = ()) -> list[str]:
        """Those of the named legs of which the API may say more than it listed."""
        return [each for each in named if not self._board.is_closed(each) and leg_key(each) not in listed]

    def _each(self, uuids: Sequence[str], within: float) -> Iterator[list[Change]]:
        for uuid in uuids:
            self._requests += 1
            try:
                call = self._api.get_call(uuid, within=within)
            except NotFoundError:
                if self._board.sight(uuid) is None:
                    raise
                yield self._board.gone(uuid, self._clock.time())
            else:
                yield self._board.records([call], self._clock.time())

    def _count(self, _: bool) -> None:
        self._requests += 1


class Goal:
    """What is waited for: that legs are at a status, or past it, within some time.

    Args:
        named: All of these legs; None for every leg that there is, and where none is, that all have ended.
        timeout: Seconds in all.
        deadline: When they are over, by the monotonic clock.
        has_events: Whether events may still tell more of a leg than the API did.
    """

    LATE_SECONDS = 1.0
    """How late an event may be that tells why a leg ended."""

    def __init__(
        self, until: Until, *, named: Sequence[str] | None, timeout: float, deadline: float, has_events: bool
    ) -> None:
        self._until = until
        self._named = named
        self._timeout = timeout
        self._deadline = deadline
        self._has_events = has_events

    def is_reached(self, lookout: Lookout, board: Board, clock: Clock) -> bool:
        """Whether it is.

        Raises:
            WaitTimeout: Time is up.
            WaitEnded: A leg ended in another status, so that not all can be at it; the others were waited for.
            VoicectlError: Time is up, and nobody could be asked: why not.
        """
        if self._named is None:
            sights, is_known = board.sights(), lookout.has_asked
        else:
            found = [board.sight(uuid) for uuid in self._named]
            sights = [each for each in found if each is not None]
            is_known = len(sights) == len(found)
        missing = [each for each in sights if not each.call.has_reached(self._until)]
        if is_known and not missing and (sights or self._until == "ended"):
            return True
        now = clock.time()
        is_late = clock.monotonic() >= self._deadline
        if lost := [each for each in missing if each.is_gone]:
            uuid = lost[0].call.uuid
            raise WaitEnded(
                f"The API has no record of leg {uuid} any more, which was not {self._until} before.",
                [each.call for each in sights],
                hint=f"See what is known of it: voicectl trace {uuid}",
            )
        if missing and (is_late or (is_known and all(self._is_over(each, now) for each in missing))):
            fail(sights, missing, self._until, self._timeout)
        if is_late:
            raise lookout.failure or WaitTimeout(
                f"No leg was {self._until} within {self._timeout:g} s.", [], hint="There was none to be seen."
            )
        return False

    def _is_over(self, sight: Sight, now: float) -> bool:
        """Whether nothing more will be told of a leg that matters here."""
        if sight.call.rules_out(self._until):
            return True
        if sight.ended is None:
            return False
        is_all = sight.is_settled and sight.is_told
        return is_all or not self._has_events or now - sight.ended > self.LATE_SECONDS
