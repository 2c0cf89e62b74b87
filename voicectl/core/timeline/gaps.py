"""Finds the gaps in the ordered entries of a leg: what must or may have happened, but no source reports."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from voicectl.core.timeline.effects import EFFECTS, NOTED_SECONDS
from voicectl.core.timeline.entries import DONE, UNKNOWN, Happening, Sort
from voicectl.core.timeline.rtc import JOINED, LEFT, statuses
from voicectl.voice.call import FINAL, CallStatus
from voicectl.voice.event import Kind, moment, rank

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from voicectl.core.history import EventSummary
    from voicectl.voice.call import Call

LATE_SECONDS = 1.0
"""How long after a move a report may name the conversation that the leg has left, in seconds."""

_ANSWERED = rank(CallStatus.ANSWERED)


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


_Numbered: TypeAlias = tuple[int, Happening]
_Placed: TypeAlias = tuple[int | None, Gap]


def find(
    happenings: Sequence[Happening],
    *,
    calls: Mapping[str, Call],
    reported: Mapping[str, EventSummary],
    gone: Mapping[str, str],
    effective: Collection[int],
    has_events: bool,
) -> Iterator[_Placed]:
    """Yield the gaps in a trace, each with the index of the entry that follows it.

    Args:
        happenings: The entries of the trace, in order.
        calls: The API records of the legs, keyed by :func:`.leg_key`, as are the other mappings.
        reported: The summaries of the legs' events.
        gone: The API's error messages about legs of which it has no record.
        effective: The ``id()`` of each action whose effect was reported.
        has_events: True if there is an event store that can be read.
    """
    own: defaultdict[str, list[_Numbered]] = defaultdict(list)
    for number, each in enumerate(happenings):
        if each.uuid is not None:
            own[each.uuid].append((number, each))
    for uuid, entries in own.items():
        call = calls.get(uuid)
        if has_events:
            yield from _missing(uuid, entries, call, reported.get(uuid))
        if uuid in gone:
            yield from _ended(uuid, entries, gone[uuid])
        yield from _unmoved(uuid, entries, call, effective)
    yield from _in_doubt(happenings)


def _missing(
    uuid: str, own: Sequence[_Numbered], call: Call | None, reported: EventSummary | None
) -> Iterator[_Placed]:
    """Yield the gaps in a leg's statuses, and any contradiction between its record and its events."""
    first, after = own[0][0], own[-1][0] + 1
    if not any(each.events for _, each in own):
        yield first, Gap(uuid=uuid, what="events", detail="The event store has no events for this leg.")
        return
    reached = [(number, each.what) for number, each in own if each.sort is Sort.STATUS]
    known = {what for _, what in reached}.union(*(statuses(each) for _, each in own))
    fields = {} if reported is None else reported.state.fields
    if reached and not known & {CallStatus.STARTED, CallStatus.RINGING}:
        detail = f"The first known status is {reached[0][1]}."
        yield reached[0][0], Gap(uuid=uuid, what=CallStatus.STARTED, detail=detail)
    was_answered = (reported is not None and reported.state.was_answered) or (
        call is not None and call.was_answered
    )
    if was_answered and CallStatus.ANSWERED not in known:
        later = (each for each in reached if rank(each[1]) > _ANSWERED)
        place, what = next(later, (after, "answered"))
        detail = f"No event reports it, but the leg is recorded as {what}."
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


def _unmoved(
    uuid: str, own: Sequence[_Numbered], call: Call | None, effective: Collection[int]
) -> Iterator[_Placed]:
    """Yield a gap for each change of conversation that neither an event nor an action from this machine explains."""
    place = _Whereabouts(_unreported_moves(own, effective))
    reports = [each for each in own if each[1].events and each[1].conversation is not None]
    for _, instant in groupby(reports, key=lambda each: each[1].time):
        for number, left in place.changes(list(instant)):
            detail = f"The leg was in {left}, and then in {place.current}."
            yield number, Gap(uuid=uuid, what="transfer", detail=detail)
    if call is None or place.current is None or call.conversation_uuid in ("", place.current):
        return
    if not place.is_ours(math.inf, math.inf):
        detail = f"The leg was in {place.current}, but its record says {call.conversation_uuid}."
        yield own[-1][0] + 1, Gap(uuid=uuid, what="transfer", detail=detail)


