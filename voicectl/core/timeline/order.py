"""Orders the reports from several sources into one trace, and finds the gaps in the trace."""

# How a trace is ordered
#
# The platform's clock (events, records) and this machine's (journal, action log) differ, and an event may have only
# the time of its receipt. So cause and effect count more than the clocks.
#
# 1. Merging (_collapsed). Reports of the same thing have the same place (sort, leg, identity) and are merged: the
#    API's record of a status with the event that reports it, and a "create" in the action log with the journal's.
#    Then RTC events that repeat another entry are folded into it (rtc.folded).
# 2. The offset (_clock_ahead). Cause and effect limit the offset between the clocks: a call is asked for before its
#    first verified report, an action is noted at most NOTED_SECONDS after its effect, and a leg begins before an
#    action on it succeeds. If the limits require a large offset, this offset is assumed, and reported as a gap.
#    An action's effect is the nearest one that fits (effects.Own), by the offset that the requests for calls require.
#    So pairs require a larger offset only if there are as many effects as actions, and none is near. Flows move legs,
#    too: so transfers require it only if the leg's entry by its own NCCO is noted, and is the first of them.
# 3. Times (_ordered). Each entry gets the time by its own clock. The offset is subtracted from this machine's times.
#    Then each cause that is later than its effect is moved to the effect's time. An effect is never moved to a later
#    time. The rules are:
#      - a status is no later than any status of the same leg with a higher rank;
#      - an action is no later than its effect (effects.EFFECTS), with which it is paired;
#      - the first statuses of a leg are no later than the first successful action on it;
#      - the request for a call is no later than anything that happened to its leg.
# 4. Sorting by (time, level, key). Levels put causes before effects at equal times: request, outcome of the request,
#    statuses up to ringing, actions, statuses up to machine detection, other events, final statuses. Entries
#    without a time come last. An entry whose time was changed is marked as reordered.
# 5. Gaps (gaps.find). In the ordered sequence of each leg, these gaps are found: statuses that the sequence implies
#    but does not contain, moves between conversations that nothing explains, missing ends, and actions in doubt.
#
# Invariant: the result depends only on the set of reports, not on the order in which they were read. So the input is
# sorted by Happening.key, a total order, before it is merged, and the key also decides between equal entries.

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from voicectl.core.timeline import gaps as missing
from voicectl.core.timeline.effects import NOTED_SECONDS, Own, rooms
from voicectl.core.timeline.entries import ALREADY, CREATE, DONE, Happening, Sort, Source, merged
from voicectl.core.timeline.gaps import Gap
from voicectl.core.timeline.rtc import folded
from voicectl.store.journal import IntentState
from voicectl.voice.call import HUMAN, CallStatus
from voicectl.voice.event import rank

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from voicectl.core.history import EventSummary
    from voicectl.voice.call import Call

CLOCK_DIFFERENCE_SECONDS = 2.0
"""The smallest difference between this machine's clock and the platform's that is reported, in seconds.

Rounded times and latency explain smaller differences.
"""

_KEY = attrgetter("key")
_DONE = (DONE, ALREADY)
_VERIFIED = frozenset({Source.API, Source.EVENT})
_RINGING, _DETECTED = rank(CallStatus.RINGING), rank(HUMAN)


class Step(NamedTuple):
    """An entry in a trace. *is_reordered* is True if the entry's time was changed to put the entry in order."""

    happening: Happening
    is_reordered: bool


