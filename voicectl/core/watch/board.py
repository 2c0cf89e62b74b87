"""What is known of the legs that are watched: what the API lists and what events tell, as one stream of changes.

Both may come in any order, late and twice. Of each leg the farther of what the two know is shown, so that it
never goes back, and each change is told once. Nothing here asks anybody, and the time is handed in: Unix seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.history import History, Told
from voicectl.store.action_log import Marks
from voicectl.voice.call import CallStatus, hyphenated, is_leg_id
from voicectl.voice.event import moment, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from voicectl.store.events import Stored
    from voicectl.voice.call import Call

SHOWN_SECONDS = 10.0
"""How long a leg that is over stays in the table."""

FORGET_SECONDS = 600.0
"""How long it is remembered: an event of it may be late, and is not to bring it back."""

DISAGREE_SECONDS = 3.0
"""For so long the API and an event may tell different things of a leg: one of them is only behind."""

LOST_SECONDS = 30.0
"""For so long the API need not know a leg that an event told of."""

_NOTHING_MARKED = Marks()


class What(StrEnum):
    """What changed."""

    SEEN = "seen"
    STATUS = "status"
    CONVERSATION = "conversation"
    MARKS = "marks"
    DISAGREEMENT = "disagreement"
    GONE = "gone"


class Since(StrEnum):
    """Who tells since when there is a leg."""

    JOURNAL = "journal"
    EVENT = "event"
    RECORD = "record"
    FIRST_SIGHT = "first sight"


class Birth(NamedTuple):
    """Since when there is a leg.

    Attributes:
        at: Unix seconds.
        is_exact: Whether it began then; else it is older than that.
    """

    at: float
    source: Since
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A leg as it is known at some moment.

    Attributes:
        call: Its record with what events told, as :class:`~voicectl.core.history.History` merges them.
        ended: When it was over, or first seen to be, in Unix seconds; None if it is not.
        is_gone: Whether the API has no record of it any more.
        disagreement: In what events contradict the API; None if they do not.
        is_told: Whether events told of it.
        is_settled: Whether it is over by all who tell of it.
    """

    call: Call
    birth: Birth
    marks: Marks
    ended: float | None = None
    is_gone: bool = False
    disagreement: str | None = None
    is_told: bool = False
    is_settled: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens on it."""
        return self.ended is not None

    def age(self, now: float) -> float:
        """Its seconds up to *now*, or to its end; at least 0."""
        return max((now if self.ended is None else min(self.ended, now)) - self.birth.at, 0.0)


class Change(NamedTuple):
    """One thing that changed about a leg.

    Attributes:
        at: When it was learnt, in Unix seconds; never before an earlier one of the stream.
        sight: The leg after it.
    """

    at: float
    what: What
    sight: Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a table shows of the legs.

    Attributes:
        groups: Those of each conversation, oldest first; the conversation with the newest leg first.
        hidden: Legs that are left out, because there are so many.
        live: How many are live, of all; so ``conversations`` that have a live leg.
        over: How many are over, of those that are remembered.
        disagreements: One of each leg of which API and events tell different things.
    """

    groups: tuple[tuple[Sight, ...], ...] = ()
    hidden: int = 0
    live: int = 0
    conversations: int = 0
    over: int = 0
    disagreements: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Leg:
    """A leg, and what each who tells of it has said.

    Attributes:
        farthest: How far it has come by its records; one that is behind counts for nothing.
        contradicted: Since when events contradict its record; None if they do not.
    """

    birth: Birth
    record: Call | None = None
    farthest: int = 0
    events: dict[int, Stored] = field(default_factory=dict)
    told: Told | None = None
    sight: Sight | None = None
    contradicted: float | None = None

    @property
    def known(self) -> Call | None:
        """The farther of what API and events tell of it; None if that is nothing."""
        if self.record is None:
            return None if self.told is None else self.told.alone()
        return History.merged(self.record, self.told)

    @property
    def is_settled(self) -> bool:
        """Whether it is over by all who tell of it."""
        is_over = self.record is not None and self.record.is_final
        return is_over and (self.told is None or self.told.state.is_final)

    def is_as_before(self, call: Call) -> bool:
        """Whether a record tells nothing new."""
        return (
            self.record is not None
            and self.record.raw == call.raw
            and self.contradicted is None
            and self.sight is not None
            and not self.sight.is_gone
        )

    def take(self, call: Call) -> None:
        """Take a record, unless it is behind an earlier one: two servers of the API may know different things.

        A word that nobody knows may stand anywhere, but not after the end. Of two ends the one that tells more
        counts: that somebody answered, else why nobody did.
        """
        if self.record is not None and self.record.is_final:
            is_behind = not call.is_final or _end_order(call) < _end_order(self.record)
        else:
            is_behind = 0 < rank(call.status) < self.farthest
        if not is_behind:
            self.record = call
            self.farthest = max(self.farthest, rank(call.status))

    def disagreement(self, at: float, *, is_asked: bool) -> str | None:
        """In what events contradict the API, once the API was asked again and that has lasted."""
        found = None if self.told is None or self.record is None else self.told.contradicts(self.record)
        if found is None:
            self.contradicted = None
            return None
        if self.contradicted is None:
            self.contradicted = at
        was_so = self.sight is not None and self.sight.disagreement is not None
        return found if was_so or (is_asked and at - self.contradicted >= DISAGREE_SECONDS) else None