class _Whereabouts:
    """Follows a leg from one conversation to the next.

    Several events report a move: the call event ``transfer``, and RTC events about leaving and joining. Their times
    are equal or almost equal, so their order cannot be relied on. The same is true of other events around the move.

    Args:
        unspent: The moves from this machine whose effects no event reports.

    Attributes:
        current: The id of the conversation that the leg is in, or None if it is not known yet.
    """

    def __init__(self, unspent: list[_Numbered]) -> None:
        self.current: str | None = None
        self._unspent = unspent
        self._since = -1
        self._left: str | None = None
        self._left_at = -math.inf

    def changes(self, instant: Sequence[_Numbered]) -> Iterator[tuple[int, str]]:
        """Read reports that have the same time, and yield the changes of conversation that they do not explain.

        Each pair contains the index of the next report, and the id of the conversation that the leg left.
        """
        ends = {each.left for _, each in instant if each.left} | {
            each.conversation for _, each in instant if each.what == LEFT
        }
        moves = [each for each in instant if each[1].left or each[1].what == JOINED]
        others = [each for each in instant if not (each[1].left or each[1].what in (JOINED, LEFT))]
        seen = {self.current}
        for number, each in sorted(moves, key=lambda each: each[1].conversation not in ends):
            if each.conversation != self.current:
                before = self.current
                if each.left and self._is_unexplained(each.left, number, each.time):
                    self.current = each.left
                    yield number, before or ""
                self._go(each)
            self._since = number
            seen |= {each.left, each.conversation}
        for number, each in others:
            if each.conversation not in seen and not self._is_late(each):
                before = self.current
                is_unexplained = self._is_unexplained(each.conversation or "", number, each.time)
                self._go(each)
                if is_unexplained:
                    yield number, before or ""
            self._since = number

    def is_ours(self, before: float, by: float) -> bool:
        """Return True if a move from this machine explains a change of conversation. The move is then used up.

        Args:
            before: The index of the first report after the change.
            by: The time of that report.
        """
        for place, (number, action) in enumerate(self._unspent):
            if number > self._since and (number < before or action.time - NOTED_SECONDS <= by):
                del self._unspent[: place + 1]
                return True
        return False

    def _is_unexplained(self, conversation: str, number: int, at: float) -> bool:
        return self.current not in (None, conversation) and not self.is_ours(number, at)

    def _go(self, report: Happening) -> None:
        self._left, self._left_at = self.current, report.time
        self.current = report.conversation

    def _is_late(self, report: Happening) -> bool:
        """Return True if a report names the conversation that the leg has just left."""
        return report.conversation == self._left and report.time - self._left_at <= LATE_SECONDS


def _unreported_moves(own: Sequence[_Numbered], effective: Collection[int]) -> list[_Numbered]:
    """Return the moves of legs that voicectl requested on this machine, and whose effects no event reports."""
    return [
        (number, each)
        for number, each in own
        if each.sort is Sort.ACTION
        and each.outcome == DONE
        and EFFECTS.get(each.what) == Kind.TRANSFER
        and id(each) not in effective
    ]


def _in_doubt(happenings: Iterable[Happening]) -> Iterator[_Placed]:
    """Yield a gap for each action with an unknown outcome, but not for a requested call whose leg is known."""
    for number, each in enumerate(happenings):
        is_proved = each.sort in (Sort.ASKED, Sort.SETTLED) and each.uuid is not None
        if each.outcome == UNKNOWN and not is_proved:
            detail = "The outcome is unknown: the action may or may not have been carried out."
            yield number + 1, Gap(uuid=each.uuid, what=each.what, detail=detail)
