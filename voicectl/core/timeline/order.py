"""Orders the reports from several sources into one trace, and finds the gaps in the trace."""

# How a trace is ordered
#
# The platform's clock (events, records) and this machine's (journal, action log) differ, and an event may have only
# the time of its receipt. So cause and effect count more than the clocks.
#
# 1. Merging (_collapsed). Reports of the same thing have the same place (sort, leg, identity) and are merged: the
#    API's record of a status with the event that reports it, and a "create" in the action log with the journal's.
# 2. The offset (_clock_ahead). Cause and effect limit the offset between the clocks: a call is asked for before its
#    first verified report, an action is noted at most NOTED_SECONDS after its effect, and a leg begins before an
#    action on it succeeds. If the limits require a large offset, this offset is assumed, and reported as a gap.
# 3. Times (_ordered). Each entry gets the time by its own clock. The offset is subtracted from this machine's times.
#    Then each cause that is later than its effect is moved to the effect's time. An effect is never moved to a later
#    time. The rules are:
#      - a status is no later than any status of the same leg with a higher rank;
#      - an action is no later than its effect (_EFFECTS), with which it is paired (_paired);
#      - the first statuses of a leg are no later than the first successful action on it;
#      - the request for a call is no later than anything that happened to its leg.
# 4. Sorting by (time, level, key). Levels put causes before effects at equal times: request, outcome of the request,
#    statuses up to ringing, actions, statuses up to machine detection, other events, final statuses. Entries
#    without a time come last. An entry whose time was changed is marked as reordered.
# 5. Gaps. In the ordered sequence of each leg, these gaps are found: statuses that the sequence implies but does not
#    contain, moves between conversations that nothing explains, missing ends, and actions in doubt.
#
# Invariant: the result depends only on the set of reports, not on the order in which they were read. So the input is
# sorted by Happening.key, a total order, before it is merged, and the key also decides between equal entries.

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from voicectl.core.timeline.entries import ALREADY, CREATE, DONE, UNKNOWN, Happening, Sort, Source, merged
from voicectl.store.journal import IntentState
from voicectl.voice.call import FINAL, HUMAN, CallStatus
from voicectl.voice.event import Kind, moment, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from voicectl.core.history import EventSummary
    from voicectl.voice.call import Call

NOTED_SECONDS = 20.0
"""The longest time until an action is noted in the action log, in seconds. It is noted after the API answers."""

PAIRED_SECONDS = 60.0
"""The longest time between an action and its effect, in seconds, if the numbers of actions and effects differ."""

CLOCK_DIFFERENCE_SECONDS = 2.0
"""The smallest difference between the clocks that is reported, in seconds.

Rounded times and latency explain smaller differences.
"""

_END = "end"
_EFFECTS: dict[str, str] = {
    "hangup": _END,
    "transfer": Kind.TRANSFER,
    "move": Kind.TRANSFER,
    "mute": "audio:mute:on",
    "unmute": "audio:mute:off",
    "earmuff": "audio:earmuff:on",
    "unearmuff": "audio:earmuff:off",
    "talk": "audio:say",
    "stream": "audio:play",
    "dtmf": "audio:dtmf",
}
"""The event or status that reports the effect of each action.

Names that begin with ``audio:`` are names of RTC events.
"""

_KEY = attrgetter("key")
_DONE = (DONE, ALREADY)
_VERIFIED = frozenset({Source.API, Source.EVENT})
_RINGING, _ANSWERED = rank(CallStatus.RINGING), rank(CallStatus.ANSWERED)
_DETECTED, _FINAL = rank(HUMAN), rank(CallStatus.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that must have happened, or may have happened, but that no source reports.

    Attributes:
        uuid: The leg's id, or None if the gap concerns the whole trace.
        what: The missing status, or another kind of gap, such as ``transfer``, ``end``, ``events`` or ``clock``.
        detail: A sentence that explains the gap.
        at: The time at which the missing status was reached, in Unix seconds, or None if the time is not known.
    """

    uuid: str | None = None
    what: str
    detail: str
    at: float | None = None


class Step(NamedTuple):
    """An entry of a trace. *is_reordered* is True if the entry's time was changed to put it in order."""

    happening: Happening
    is_reordered: bool


_Place: TypeAlias = tuple[Sort, str | None, tuple[str, ...]]
_Numbered: TypeAlias = tuple[int, Happening]
_Placed: TypeAlias = tuple[int | None, Gap]


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
        """Return the trace with each leg's id replaced by the value for that id in *ids*, if there is one."""
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
    has_events: bool,
    gaps: Iterable[Gap] = (),
) -> Trace:
    """Return the trace of *happenings*, with its gaps. Happenings that report the same thing are merged.

    Args:
        calls: The API records of the legs, keyed by :func:`.leg_key`.
        reported: The summaries of the legs' events, keyed by :func:`.leg_key`.
        gone: The API's error messages about legs of which it has no record, keyed by :func:`.leg_key`. A message may
            be empty.
        has_events: True if there is an event store that can be read.
        gaps: The gaps that are already known.
    """
    each_once = _collapsed(happenings)
    ahead = _clock_ahead(each_once)
    steps = _ordered(each_once, ahead)
    own: defaultdict[str, list[_Numbered]] = defaultdict(list)
    for number, step in enumerate(steps):
        if step.happening.uuid is not None:
            own[step.happening.uuid].append((number, step.happening))
    found: list[_Placed] = []
    for uuid, each in own.items():
        call = calls.get(uuid)
        if has_events:
            found += _missing(uuid, each, call, reported.get(uuid))
        if gone is not None and uuid in gone:
            found += _ended(uuid, each, gone[uuid])
        found += _unmoved(uuid, each, call)
    found += _in_doubt(steps)
    found += [(None, gap) for gap in gaps]
    if ahead:
        how = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the platform's"
        gap = Gap(
            what="clock", detail=f"This machine's clock was {how}; the order of events allows for this."
        )
        found.append((None, gap))
    return Trace(legs=list(own), steps=steps, gaps=found)


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