class Board:
    """The legs that are watched.

    Args:
        named: Only these, by their ids; None for all.
        conversation: Only legs that are in it.
        born: When a leg was asked for here, in Unix seconds, if it was.
        past: The stored events of a leg that was not known.
        offset: Seconds that the platform's clock, which events go by, is ahead of that of the times handed in.
    """

    def __init__(
        self,
        *,
        named: Iterable[str] | None = None,
        conversation: str | None = None,
        born: Callable[[str], float | None] = lambda _: None,
        past: Callable[[str], Iterable[Stored]] = lambda _: (),
        offset: float = 0.0,
    ) -> None:
        self._named = None if named is None else frozenset(map(leg_key, named))
        self._conversation = conversation
        self._born = born
        self._past = past
        self._offset = offset
        self._legs: dict[str, _Leg] = {}
        self._marks: Mapping[str, Marks] = {}
        self._latest = -math.inf

    def records(self, calls: Iterable[Call], at: float) -> list[Change]:
        """Take what the API says of legs: an answer that is behind an earlier one counts for nothing."""
        at = self._time(at)
        changes: list[Change] = []
        for call in calls:
            key = leg_key(call.uuid)
            leg = self._legs.get(key)
            if leg is None:
                if not self._may_concern(key):
                    continue
                leg = self._new(key, at)
                self._remember(leg, self._past(call.uuid))
            elif leg.is_as_before(call):
                continue
            leg.take(call)
            if key in self._legs or self._is_watched(leg):
                self._legs[key] = leg
                changes += self._see(key, leg, at, is_asked=True)
        return changes

    def events(self, found: Iterable[Stored], at: float) -> list[Change]:
        """Take what events tell, each once, in the order in which it happened."""
        at = self._time(at)
        arrived = sorted(found, key=_happened)
        news = {stored.id for stored in arrived}
        changes: list[Change] = []
        for stored in arrived:
            uuid = stored.arrival.leg
            if uuid is None:
                continue
            key = leg_key(uuid)
            leg = self._legs.get(key)
            if leg is None:
                if not self._may_concern(key) or self._conversation not in (
                    None,
                    stored.arrival.conversation,
                ):
                    continue
                leg = self._new(key, at)
                self._remember(leg, (each for each in self._past(uuid) if each.id not in news))
            if stored.id in leg.events:
                continue
            self._remember(leg, [stored])
            if leg.told is not None and (key in self._legs or self._is_watched(leg)):
                self._legs[key] = leg
                changes += self._see(key, leg, at, is_asked=False)
        return changes

    def gone(self, uuid: str, at: float) -> list[Change]:
        """Take it that the API has no record of a leg; one that only an event told of it may not know yet."""
        at = self._time(at)
        key = leg_key(uuid)
        leg = self._legs.get(key)
        if leg is None or leg.sight is None or leg.sight.is_over:
            return []
        if leg.record is None and at - leg.birth.at < LOST_SECONDS:
            return []
        leg.sight = replace(leg.sight, is_gone=True, ended=at, is_settled=True)
        return [Change(at, What.GONE, leg.sight)]

    def mark(self, marks: Mapping[str, Marks], at: float) -> list[Change]:
        """Take who is muted or earmuffed, by hyphenated ids, as far as that is known."""
        at = self._time(at)
        self._marks = marks
        changes: list[Change] = []
        for key, leg in self._legs.items():
            now = marks.get(key, _NOTHING_MARKED)
            if leg.sight is not None and leg.sight.marks != now:
                leg.sight = replace(leg.sight, marks=now)
                changes.append(Change(at, What.MARKS, leg.sight))
        return changes

    def forget(self, at: float) -> None:
        """Forget legs that were over long ago."""
        over = [
            key
            for key, leg in self._legs.items()
            if leg.sight and leg.sight.ended is not None and at - leg.sight.ended > FORGET_SECONDS
        ]
        if self._named is None:
            for key in over:
                del self._legs[key]

    def sights(self) -> list[Sight]:
        """Every leg that is remembered, in the order of first sight."""
        return [leg.sight for leg in self._legs.values() if leg.sight is not None]

    def sight(self, uuid: str) -> Sight | None:
        """A leg, if it is known."""
        leg = self._legs.get(leg_key(uuid))
        return None if leg is None else leg.sight

    def is_closed(self, uuid: str) -> bool:
        """Whether the API says that a leg is over, or has no record of it: it will say nothing else."""
        leg = self._legs.get(leg_key(uuid))
        if leg is None or leg.sight is None:
            return False
        return leg.sight.is_gone or (leg.record is not None and leg.record.is_final)

    def unlisted(self, listed: Collection[str]) -> list[str]:
        """The legs that should be live and are not *listed*, as keys: what became of them is to be asked."""
        return [
            leg.sight.call.uuid
            for key, leg in self._legs.items()
            if leg.sight is not None and not leg.sight.is_over and key not in listed
        ]

    def frame(self, at: float, *, most: int, with_over: bool = False) -> Frame:
        """What a table shows.

        Args:
            most: How many legs at the most: the newest.
            with_over: Show all that are over and remembered, not only those that ended a moment ago.
        """
        sights = self.sights()
        shown = [
            each
            for each in sights
            if with_over or each.ended is None or at - each.ended < SHOWN_SECONDS or self._named is not None
        ]
        together: dict[str, list[Sight]] = {}
        for sight in shown:
            together.setdefault(sight.call.conversation_uuid or sight.call.uuid, []).append(sight)
        groups: list[tuple[Sight, ...]] = []
        left = most
        for group in sorted(together.values(), key=_newest, reverse=True):
            if left <= 0:
                break
            fitting = sorted(group, key=_age_order)[-left:]
            groups.append(tuple(fitting))
            left -= len(fitting)
        live = [each for each in sights if not each.is_over]
        return Frame(
            groups=tuple(groups),
            hidden=len(shown) - (most - left),
            live=len(live),
            conversations=len({each.call.conversation_uuid or each.call.uuid for each in live}),
            over=len(sights) - len(live),
            disagreements=tuple((each.call.uuid, each.disagreement) for each in sights if each.disagreement),
        )

    def _new(self, key: str, at: float) -> _Leg:
        asked = self._born(key)
        if asked is not None:
            return _Leg(Birth(asked, Since.JOURNAL, is_exact=True))
        return _Leg(Birth(at, Since.FIRST_SIGHT, is_exact=False))

    def _remember(self, leg: _Leg, events: Iterable[Stored]) -> None:
        """Add up a leg's *events* with those that were known before."""
        before = len(leg.events)
        leg.events |= {stored.id: stored for stored in events}
        if len(leg.events) == before:
            return
        found = list(leg.events.values())
        leg.told = Told.read(found[0].arrival.leg or "", found)
        if leg.birth.source is not Since.JOURNAL:
            times = [
                (min(each.arrival.told - self._offset, self._latest), each.arrival.status)
                for each in found
                if each.arrival.told is not None and each.arrival.told > 0
            ]
            began = [at for at, status in times if status == CallStatus.STARTED]
            if began:
                leg.birth = Birth(min(began), Since.EVENT, is_exact=True)
            elif times and min(times)[0] < leg.birth.at:
                leg.birth = Birth(min(times)[0], Since.EVENT, is_exact=False)

    def _may_concern(self, key: str) -> bool:
        return self._named is None or key in self._named

    def _is_watched(self, leg: _Leg) -> bool:
        if self._conversation is None:
            return True
        known = leg.known
        return known is not None and known.conversation_uuid == self._conversation

    def _see(self, key: str, leg: _Leg, at: float, *, is_asked: bool) -> list[Change]:
        """Put what is known of a leg together; tell what is new in it."""
        call = leg.known
        if call is None:
            return []
        before = leg.sight
        disagreement = leg.disagreement(at, is_asked=is_asked)
        ended = None if before is None or before.is_gone else before.ended
        birth = leg.birth
        if call.is_final and ended is None:
            start, end = (moment(call.raw.get(name)) or 0 for name in ("start_time", "end_time"))
            ended = min(end - self._offset, at) if before is None and end > 0 else at
            if before is None and start > 0 and birth.source is Since.FIRST_SIGHT:
                birth = leg.birth = Birth(min(start - self._offset, at), Since.RECORD, is_exact=True)
        leg.sight = sight = Sight(
            call=call,
            birth=birth,
            marks=self._marks.get(key, _NOTHING_MARKED) if before is None else before.marks,
            ended=ended,
            disagreement=disagreement,
            is_told=leg.told is not None,
            is_settled=leg.is_settled,
        )
        if before is None:
            return [Change(at, What.SEEN, sight)]
        changes: list[Change] = []
        if call.status != before.call.status or before.is_gone:
            changes.append(Change(at, What.STATUS, sight))
        if call.conversation_uuid != before.call.conversation_uuid:
            changes.append(Change(at, What.CONVERSATION, sight))
            if self._conversation not in (None, call.conversation_uuid):
                del self._legs[key]
        if disagreement != before.disagreement:
            changes.append(Change(at, What.DISAGREEMENT, sight))
        return changes

    def _time(self, at: float) -> float:
        """*at*, or the latest that was handed in: a machine's clock may be set back."""
        self._latest = max(self._latest, at)
        return self._latest


