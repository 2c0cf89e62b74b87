"""The board of watched legs, which turns API records and events into one stream of changes.

Each change is reported once. This module makes no requests. Callers pass in the current time, in Unix seconds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from voicectl.core.calls.selection import Selection, meets
from voicectl.core.history import EventSummary, leg_key
from voicectl.core.watch.sight import Birth, Change, ChangeKind, Sight, Since, TrackedLeg
from voicectl.store.action_log import Marks
from voicectl.voice.call import CallStatus
from voicectl.voice.event import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from voicectl.store.events import Stored
    from voicectl.voice.call import Call

SHOWN_SECONDS = 10.0
"""How long a leg stays in the table of legs after its end, in seconds."""

FORGET_SECONDS = 600.0
"""How long a leg is remembered after its end, in seconds.

If a late event about a leg arrives within this time, the leg is not reported as a new leg.
"""

LOST_SECONDS = 30.0
"""How long after the beginning of a leg the API may have no record of the leg yet, in seconds."""

_NOTHING_MARKED = Marks()


class Board:
    """The board of watched legs, with all that is known about them.

    Args:
        named: The ids of the legs to watch, in any form, or None to watch all legs.
        selection: The conditions on the legs to watch, which :func:`~voicectl.core.calls.selection.meets` checks. A
            leg that no longer meets them is reported once more, and then no longer watched.
        born: A function that returns the time at which this machine requested the leg with the given key, in Unix
            seconds, or None if this machine did not request the leg.
        past: A function that returns the stored events about the leg with the given id. It is called for each leg
            that is new to the board.
        offset: How far the platform's clock is ahead of the caller's clock, in seconds. The times in events are on
            the platform's clock.
        is_sourced: True to merge records with events and add ``status_source``; False to show API records unchanged.
    """

    def __init__(
        self,
        *,
        named: Iterable[str] | None = None,
        selection: Selection | None = None,
        born: Callable[[str], float | None] = lambda _: None,
        past: Callable[[str], Iterable[Stored]] = lambda _: (),
        offset: float = 0.0,
        is_sourced: bool = True,
    ) -> None:
        self._named = None if named is None else {leg_key(uuid): uuid for uuid in named}
        self._selection = selection or Selection()
        self._born = born
        self._past = past
        self._offset = offset
        self._is_sourced = is_sourced
        self._legs: dict[str, TrackedLeg] = {}
        self._marks: Mapping[str, Marks] = {}
        self._latest = -math.inf

    @property
    def named(self) -> list[str] | None:
        """The ids of the legs to watch, without duplicates, or None if all legs are watched."""
        return None if self._named is None else list(self._named.values())

    @property
    def conversation(self) -> str | None:
        """The id of the conversation whose legs are watched, or None if legs in any conversation are watched."""
        return self._selection.conversation

    def records(self, calls: Iterable[Call], at: float) -> list[Change]:
        """Add records from the API, and return the changes.

        A record with an older state than an earlier record of the same leg is ignored.
        """
        at = self._time(at)
        changes: list[Change] = []
        for call in calls:
            leg = self._leg(call.uuid, at)
            if leg is not None and not leg.is_as_before(call):
                leg.take(call)
                changes += self._see(leg, at, is_asked=True)
        return changes

    def recall(self, uuid: str, at: float) -> list[Change]:
        """Add a leg that is known only from its stored events, and return the changes."""
        at = self._time(at)
        leg = self._leg(uuid, at)
        return [] if leg is None else self._see(leg, at, is_asked=False)

    def events(self, found: Iterable[Stored], at: float) -> list[Change]:
        """Add events in the order in which they happened, and return the changes.

        Events that were added before are ignored.
        """
        at = self._time(at)
        arrived = sorted(found, key=_happened)
        news = {stored.id for stored in arrived}
        changes: list[Change] = []
        for stored in arrived:
            uuid = stored.arrival.leg
            if uuid is None:
                continue
            is_elsewhere = self.conversation not in (None, stored.arrival.conversation)
            if is_elsewhere and leg_key(uuid) not in self._legs:
                continue
            leg = self._leg(uuid, at, news)
            if leg is not None and stored.id not in leg.events:
                self._remember(leg, [stored])
                changes += self._see(leg, at, is_asked=False)
        return changes

    def gone(self, uuid: str, at: float) -> list[Change]:
        """Mark a leg as gone because the API has no record of it, and return the changes.

        A leg that is so new that the API may not know it yet is not marked.
        """
        at = self._time(at)
        key = leg_key(uuid)
        leg = self._legs.get(key)
        if leg is None or leg.sight is None or leg.sight.is_over:
            return []
        if leg.record is None and at - leg.birth.at < LOST_SECONDS:
            return []
        leg.sight = replace(leg.sight, is_gone=True, ended=at, is_settled=True)
        return [Change(at, ChangeKind.GONE, leg.sight)]

    def mark(self, marks: Mapping[str, Marks], at: float) -> list[Change]:
        """Set the known mute and earmuff states of legs, and return the changes.

        Args:
            marks: The mute and earmuff states, by the hyphenated ids of the legs.
            at: The current time, in Unix seconds.
        """
        at = self._time(at)
        self._marks = marks
        changes: list[Change] = []
        for key, leg in self._legs.items():
            now = marks.get(key, _NOTHING_MARKED)
            if leg.sight is not None and leg.sight.marks != now:
                leg.sight = replace(leg.sight, marks=now)
                changes.append(Change(at, ChangeKind.MARKS, leg.sight))
        return changes

    def forget(self, at: float) -> None:
        """Remove the legs that ended more than :data:`FORGET_SECONDS` ago, unless the board watches named legs."""
        if self._named is None:
            self._legs = {
                key: leg
                for key, leg in self._legs.items()
                if leg.sight is None or leg.sight.ended is None or at - leg.sight.ended <= FORGET_SECONDS
            }

    def sights(self) -> list[Sight]:
        """Return the states of all known legs, in the order of *named*.

        If *named* is None, the legs are in the order in which they were added to the board.
        """
        legs = map(self._legs.get, self._legs if self._named is None else self._named)
        return [leg.sight for leg in legs if leg is not None and leg.sight is not None]

    def sight(self, uuid: str) -> Sight | None:
        """Return the current state of a leg, or None if the leg is not known."""
        leg = self._legs.get(leg_key(uuid))
        return None if leg is None else leg.sight

    def is_closed(self, uuid: str) -> bool:
        """Return True if no more changes to a leg are expected: the API reported its end, or has no record of it."""
        leg = self._legs.get(leg_key(uuid))
        if leg is None or leg.sight is None:
            return False
        return leg.sight.is_gone or leg.is_closed

    def unlisted(self, listed: Collection[str]) -> list[str]:
        """Return the ids of the legs that are not known to have ended, but that the API did not list.

        The caller should request these legs one by one.

        Args:
            listed: The keys of the legs that the API listed, in the form of :func:`.leg_key`.
        """
        return [
            leg.sight.call.uuid
            for key, leg in self._legs.items()
            if leg.sight is not None and not leg.sight.is_over and key not in listed
        ]

    def _leg(self, uuid: str, at: float, but: Collection[int] = ()) -> TrackedLeg | None:
        """Return a leg, or None if the leg is not watched.

        If the leg is new to the board, its stored events are added to it, except the events whose ids are in *but*.
        """
        key = leg_key(uuid)
        if key in self._legs:
            return self._legs[key]
        if self._named is not None and key not in self._named:
            return None
        asked = self._born(key)
        leg = TrackedLeg(
            key=key,
            birth=Birth(at, Since.FIRST_SIGHT, is_exact=False)
            if asked is None
            else Birth(asked, Since.JOURNAL, is_exact=True),
        )
        self._remember(leg, (each for each in self._past(uuid) if each.id not in but))
        return leg

    def _remember(self, leg: TrackedLeg, events: Iterable[Stored]) -> None:
        """Add *events* to a leg, and update the summary of the leg's events and the time at which the leg began."""
        before = len(leg.events)
        leg.events |= {stored.id: stored for stored in events}
        if len(leg.events) == before:
            return
        found = list(leg.events.values())
        leg.reported = EventSummary.read(found[0].arrival.leg or "", found)
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

    def _see(self, leg: TrackedLeg, at: float, *, is_asked: bool) -> list[Change]:
        """Update the state that is shown for a leg, and return the changes.

        Args:
            is_asked: True if the API has just returned the leg's record.
        """
        call = leg.known if self._is_sourced else leg.record
        if call is None:
            return []
        is_elsewhere = not meets(call, self._selection)
        if is_elsewhere and leg.key not in self._legs:
            return []
        self._legs[leg.key] = leg
        marks = self._marks.get(leg.key, _NOTHING_MARKED)
        changes = leg.see(call, at, marks=marks, is_asked=is_asked, offset=self._offset)
        if is_elsewhere:
            del self._legs[leg.key]
        return changes

    def _time(self, at: float) -> float:
        """Return *at* or the latest time so far, whichever is later, because a machine's clock may be set back."""
        self._latest = max(self._latest, at)
        return self._latest


def _happened(stored: Stored) -> tuple[float, int, int]:
    arrival = stored.arrival
    at = arrival.received if arrival.told is None else arrival.told
    return at, rank(arrival.status or ""), stored.id
