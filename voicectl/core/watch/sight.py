"""A watched leg: how its API records and its events become one status, and which changes follow from them.

Records and events may arrive in any order, late and twice. Each source is first put in order by itself: a record that
is behind an earlier one is dropped, and the events of a leg are summed up whatever their order. Then the two are
merged: of both statuses the one that is farther along counts, so that a leg never goes back, and a reason such as
``busy`` counts for more than a bare ``completed``. The API may lag behind events by seconds; only a contradiction
that outlasts :data:`DISAGREE_SECONDS` is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.history import History
from voicectl.voice.call import CallStatus
from voicectl.voice.event import moment, rank

if TYPE_CHECKING:
    from voicectl.core.history import EventSummary
    from voicectl.store.action_log import Marks
    from voicectl.store.events import Stored
    from voicectl.voice.call import Call

DISAGREE_SECONDS = 3.0
"""For so long the API and an event may tell different things of a leg: one of them is only behind."""


class ChangeKind(StrEnum):
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
    kind: ChangeKind
    sight: Sight


@dataclass(slots=True)
class TrackedLeg:
    """A leg, and what each who tells of it has said.

    Attributes:
        key: Its id, as :func:`~voicectl.core.history.leg_key` has it.
        farthest: How far it has come by its records; one that is behind counts for nothing.
        contradicted: Since when events contradict its record; None if they do not.
    """

    key: str
    birth: Birth
    record: Call | None = None
    farthest: int = 0
    events: dict[int, Stored] = field(default_factory=dict)
    told: EventSummary | None = None
    sight: Sight | None = None
    contradicted: float | None = None

    @property
    def known(self) -> Call | None:
        """The farther of what API and events tell of it; None if that is nothing."""
        if self.record is None:
            return None if self.told is None else self.told.alone()
        return History.merged(self.record, self.told)

    @property
    def is_closed(self) -> bool:
        """True if its record has ended."""
        return self.record is not None and self.record.is_final

    @property
    def is_settled(self) -> bool:
        """Whether it is over by all who tell of it."""
        return self.is_closed and (self.told is None or self.told.state.is_final)

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

    def see(self, call: Call, at: float, *, marks: Marks, is_asked: bool, offset: float) -> list[Change]:
        """Make *call* what is shown of it, and return the changes from what was shown before.

        Args:
            is_asked: The API has just answered for it.
            offset: Seconds that the platform's clock is ahead of that of *at*.
        """
        before = self.sight
        disagreement = self._disagreement(at, is_asked=is_asked)
        ended = None if before is None or before.is_gone else before.ended
        if call.is_final and ended is None:
            ended = at
            if before is None:
                start, end = (moment(call.raw.get(name)) or 0 for name in ("start_time", "end_time"))
                if end > 0:
                    ended = min(end - offset, at)
                if start > 0 and self.birth.source is Since.FIRST_SIGHT:
                    self.birth = Birth(min(start - offset, at), Since.RECORD, is_exact=True)
        self.sight = Sight(
            call=call,
            birth=self.birth,
            marks=marks,
            ended=ended,
            disagreement=disagreement,
            is_told=self.told is not None,
            is_settled=self.is_settled,
        )
        if before is None:
            return [Change(at, ChangeKind.SEEN, self.sight)]
        found = {
            ChangeKind.STATUS: call.status != before.call.status or before.is_gone,
            ChangeKind.CONVERSATION: call.conversation_uuid != before.call.conversation_uuid,
            ChangeKind.DISAGREEMENT: disagreement != before.disagreement,
        }
        return [Change(at, kind, self.sight) for kind, is_new in found.items() if is_new]

    def _disagreement(self, at: float, *, is_asked: bool) -> str | None:
        """In what events contradict the API, once the API was asked again and that has lasted."""
        found = None if self.told is None or self.record is None else self.told.contradicts(self.record)
        if found is None:
            self.contradicted = None
            return None
        if self.contradicted is None:
            self.contradicted = at
        was_so = self.sight is not None and self.sight.disagreement is not None
        return found if was_so or (is_asked and at - self.contradicted >= DISAGREE_SECONDS) else None


def _end_order(call: Call) -> tuple[int, str]:
    if call.status == CallStatus.COMPLETED:
        return (2, "") if call.was_answered else (0, "")
    return 1, call.status