class Rhythm:
    """When the API is asked next: often while something happens, less often while nothing does.

    Args:
        interval: Seconds between two times, if there are changes.
        now: By the monotonic clock, as all its times: the first time is at once.
        is_steady: Ask as often if there are none.

    Attributes:
        due: When it is asked next.
        pause: Seconds from one time to the next.
    """

    REQUESTS_PER_SECOND = 5.0
    """Of the 15 that all of this user's processes share; the rest is left to those who act."""

    SLOWEST_SECONDS = 10.0
    SLOWER = 1.5

    def __init__(self, interval: float, now: float, *, is_steady: bool = False) -> None:
        self.due = now
        self.pause = interval
        self._interval = interval
        self._slowest = interval if is_steady else max(interval, self.SLOWEST_SECONDS)
        self._least = interval
        self._asked = now

    def asked(self, began: float, now: float, *, requests: int, is_changed: bool) -> None:
        """It was asked, from *began* to *now*, by that many *requests*."""
        self._asked = began
        self._least = max(self._interval, requests / self.REQUESTS_PER_SECOND)
        slower = min(self.pause * self.SLOWER, self._slowest)
        self.pause = max(self._least, self._interval if is_changed else slower)
        self.due = max(began + self.pause, now)

    def failed(self, now: float) -> None:
        """It did not answer."""
        self._asked = now
        self.pause = min(max(self.pause, self._interval) * 2, max(self._interval, self.SLOWEST_SECONDS))
        self.due = now + self.pause

    def stir(self) -> None:
        """Something was told of by others: ask soon."""
        self.pause = self._least
        self.due = min(self.due, self._asked + self._least)


