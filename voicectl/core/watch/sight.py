"""A watched leg. Its API records and events are merged into one state, and changes to this state are reported."""

# How API records and events merge
#
# A leg has two sources. The API is polled: its records are complete but late, and some of the platform's servers may
# answer with older records than others. The event store has the events that webhooks reported. Events are fast, but
# they may be late, repeated, out of order or lost, and there may be none at all. Neither source is reliable by
# itself.
#
# 1. The reports of each source are put in order separately. A new record replaces the last record unless the new one
#    has an older state: a lower rank, a live status after a final one, or a final status that says less than the last
#    one (TrackedLeg.take). Events are kept by id, and their summary is computed from all of them, so their order and
#    repeated events do not matter (Board._remember).
# 2. The record and the summary are merged (History.merged): the later status counts, and a reason such as "busy"
#    counts more than "completed", which gives no reason.
# 3. Changes are the differences between what was shown and what is known now (TrackedLeg.see). Nothing else counts
#    as a change. So each change is reported once, and a record or an event without news causes no change.
# 4. The record and the events may contradict each other for some seconds, because the API is late. A contradiction is
#    shown only if it still exists after DISAGREE_SECONDS and after another request to the API. It is then shown until
#    it is resolved.
# 5. A leg without a record is not marked as gone while it is so new that the API may not know it yet (LOST_SECONDS).
#    A leg that was marked as gone is shown as known again if a later record or event reports it.
#
# Invariants: the status of a leg does not go back; one record or event causes at most one change of each kind; the
# times of changes never decrease, even if the machine's clock is set back (Board._time).

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
"""How long the API and the events may disagree about a leg before the disagreement is shown, in seconds."""


class ChangeKind(StrEnum):
    """The kind of a change to a watched leg."""

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
        source: The source of the time.
        is_exact: True if the leg began at exactly this time, False if it may have begun earlier.
    """

    at: float
    source: Since
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The known state of a leg at one moment.

    Attributes:
        call: The leg as merged from its API record and its events; see :class:`~voicectl.core.history.History`.
        ended: The time at which the leg ended, or at which its end was noticed, in Unix seconds; None if the leg is
            live.
        is_gone: True if the API no longer has a record of the leg.
        disagreement: A message about the contradiction between the API and the events, or None if no contradiction is
            shown.
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
        """Return the leg's age at *now*, or at its end if it has ended, in seconds. The age is at least 0."""
        return max((now if self.ended is None else min(self.ended, now)) - self.birth.at, 0.0)


class Change(NamedTuple):
    """A change to a leg.

    Attributes:
        at: The time at which the change was noticed, in Unix seconds. Within a stream, this time never decreases.
        kind: The kind of the change.
        sight: The leg after the change.
    """

    at: float
    kind: ChangeKind
    sight: Sight


@dataclass(slots=True)
class TrackedLeg:
    """A leg, and what each source has reported about it.

    Attributes:
        key: The leg's id, in the form of :func:`~voicectl.core.history.leg_key`.
        record: The API record in use, or None if the API has not returned the leg yet.
        farthest: How far the leg has progressed according to any record so far, as the rank of its status in the
            course of a call. A live record with a lower rank is ignored.
        reported: The summary of the events, or None if there are no events.
        sight: The last state shown for the leg, or None if the leg has not been shown yet.
        contradicted: The time at which the events were first found to contradict the record, in Unix seconds, or None
            if there is no contradiction.
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
        """The leg as merged from its record and its events, or None if it has neither."""
        if self.record is None:
            return None if self.reported is None else self.reported.alone()
        return History.merged(self.record, self.reported)

    @property
    def is_closed(self) -> bool:
        """True if the leg's record has a final status."""
        return self.record is not None and self.record.is_final

    @property
    def is_settled(self) -> bool:
        """True if the leg's record has a final status and its events, if there are any, report a final status too."""
        return self.is_closed and (self.reported is None or self.reported.state.is_final)

    def is_as_before(self, call: Call) -> bool:
        """Return True if *call* is the same as the record in use, and nothing else requires an update."""
        return (
            self.record is not None
            and self.record.raw == call.raw
            and self.contradicted is None
            and self.sight is not None
            and not self.sight.is_gone
        )

    def take(self, call: Call) -> None:
        """Store a record, unless it has an older state than an earlier record.

        The platform's servers may return different states. An unknown status may occur at any point before the leg
        ends. Of two final records, the more informative one is kept: the one that says that the leg was answered or,
        if neither says so, the one that says why the leg was not answered.
        """
        if self.record is not None and self.record.is_final:
            is_behind = not call.is_final or _end_order(call) < _end_order(self.record)
        else:
            is_behind = 0 < rank(call.status) < self.farthest
        if not is_behind:
            self.record = call
            self.farthest = max(self.farthest, rank(call.status))

    def see(self, call: Call, at: float, *, marks: Marks, is_asked: bool, offset: float) -> list[Change]:
        """Show *call* as the leg's new state, and return how it differs from the state shown before.

        Args:
            is_asked: True if the API has just returned the leg's record.
            offset: How far the platform's clock is ahead of the clock that *at* was read from, in seconds.
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
        """Return a message on how the API and the events contradict each other, or None if they do not.

        A contradiction is shown only if it has lasted for :data:`DISAGREE_SECONDS`, and another request confirms it.
        """
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