def _ordered(happenings: Sequence[Happening], ahead: float) -> list[Step]:
    """Return the entries in order of time. A cause that the clocks put after its effect is moved before that effect.

    Args:
        ahead: How far this machine's clock was ahead of the platform's, in seconds.
    """
    times = {id(each): each.time - ahead if each.is_ours else each.time for each in happenings}
    for own in _by_leg(happenings):
        latest = math.inf
        for group in reversed(own.by_rank()):
            for each in group:
                times[id(each)] = min(times[id(each)], latest)
            latest = min(latest, *(times[id(each)] for each in group))
        for action, effect in own.effects():
            times[id(action)] = min(times[id(action)], times[id(effect)])
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


def _clock_ahead(happenings: Sequence[Happening]) -> float:
    """Return how far this machine's clock was ahead of the platform's, in seconds.

    The result is negative if this machine's clock was behind, and 0 if the entries show no large difference.
    """
    at_least, at_most = -math.inf, math.inf
    for own in _by_leg(happenings):
        verified = _moments(each for each in own.all if not _VERIFIED.isdisjoint(each.sources))
        for asked in _moments(own.asked):
            at_least = max(at_least, asked - min(verified, default=math.inf))
        for action, effect in own.effects():
            if action.at is not None and effect.at is not None:
                at_least = max(at_least, action.at - NOTED_SECONDS - effect.at)
        actions = _moments(each for each in own.actions if each.outcome in _DONE)
        at_most = min(at_most, min(actions, default=math.inf) - max(_moments(own.begun), default=-math.inf))
    if at_least > CLOCK_DIFFERENCE_SECONDS:
        return at_least
    return at_most if at_most < -CLOCK_DIFFERENCE_SECONDS else 0.0


class _Own:
    """The entries of one leg, grouped by kind."""

    def __init__(self, happenings: Sequence[Happening]) -> None:
        self.all = happenings
        self.asked = [each for each in happenings if each.sort is Sort.ASKED]
        self.actions = [each for each in happenings if each.sort is Sort.ACTION]
        self.begun = [
            each for each in happenings if each.sort is Sort.STATUS and 0 < rank(each.what) <= _RINGING
        ]

    def by_rank(self) -> list[list[Happening]]:
        """Return the statuses in groups of equal rank, with the lowest rank first."""
        groups: defaultdict[int, list[Happening]] = defaultdict(list)
        for each in self.all:
            if each.sort is Sort.STATUS and rank(each.what):
                groups[rank(each.what)].append(each)
        return [group for _, group in sorted(groups.items())]

    def effects(self) -> Iterator[tuple[Happening, Happening]]:
        """Yield each successful action whose effect was reported, together with the effect."""
        actions: defaultdict[str, list[Happening]] = defaultdict(list)
        for each in self.actions:
            if each.outcome == DONE:
                actions[_EFFECTS.get(each.what, "")].append(each)
        effects: defaultdict[str, list[Happening]] = defaultdict(list)
        if actions:
            for each in self.all:
                if each.sort is Sort.OTHER and each.events:
                    effects[each.what].append(each)
            ends = [each for each in self.all if each.sort is Sort.STATUS and rank(each.what) == _FINAL]
            effects[_END] = sorted(ends, key=_KEY)[:1]
        for what, done in actions.items():
            yield from _paired(sorted(done, key=_KEY), sorted(effects[what], key=_KEY))


def _paired(
    actions: Sequence[Happening], effects: Sequence[Happening]
) -> Iterator[tuple[Happening, Happening]]:
    """Yield pairs of an action and its effect.

    If there are as many actions as effects, they are paired in order. Otherwise, an action is paired with the next
    effect that is at most :data:`PAIRED_SECONDS` before or after the action.
    """
    if len(actions) == len(effects):
        yield from zip(actions, effects, strict=True)
        return
    left = deque(effects)
    for action in actions:
        while left and left[0].time < action.time - PAIRED_SECONDS:
            left.popleft()
        if left and left[0].time <= action.time + PAIRED_SECONDS:
            yield action, left.popleft()