@dataclass(slots=True)
class Standing:
    """How the asking goes, for a line below a table. Its times are those of the monotonic clock.

    Attributes:
        began: When it began.
        asking: Since when an answer is waited for; None if none is.
        answered: When the API answered last.
        trouble: Why it did not, the last time; None if it did.
        is_limited: Whether that is a rate limit.
        pause: Seconds from one time to the next.
        events: Why stored events cannot be read; None if they can be, or there are none.
        has_events: Whether there is a store of them.
    """

    PATIENCE_SECONDS = 3.0

    began: float
    pause: float
    asking: float | None = None
    answered: float | None = None
    trouble: str | None = None
    is_limited: bool = False
    events: str | None = None
    has_events: bool = False

    def is_bad(self, now: float) -> bool:
        """Whether what is shown may not be what is."""
        return self.trouble is not None or self.events is not None or self._is_late(now)

    def text(self, now: float) -> str:
        """What is to be said."""
        if self.trouble is not None or self._is_late(now):
            silent = now - (self.began if self.answered is None else self.answered)
            why = f": {self.trouble}" if self.trouble else "."
            if self.is_limited:
                said = f"Rate limited: the API has told nothing for {silent:.0f} s{why}"
            else:
                said = f"The API has not answered for {silent:.0f} s{why}"
        elif self.answered is None:
            said = "Asking the API."
        else:
            said = f"Asked {now - self.answered:.0f} s ago, every {self.pause:.3g} s."
        if self.events is not None:
            return f"{said} Stored events cannot be read: {self.events}"
        return f"{said} Events are told at once." if self.has_events else said

    def _is_late(self, now: float) -> bool:
        return self.asking is not None and now - self.asking > self.PATIENCE_SECONDS


def age_text(seconds: float, *, is_exact: bool) -> str:
    """How old a leg is, in at most five characters: ``12s``, ``3m``, ``2h``, ``4d``; ``>3m`` if it is older."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            shown = f"{min(int(seconds // size), 999)}{unit}"
            break
    else:
        shown = f"{int(seconds)}s"
    return shown if is_exact else f">{shown}"


def leg_key(uuid: str) -> str:
    """A leg's id in one form, whichever of them it is written in; an id of no known form is its own."""
    return hyphenated(uuid) if is_leg_id(uuid) else uuid


def _end_order(call: Call) -> tuple[int, str]:
    if call.status == CallStatus.COMPLETED:
        return (2, "") if call.was_answered else (0, "")
    return 1, call.status


def _happened(stored: Stored) -> tuple[float, int, int]:
    arrival = stored.arrival
    at = arrival.received if arrival.told is None else arrival.told
    return at, rank(arrival.status or ""), stored.id


def _newest(group: Sequence[Sight]) -> tuple[float, str]:
    return max(map(_age_order, group))


def _age_order(sight: Sight) -> tuple[float, str]:
    return sight.birth.at, sight.call.uuid