_Pair: TypeAlias = tuple[Happening, Happening]
_Place: TypeAlias = tuple[Sort, str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The ordered steps of one or more legs, and the gaps between them.

    Attributes:
        legs: The ids of the legs, in the order of their first steps.
        steps: The steps, in order.
        gaps: The gaps, each with the index of the step that follows it, or with None if it concerns the whole trace.
    """

    legs: Sequence[str]
    steps: Sequence[Step]
    gaps: Sequence[tuple[int | None, Gap]]

    def lines(self) -> Iterator[Step | Gap]:
        """Yield the steps and the gaps between them, in order. Gaps that concern the whole trace come last."""
        before: defaultdict[int | None, list[Gap]] = defaultdict(list)
        for place, gap in self.gaps:
            before[place].append(gap)
        for number, step in enumerate(self.steps):
            yield from before[number]
            yield step
        yield from before[len(self.steps)]
        yield from before[None]

    def called(self, ids: Mapping[str, str]) -> Trace:
        """Return the trace with each leg's id replaced by the id that *ids* gives for it, if any."""
        if all(ids.get(leg, leg) == leg for leg in self.legs):
            return self

        def called(uuid: str | None) -> str | None:
            return None if uuid is None else ids.get(uuid, uuid)

        return Trace(
            legs=[ids.get(leg, leg) for leg in self.legs],
            steps=[
                step._replace(happening=replace(step.happening, uuid=called(step.happening.uuid)))
                for step in self.steps
            ],
            gaps=[(place, replace(gap, uuid=called(gap.uuid))) for place, gap in self.gaps],
        )


def trace(
    happenings: Iterable[Happening],
    *,
    calls: Mapping[str, Call],
    reported: Mapping[str, EventSummary],
    gone: Mapping[str, str] | None = None,
    entered: Collection[str] = (),
    has_events: bool,
    all_events: bool = False,
    gaps: Iterable[Gap] = (),
) -> Trace:
    """Return the trace of *happenings*, with its gaps. Entries that report the same thing are merged.

    Args:
        calls: The API records of the legs, keyed by :func:`.leg_key`.
        reported: The summaries of the legs' events, keyed by :func:`.leg_key`.
        gone: The API's error messages about legs of which it has no record, keyed by :func:`.leg_key`. A message may
            be empty.
        entered: The :func:`.leg_key` of each leg that was created with an NCCO that brings the leg into a room.
        has_events: True if there is an event store that can be read.
        all_events: True to keep the RTC events that only repeat another entry.
        gaps: The gaps that are already known, to be included in the trace.
    """
    each_once = _collapsed(happenings)
    if not all_events:
        each_once = folded(each_once)
    legs = _by_leg(each_once, entered)
    pairs = _pairs(legs)
    ahead = _clock_ahead(legs, pairs)
    steps = _ordered(each_once, legs, pairs, ahead)
    found: list[tuple[int | None, Gap]] = []
    found += missing.find(
        [step.happening for step in steps],
        calls=calls,
        reported=reported,
        gone=gone or {},
        effective={id(action) for action, _ in pairs},
        has_events=has_events,
    )
    found += [(None, gap) for gap in gaps]
    if ahead:
        how = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the platform's"
        gap = Gap(
            what="clock", detail=f"This machine's clock was {how}; the order of events allows for this."
        )
        found.append((None, gap))
    names = dict.fromkeys(step.happening.uuid for step in steps if step.happening.uuid is not None)
    return Trace(legs=list(names), steps=steps, gaps=found)


def _collapsed(happenings: Iterable[Happening]) -> list[Happening]:
    """Return one entry for each thing that happened, merged from all reports of it.

    An API record and an event may report the same status. The journal and the action log may report the same creation
    of a call.
    """
    every = sorted(happenings, key=_KEY)
    fuller: dict[tuple[str | None, str], Happening] = {}
    for each in every:
        if each.sort is Sort.STATUS and each.events:
            fuller.setdefault((each.uuid, each.what), each)
        elif each.sort is Sort.SETTLED and each.what == IntentState.CREATED:
            fuller.setdefault((each.uuid, CREATE), each)
    same: defaultdict[_Place, list[Happening]] = defaultdict(list)
    for each in every:
        is_brief = each.sources == (Source.API,) or (each.sources == (Source.HERE,) and each.what == CREATE)
        same[_place(fuller.get((each.uuid, each.what), each) if is_brief else each)].append(each)
    return [merged(each) for each in same.values()]


def _place(happening: Happening) -> _Place:
    return happening.sort, happening.uuid, happening.identity


def _ordered(
    happenings: Sequence[Happening],
    legs: Iterable[Own],
    pairs: Iterable[_Pair],
    ahead: float,
) -> list[Step]:
    """Return the entries in chronological order. A cause that seems to be later than its effect is moved before it.

    Args:
        legs: The entries by leg.
        pairs: The actions with their effects.
        ahead: How far this machine's clock was ahead of the platform's, in seconds.
    """
    times = {id(each): each.time - ahead if each.is_ours else each.time for each in happenings}
    for own in legs:
        latest = math.inf
        for group in reversed(own.by_rank()):
            for each in group:
                times[id(each)] = min(times[id(each)], latest)
            latest = min(latest, *(times[id(each)] for each in group))
    for action, effect in pairs:
        times[id(action)] = min(times[id(action)], times[id(effect)])
    for own in legs:
        first_action = min(
            (times[id(each)] for each in own.actions if each.outcome in _DONE), default=math.inf
        )
        for each in own.begun:
            times[id(each)] = min(times[id(each)], first_action)
        first = min(times[id(each)] for each in own.all)
        for each in own.asked:
            times[id(each)] = first
    found = sorted(happenings, key=lambda each: (times[id(each)], _level(each), each.key))
    return [Step(each, each.at is not None and times[id(each)] != each.at) for each in found]


def _clock_ahead(legs: Iterable[Own], pairs: Iterable[_Pair]) -> float:
    """Return how far this machine's clock was ahead of the platform's, in seconds.

    The result is negative if this machine's clock was behind, and 0 if the entries show no large difference.
    """
    at_least, at_most = _requested_ahead(legs), math.inf
    for action, effect in pairs:
        if action.at is not None and effect.at is not None:
            at_least = max(at_least, action.at - NOTED_SECONDS - effect.at)
    for own in legs:
        actions = _moments(each for each in own.actions if each.outcome in _DONE)
        at_most = min(at_most, min(actions, default=math.inf) - max(_moments(own.begun), default=-math.inf))
    if at_least > CLOCK_DIFFERENCE_SECONDS:
        return at_least
    return at_most if at_most < -CLOCK_DIFFERENCE_SECONDS else 0.0


def _requested_ahead(legs: Iterable[Own]) -> float:
    """Return the minimum by which this machine's clock was ahead of the platform's, in seconds.

    The minimum follows from the fact that no call can be reported before it was requested. The result is -infinity
    if the entries contain no request or no report of a call.
    """
    found = -math.inf
    for own in legs:
        verified = _moments(each for each in own.all if not _VERIFIED.isdisjoint(each.sources))
        for asked in _moments(own.asked):
            found = max(found, asked - min(verified, default=math.inf))
    return found


def _pairs(legs: Iterable[Own]) -> list[_Pair]:
    """Return the actions whose effects were reported, with the effects."""
    ahead = _requested_ahead(legs)
    return [pair for own in legs for pair in own.effects(ahead if ahead > CLOCK_DIFFERENCE_SECONDS else 0.0)]


def _by_leg(happenings: Sequence[Happening], entered: Collection[str]) -> list[Own]:
    found: defaultdict[str, list[Happening]] = defaultdict(list)
    for each in happenings:
        if each.uuid is not None:
            found[each.uuid].append(each)
    names = rooms(happenings)
    return [Own(each, rooms=names, has_entered=uuid in entered) for uuid, each in found.items()]


def _moments(happenings: Iterable[Happening]) -> list[float]:
    return [each.at for each in happenings if each.at is not None]


def _level(happening: Happening) -> float:
    """Return the number that determines the position of an entry among entries with the same time."""
    match happening.sort:
        case Sort.ASKED:
            return 0.0
        case Sort.SETTLED:
            return 0.5
        case Sort.ACTION:
            return _RINGING + 0.5
        case Sort.STATUS if rank(happening.what):
            return float(rank(happening.what))
        case _:
            return _DETECTED + 0.5
