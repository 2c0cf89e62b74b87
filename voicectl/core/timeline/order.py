"""What happened, in order: what several tell of the same legs becomes one sequence, and what is missing is named.

The clocks of those who tell differ. What cannot be otherwise decides before any clock does: a call is asked for
before anything happens to it, a leg is there before anything is done to it, what was done from here precedes its
effect, and a leg's statuses come in their order. Nothing here depends on the order in which anything was read.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from voicectl.core.timeline.entries import ALREADY, CREATE, DONE, UNKNOWN, Happening, Sort, Teller, merged
from voicectl.store.journal import IntentState
from voicectl.voice.call import FINAL, HUMAN, CallStatus
from voicectl.voice.event import Kind, moment, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from voicectl.core.history import EventSummary
    from voicectl.voice.call import Call

NOTED_SECONDS = 20.0
"""How long a deed may have been on its way when it was noted: it is noted once it is answered."""

PAIRED_SECONDS = 60.0
"""How far a deed and its effect may be apart where there is more of one than of the other."""

TOLD_SECONDS = 2.0
"""From which difference on clocks are said to differ; times of whole seconds, and the way there, explain less."""

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
"""What is told of what was done from here; the latter half comes by RTC events."""

_KEY = attrgetter("key")
_DONE = (DONE, ALREADY)
_VOUCHING = frozenset({Teller.API, Teller.EVENT})
_RINGING, _ANSWERED = rank(CallStatus.RINGING), rank(CallStatus.ANSWERED)
_DETECTED, _FINAL = rank(HUMAN), rank(CallStatus.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that must have happened, or may have, and that nobody tells of.

    Attributes:
        uuid: The leg; None if it is about all.
        what: What is missing: a status, ``transfer``, ``end``, ``events``, ``api``, ``clock`` ...
        detail: Why that is known.
        at: When it was, in Unix seconds, if that is known.
    """

    uuid: str | None = None
    what: str
    detail: str
    at: float | None = None


class Step(NamedTuple):
    """One line of a trace.

    Attributes:
        is_reordered: It stands elsewhere than its clock says.
    """

    happening: Happening
    is_reordered: bool


_Place: TypeAlias = tuple[Sort, str | None, tuple[str, ...]]
_Numbered: TypeAlias = tuple[int, Happening]
_Placed: TypeAlias = tuple[int | None, Gap]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happened.

    Attributes:
        legs: Their names, in the order in which they came.
        steps: What happened, in order.
        gaps: What is missing, each with the number of the step before which it was; None where it is about all.
    """

    legs: Sequence[str]
    steps: Sequence[Step]
    gaps: Sequence[tuple[int | None, Gap]]

    def lines(self) -> Iterator[Step | Gap]:
        """The steps and the gaps between them, in order; what is about all comes last."""
        before: defaultdict[int | None, list[Gap]] = defaultdict(list)
        for place, gap in self.gaps:
            before[place].append(gap)
        for number, step in enumerate(self.steps):
            yield from before[number]
            yield step
        yield from before[len(self.steps)]
        yield from before[None]

    def called(self, ids: Mapping[str, str]) -> Trace:
        """The same with legs called as *ids* has them by their names; one that it has not keeps its name."""
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
    told: Mapping[str, EventSummary],
    gone: Mapping[str, str] | None = None,
    has_events: bool,
    gaps: Iterable[Gap] = (),
) -> Trace:
    """Put *happenings* in order, each told once, and find what is missing.

    Args:
        calls: The API's record of each leg that has one, by the leg's name.
        told: What the events of a leg add up to, of each that has some.
        gone: The legs of which the API said that it has no record, by their names, each with what came of looking
            for it; may be empty.
        has_events: Whether there is a store of events that can be asked.
        gaps: What is known to be missing already.
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
            found += _missing(uuid, each, call, told.get(uuid))
        if gone is not None and uuid in gone:
            found += _ended(uuid, each, gone[uuid])
        found += _unmoved(uuid, each, call)
    found += _in_doubt(steps)
    found += [(None, gap) for gap in gaps]
    if ahead:
        how = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the platform's"
        gap = Gap(what="clock", detail=f"This machine's clock was {how}; the order allows for it.")
        found.append((None, gap))
    return Trace(legs=list(own), steps=steps, gaps=found)