def _by_leg(happenings: Iterable[Happening]) -> list[_Own]:
    found: defaultdict[str, list[Happening]] = defaultdict(list)
    for each in happenings:
        if each.uuid is not None:
            found[each.uuid].append(each)
    return [_Own(each) for each in found.values()]


def _moments(happenings: Iterable[Happening]) -> list[float]:
    return [each.at for each in happenings if each.at is not None]


def _level(happening: Happening) -> float:
    """Return the number by which an entry is sorted among entries with the same time."""
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


def _missing(
    uuid: str, own: Sequence[_Numbered], call: Call | None, reported: EventSummary | None
) -> Iterator[_Placed]:
    """Yield the gaps in a leg's statuses, and any contradiction between its record and its events."""
    first, after = own[0][0], own[-1][0] + 1
    if not any(each.events for _, each in own):
        yield first, Gap(uuid=uuid, what="events", detail="The event store has no event of this leg.")
        return
    statuses = [(number, each.what) for number, each in own if each.sort is Sort.STATUS]
    known = {what for _, what in statuses}
    fields = {} if reported is None else reported.state.fields
    if statuses and not known & {CallStatus.STARTED, CallStatus.RINGING}:
        detail = f"The first known status is {statuses[0][1]}."
        yield statuses[0][0], Gap(uuid=uuid, what=CallStatus.STARTED, detail=detail)
    was_answered = (reported is not None and reported.state.was_answered) or (
        call is not None and call.was_answered
    )
    if was_answered and CallStatus.ANSWERED not in known:
        later = (each for each in statuses if rank(each[1]) > _ANSWERED)
        place, what = next(later, (after, "over"))
        detail = f"The leg is {what}, so it must have been answered."
        began = moment(fields.get("start_time"))
        yield place, Gap(uuid=uuid, what=CallStatus.ANSWERED, detail=detail, at=began)
    if call is not None and reported is not None and (contradiction := reported.contradicts(call)):
        yield after, Gap(uuid=uuid, what="contradiction", detail=contradiction)


def _ended(uuid: str, own: Sequence[_Numbered], refusal: str) -> Iterator[_Placed]:
    """Yield a gap for a leg of which the API has no record, unless another source reports the leg's end.

    Such a leg may have ended, or it may belong to another account.

    Args:
        refusal: The API's error message, which may be empty.
    """
    if not any(each.sort is Sort.STATUS and each.what in FINAL for _, each in own):
        detail = f"The API has no record of this leg, and no event reports its end. {refusal}".rstrip()
        yield own[-1][0] + 1, Gap(uuid=uuid, what="end", detail=detail)


def _unmoved(uuid: str, own: Sequence[_Numbered], call: Call | None) -> Iterator[_Placed]:
    """Yield a gap for each change of conversation that neither an event nor an action from this machine explains."""
    unspent = _unreported_moves(own)
    current: str | None = None
    since = -1

    def is_ours(before: float, by: float) -> bool:
        """Return True if a move from this machine explains a change of conversation, and then use up that move."""
        for place, (number, action) in enumerate(unspent):
            if number > since and (number < before or action.time - NOTED_SECONDS <= by):
                del unspent[: place + 1]
                return True
        return False

    for number, each in own:
        if not each.events or each.conversation is None:
            continue
        before = each.left or each.conversation
        if current not in (None, before) and not is_ours(number, each.time):
            detail = f"The leg was in {current}, and then in {before}."
            yield number, Gap(uuid=uuid, what="transfer", detail=detail)
        current, since = each.conversation, number
    if call is None or current is None or call.conversation_uuid in ("", current):
        return
    if not is_ours(math.inf, math.inf):
        detail = f"The leg was in {current}, but its record says {call.conversation_uuid}."
        yield own[-1][0] + 1, Gap(uuid=uuid, what="transfer", detail=detail)


def _unreported_moves(own: Sequence[_Numbered]) -> list[_Numbered]:
    """Return the moves that were requested from this machine and whose effects no event reports."""
    reported = {id(action) for action, _ in _Own([each for _, each in own]).effects()}
    return [
        (number, each)
        for number, each in own
        if each.sort is Sort.ACTION
        and each.outcome == DONE
        and _EFFECTS.get(each.what) == Kind.TRANSFER
        and id(each) not in reported
    ]


def _in_doubt(steps: Sequence[Step]) -> Iterator[_Placed]:
    """Yield a gap for each action with an unknown outcome, but not for a requested call whose leg is known."""
    for number, (each, _) in enumerate(steps):
        is_proved = each.sort in (Sort.ASKED, Sort.SETTLED) and each.uuid is not None
        if each.outcome == UNKNOWN and not is_proved:
            yield (
                number + 1,
                Gap(
                    uuid=each.uuid,
                    what=each.what,
                    detail="The outcome is unknown: the action may or may not have been carried out.",
                ),
            )
