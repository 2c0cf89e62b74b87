"""A watched leg: its API records and its events are merged into one status, from which changes follow."""

# How API records and events merge
#
# There are two sources for a leg. The API is polled: its records are complete but late, and different servers of the
# platform may answer with older and newer ones. The event store has what webhooks reported: events are fast, but may
# be late, repeated, out of order or lost, and may not exist at all. Neither source is right by itself.
#
# 1. Each source is put in order by itself. A record replaces the last one unless it is behind it: a lower rank, a
#    live status after a final one, or of two final ones the one that says less (TrackedLeg.take). Events are kept by
#    id, and their summary is computed from all of them, so order and repeats do not matter (Board._remember).
# 2. The two are merged (History.merged): the status that is farther along counts, and a reason such as "busy" counts
#    more than a bare "completed".
# 3. Changes are the differences between what was shown and what is known now (TrackedLeg.see). Nothing else makes
#    changes, so each is reported once, and a record or an event without news makes none.
# 4. A contradiction between the two is normal for seconds, since the API lags behind. It is shown only if it still
#    holds DISAGREE_SECONDS later, after the API was asked again. Once shown, it stays until it is resolved.
# 5. A leg without a record is not gone as long as it is so new that the API may not know it yet (LOST_SECONDS). A leg
#    that was gone comes back if a later record or event shows it.
#
# Invariants: the status of a leg does not go back; at most one change of each kind follows from one record or event;
# the times of changes never decrease, although the machine's clock may (Board._time).

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
"""Seconds in which the API and the events may differ on a leg, because one of them is late."""


class ChangeKind(StrEnum):
    """The kind of a change."""

    SEEN = "seen"
    STATUS = "status"
    CONVERSATION = "conversation"
    MARKS = "marks"
    DISAGREEMENT = "disagreement"
    GONE = "gone"


class Since(StrEnum):
    """The source of the time at which a leg began."""

    JOURNAL = "journal"
    EVENT = "event"
    RECORD = "record"
    FIRST_SIGHT = "first sight"


class Birth(NamedTuple):
    """The time at which a leg began.

    Attributes:
        at: The time in Unix seconds.
        is_exact: True if the leg began then; False if it may be older.
    """

    at: float
    source: Since
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A leg as known at one moment.

    Attributes:
        call: Its record and its events, as :class:`~voicectl.core.history.History` merges them.
        ended: The time of its end, or of noticing it, in Unix seconds; None if the leg is live.
        is_gone: True if the API has no record of it any more.
        disagreement: The contradiction between the API and the events, or None.
        has_events: True if the leg has events.
        is_settled: True if every source that knows the leg reports its end.
    """

    call: Call
    birth: Birth
    marks: Marks
    ended: float | None = None
    is_gone: bool = False
    disagreement: str | None = None
    has_events: bool = False
    is_settled: bool = False

    @property
    def is_over(self) -> bool:
        """True if the leg has ended."""
        return self.ended is not None

    def age(self, now: float) -> float:
        """Return the leg's age in seconds at *now*, or at its end; at least 0."""
        return max((now if self.ended is None else min(self.ended, now)) - self.birth.at, 0.0)


class Change(NamedTuple):
    """A change of a leg.

    Attributes:
        at: The time of noticing it, in Unix seconds; it never decreases within a stream.
        sight: The leg after the change.
    """

    at: float
    kind: ChangeKind
    sight: Sight


@dataclass(slots=True)
class TrackedLeg:
    """A leg with the reports of each source.

    Attributes:
        key: Its id, in the form of :func:`~voicectl.core.history.leg_key`.
        farthest: The highest rank among its records; a record below that is ignored.
        contradicted: The time since which events contradict its record; None if they do not.
    """

    key: str
    birth: Birth
    record: Call | None = None
    farthest: int = 0
    events: dict[int, Stored] = field(default_factory=dict)
    reported: EventSummary | None = None
    sight: Sight | None = None
    contradicted: float | None = None

    @property
    def known(self) -> Call | None:
        """The leg as merged from its record and its events; None if it has neither."""
        if self.record is None:
            return None if self.reported is None else self.reported.alone()
        return History.merged(self.record, self.reported)

    @property
    def is_closed(self) -> bool:
        """True if its record has ended."""
        return self.record is not None and self.record.is_final

    @property
    def is_settled(self) -> bool:
        """True if its record has ended and so have its events, if it has any."""
        return self.is_closed and (self.reported is None or self.reported.state.is_final)

    def is_as_before(self, call: Call) -> bool:
        """Return True if a record has no news."""
        return (
            self.record is not None
            and self.record.raw == call.raw
            and self.contradicted is None
            and self.sight is not None
            and not self.sight.is_gone
        )

    def take(self, call: Call) -> None:
        """Store a record, unless it is behind an earlier one: servers of the platform may differ.

        An unknown status may occur anywhere before the end. Of two final records the one that says more counts: that
        the leg was answered, or else why it was not.
        """
        if self.record is not None and self.record.is_final:
            is_behind = not call.is_final or _end_order(call) < _end_order(self.record)
        else:
            is_behind = 0 < rank(call.status) < self.farthest
        if not is_behind:
            self.record = call
            self.farthest = max(self.farthest, rank(call.status))

    def see(self, call: Call, at: float, *, marks: Marks, is_asked: bool, offset: float) -> list[Change]:
        """Show *call*, and return the changes from what was shown before.

        Args:
            is_asked: True if the API has just returned the leg.
            offset: Seconds that the platform's clock is ahead of the clock of *at*.
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
            has_events=self.reported is not None,
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
        """Return the contradiction between the API and the events, if it has lasted and the API was asked again."""
        found = (
            None if self.reported is None or self.record is None else self.reported.contradicts(self.record)
        )
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