def _collapsed(happenings: Iterable[Happening]) -> list[Happening]:
    """Each thing once, whoever told it.

    What the API says of a status is what an event says of it; that a call was created stands in the journal as well
    as in our notes.
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
        is_brief = each.tellers == (Teller.API,) or (each.tellers == (Teller.HERE,) and each.what == CREATE)
        same[_place(fuller.get((each.uuid, each.what), each) if is_brief else each)].append(each)
    return [merged(each) for each in same.values()]


def _place(happening: Happening) -> _Place:
    return happening.sort, happening.uuid, happening.identity


def _ordered(happenings: Sequence[Happening], ahead: float) -> list[Step]:
    """The happenings by time, each cause drawn to before its effect where clocks say otherwise.

    Args:
        ahead: Seconds by which this machine's clock was ahead of the platform's.
    """
    times = {id(each): each.time - ahead if each.is_ours else each.time for each in happenings}
    for own in _by_leg(happenings):
        latest = math.inf
        for group in reversed(own.by_rank()):
            for each in group:
                times[id(each)] = min(times[id(each)], latest)
            latest = min(latest, *(times[id(each)] for each in group))
        for deed, effect in own.effects():
            times[id(deed)] = min(times[id(deed)], times[id(effect)])
        first_deed = min((times[id(each)] for each in own.deeds if each.outcome in _DONE), default=math.inf)
        for each in own.begun:
            times[id(each)] = min(times[id(each)], first_deed)
        first = min(times[id(each)] for each in own.all)
        for each in own.asked:
            times[id(each)] = first
    found = sorted(happenings, key=lambda each: (times[id(each)], _level(each), each.key))
    return [Step(each, each.at is not None and times[id(each)] != each.at) for each in found]


def _clock_ahead(happenings: Sequence[Happening]) -> float:
    """By how many seconds this machine's clock was ahead of the platform's; 0 if nothing shows that they differed."""
    at_least, at_most = -math.inf, math.inf
    for own in _by_leg(happenings):
        vouched = _moments(each for each in own.all if not _VOUCHING.isdisjoint(each.tellers))
        for asked in _moments(own.asked):
            at_least = max(at_least, asked - min(vouched, default=math.inf))
        for deed, effect in own.effects():
            if deed.at is not None and effect.at is not None:
                at_least = max(at_least, deed.at - NOTED_SECONDS - effect.at)
        deeds = _moments(each for each in own.deeds if each.outcome in _DONE)
        at_most = min(at_most, min(deeds, default=math.inf) - max(_moments(own.begun), default=-math.inf))
    if at_least > TOLD_SECONDS:
        return at_least
    return at_most if at_most < -TOLD_SECONDS else 0.0


class _Own:
    """What happened to one leg, by what it is."""

    def __init__(self, happenings: Sequence[Happening]) -> None:
        self.all = happenings
        self.asked = [each for each in happenings if each.sort is Sort.ASKED]
        self.deeds = [each for each in happenings if each.sort is Sort.DEED]
        self.begun = [
            each for each in happenings if each.sort is Sort.STATUS and 0 < rank(each.what) <= _RINGING
        ]

    def by_rank(self) -> list[list[Happening]]:
        """Its statuses, those that come as early as each other together, in the order in which a leg has them."""
        groups: defaultdict[int, list[Happening]] = defaultdict(list)
        for each in self.all:
            if each.sort is Sort.STATUS and rank(each.what):
                groups[rank(each.what)].append(each)
        return [group for _, group in sorted(groups.items())]

    def effects(self) -> Iterator[tuple[Happening, Happening]]:
        """What was done from here, each with what came of it."""
        deeds: defaultdict[str, list[Happening]] = defaultdict(list)
        for each in self.deeds:
            if each.outcome == DONE:
                deeds[_EFFECTS.get(each.what, "")].append(each)
        effects: defaultdict[str, list[Happening]] = defaultdict(list)
        if deeds:
            for each in self.all:
                if each.sort is Sort.OTHER and each.events:
                    effects[each.what].append(each)
            ends = [each for each in self.all if each.sort is Sort.STATUS and rank(each.what) == _FINAL]
            effects[_END] = sorted(ends, key=_KEY)[:1]
        for what, done in deeds.items():
            yield from _paired(sorted(done, key=_KEY), sorted(effects[what], key=_KEY))


def _paired(
    deeds: Sequence[Happening], effects: Sequence[Happening]
) -> Iterator[tuple[Happening, Happening]]:
    """Each deed with its effect: one by one where there are as many, else those that are near each other."""
    if len(deeds) == len(effects):
        yield from zip(deeds, effects, strict=True)
        return
    left = deque(effects)
    for deed in deeds:
        while left and left[0].time < deed.time - PAIRED_SECONDS:
            left.popleft()
        if left and left[0].time <= deed.time + PAIRED_SECONDS:
            yield deed, left.popleft()


def _by_leg(happenings: Iterable[Happening]) -> list[_Own]:
    found: defaultdict[str, list[Happening]] = defaultdict(list)
    for each in happenings:
        if each.uuid is not None:
            found[each.uuid].append(each)
    return [_Own(each) for each in found.values()]


def _moments(happenings: Iterable[Happening]) -> list[float]:
    return [each.at for each in happenings if each.at is not None]


def _level(happening: Happening) -> float:
    """Where it stands among things of the same moment."""
    match happening.sort:
        case Sort.ASKED:
            return 0.0
        case Sort.SETTLED:
            return 0.5
        case Sort.DEED:
            return _RINGING + 0.5
        case Sort.STATUS if rank(happening.what):
            return float(rank(happening.what))
        case _:
            return _DETECTED + 0.5


def _missing(
    uuid: str, own: Sequence[_Numbered], call: Call | None, told: EventSummary | None
) -> Iterator[_Placed]:
    """What the statuses of a leg leave out."""
    first, after = own[0][0], own[-1][0] + 1
    if not any(each.events for _, each in own):
        yield first, Gap(uuid=uuid, what="events", detail="No event of this leg is kept.")
        return
    statuses = [(number, each.what) for number, each in own if each.sort is Sort.STATUS]
    known = {what for _, what in statuses}
    fields = {} if told is None else told.state.fields
    if statuses and not known & {CallStatus.STARTED, CallStatus.RINGING}:
        detail = f"The first that is told of it is {statuses[0][1]}."
        yield statuses[0][0], Gap(uuid=uuid, what=CallStatus.STARTED, detail=detail)
    was_answered = (told is not None and told.state.was_answered) or (call is not None and call.was_answered)
    if was_answered and CallStatus.ANSWERED not in known:
        later = (each for each in statuses if rank(each[1]) > _ANSWERED)
        place, what = next(later, (after, "over"))
        detail = f"It is {what}, so that somebody or something answered."
        began = moment(fields.get("start_time"))
        yield place, Gap(uuid=uuid, what=CallStatus.ANSWERED, detail=detail, at=began)
    if call is not None and told is not None and (contradiction := told.contradicts(call)):
        yield after, Gap(uuid=uuid, what="contradiction", detail=contradiction)


def _ended(uuid: str, own: Sequence[_Numbered], refusal: str) -> Iterator[_Placed]:
    """That a leg has no record, where nobody told of its end: it may be over, or be somebody else's.

    Args:
        refusal: What came of looking for it; may be empty.
    """
    if not any(each.sort is Sort.STATUS and each.what in FINAL for _, each in own):
        detail = f"The API has no record of it, and no event told of its end. {refusal}".rstrip()
        yield own[-1][0] + 1, Gap(uuid=uuid, what="end", detail=detail)


def _unmoved(uuid: str, own: Sequence[_Numbered], call: Call | None) -> Iterator[_Placed]:
    """Where a leg changed its conversation, and nobody told how: no event, and nothing that was done from here."""
    unspent = _untold_moves(own)
    current: str | None = None
    since = -1

    def is_ours(before: float, by: float) -> bool:
        """Whether a move from here explains a change after *since*: each explains one."""
        for place, (number, deed) in enumerate(unspent):
            if number > since and (number < before or deed.time - NOTED_SECONDS <= by):
                del unspent[: place + 1]
                return True
        return False

    for number, each in own:
        if not each.events or each.conversation is None:
            continue
        before = each.left or each.conversation
        if current not in (None, before) and not is_ours(number, each.time):
            detail = f"It was in {current}, and then in {before}."
            yield number, Gap(uuid=uuid, what="transfer", detail=detail)
        current, since = each.conversation, number
    if call is None or current is None or call.conversation_uuid in ("", current):
        return
    if not is_ours(math.inf, math.inf):
        detail = f"It was in {current}, and its record has it in {call.conversation_uuid}."
        yield own[-1][0] + 1, Gap(uuid=uuid, what="transfer", detail=detail)


def _untold_moves(own: Sequence[_Numbered]) -> list[_Numbered]:
    """The moves that were done from here of which no event told what came of them."""
    told = {id(deed) for deed, _ in _Own([each for _, each in own]).effects()}
    return [
        (number, each)
        for number, each in own
        if each.sort is Sort.DEED
        and each.outcome == DONE
        and _EFFECTS.get(each.what) == Kind.TRANSFER
        and id(each) not in told
    ]


def _in_doubt(steps: Sequence[Step]) -> Iterator[_Placed]:
    """What was asked for from here, and may have happened or not."""
    for number, (each, _) in enumerate(steps):
        is_proved = each.sort in (Sort.ASKED, Sort.SETTLED) and each.uuid is not None
        if each.outcome == UNKNOWN and not is_proved:
            yield number + 1, Gap(uuid=each.uuid, what=each.what, detail="Nobody knows whether it was done.")
