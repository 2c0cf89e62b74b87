"""A trace laid out as a ladder, with a lane for each leg and a line for each step and each gap.

The steps and gaps of the trace become lines, in the order of the trace. A lane extends from the first to the last
line that concerns its leg. If none of these lines is a final status, the lane extends to the end of the ladder. Each
line puts one mark in the lane of its leg: a status, the end of the leg, another event, an action (drawn as an arrow
from the extra lane ``here``), or a gap. Gaps that concern no single leg are listed below the ladder instead.

The layout does not depend on the output format. It is drawn by :mod:`ladder_text` and :mod:`ladder_svg`. All text
from outside is escaped in this module.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from voicectl.cli.output.styles import STYLES
from voicectl.cli.output.text import clean
from voicectl.core.calls.references import shortest
from voicectl.core.timeline.entries import ALREADY, DONE, Sort
from voicectl.core.timeline.gaps import Gap
from voicectl.voice import endpoint
from voicectl.voice.call import FINAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicectl.core.timeline.entries import Happening
    from voicectl.core.timeline.order import Step, Trace
    from voicectl.voice.call import Call

HERE = "here"

BAD, OURS = "red", "cyan"
"""The styles for things that are wrong or missing, and for actions from this machine."""

STATUS, END, OTHER, ACTION, MISSING = "*", "x", "o", ">", "?"
REORDERED, KNOWN_BY, UNKNOWN_TIME = "~", "<", "?"

_MARKS = {
    STATUS: "a status",
    END: "the end of a leg",
    OTHER: "another event",
    ACTION: "done from this machine",
    MISSING: "a gap",
}
_MEANINGS = {"green": "answered", "yellow": "not answered yet", BAD: "wrong or missing"}
_SIGNS = {
    REORDERED: "in front of a time: the clocks disagree, or the time is later than that of an event it"
    " caused; the line was moved",
    KNOWN_BY: "in front of a time: it happened at that time or earlier",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The lane of a leg in a ladder.

    Attributes:
        number: The number that stands for the leg in the ladder, counted from 1.
        short: A prefix of the leg's id that no other leg's id begins with.
        far_end: The callee of an outbound leg or the caller of an inbound leg, or ``-`` if unknown.
        about: The direction and status of the leg.
        first: The index of the line in which the lane begins.
        last: The index of the line in which the lane ends, or the number of lines if the lane does not end.
    """

    number: int
    uuid: str
    short: str
    far_end: str
    about: str
    first: int
    last: int

    @property
    def legend(self) -> str:
        """The description of the leg, which is shown above the ladder."""
        return "  ".join(part for part in (self.uuid, self.far_end, self.about) if part)


class Line(NamedTuple):
    """A line of a ladder.

    Attributes:
        day: The date and the difference from UTC, or None if they are the same as on the previous line.
        sign: A qualifier for the time: :data:`REORDERED`, :data:`KNOWN_BY`, or a space for none.
        time: The time of day, as text.
        lane: The lane of the leg, or None if the line concerns no leg.
        mark: The mark in the lane, such as :data:`STATUS`.
        style: The style of the mark, as in :mod:`.styles`; red if something is wrong or missing.
        what: The beginning of the text, which names what happened.
    """

    day: str | None
    sign: str
    time: str
    lane: Lane | None
    mark: str
    style: str
    what: str
    text: str

    @property
    def is_bad(self) -> bool:
        """True if something is wrong or missing."""
        return self.style == BAD

    @property
    def numbered_text(self) -> str:
        """The text, preceded by the number of the leg if the line concerns a leg."""
        return self.text if self.lane is None else f"{self.lane.number} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A trace laid out for drawing.

    Attributes:
        has_here: True if the trace contains an action from this machine, which needs the extra lane ``here``.
        rest: The descriptions of the gaps that concern no single leg.
    """

    lanes: Sequence[Lane]
    lines: Sequence[Line]
    has_here: bool
    rest: Sequence[str]

    @property
    def marks(self) -> dict[str, str]:
        """The meaning of each mark in the ladder."""
        used = {line.mark for line in self.lines}
        return {mark: meaning for mark, meaning in _MARKS.items() if mark in used}

    @property
    def signs(self) -> dict[str, str]:
        """The meaning of each sign before a time in the ladder."""
        used = {line.sign for line in self.lines}
        return {sign: meaning for sign, meaning in _SIGNS.items() if sign in used}

    @property
    def colors(self) -> dict[str, str]:
        """The meaning of each color in the ladder."""
        used = {line.style for line in self.lines} | ({BAD} if self.rest else set())
        return {style: meaning for style, meaning in _MEANINGS.items() if style in used}


def ladder(trace: Trace, records: Mapping[str, Call], *, is_local: bool = False) -> Ladder:
    """Lay out a trace for drawing.

    Args:
        records: The records of the legs, by leg id.
        is_local: True to show local times, False to show UTC.
    """
    every = list(trace.lines())
    shown = [each for each in every if not (isinstance(each, Gap) and each.uuid is None)]
    lanes = _lanes(trace.legs, shown, records)
    lines: list[Line] = []
    day = ""
    for each in shown:
        line = (
            _gap_line(each, lanes, is_local) if isinstance(each, Gap) else _step_line(each, lanes, is_local)
        )
        lines.append(line._replace(day=None) if line.day == day else line)
        day = line.day or day
    return Ladder(
        lanes=list(lanes.values()),
        lines=lines,
        has_here=any(line.mark == ACTION for line in lines),
        rest=[clean(each.detail) for each in every if isinstance(each, Gap) and each.uuid is None],
    )


def _lanes(legs: Sequence[str], shown: Sequence[Step | Gap], records: Mapping[str, Call]) -> dict[str, Lane]:
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    over: set[str] = set()
    for number, each in enumerate(shown):
        uuid = each.uuid if isinstance(each, Gap) else each.happening.uuid
        if uuid is not None:
            first.setdefault(uuid, number)
            last[uuid] = number
            if not isinstance(each, Gap) and _is_end(each.happening):
                over.add(uuid)
    lanes = {}
    short = shortest(legs)
    for number, uuid in enumerate(legs, 1):
        call = records.get(uuid)
        about = "" if call is None else ", ".join(part for part in (call.direction, call.status) if part)
        lanes[uuid] = Lane(
            number=number,
            uuid=clean(uuid),
            short=clean(short.get(uuid, uuid)),
            far_end=clean(endpoint.far_end(call) or "-"),
            about=clean(about),
            first=first[uuid],
            last=last[uuid] if uuid in over else len(shown),
        )
    return lanes


def _step_line(step: Step, lanes: Mapping[str, Lane], is_local: bool) -> Line:
    happening = step.happening
    if happening.at is not None:
        sign = REORDERED if step.is_reordered else " "
    else:
        sign = " " if happening.by is None else KNOWN_BY
    day, time = _day_and_time(happening.at if happening.at is not None else happening.by, is_local)
    shown = {
        each: value for each, value in happening.facts.items() if each != "from" or happening.number is None
    }
    facts = "".join(f", {each} {value}" for each, value in shown.items())  # RTC events are from a member's id
    again = f", reported {happening.repeats + 1} times" if happening.repeats else ""
    text = clean(f"{happening.what}{facts}{again} ({', '.join(happening.sources)})")
    lane = None if happening.uuid is None else lanes[happening.uuid]
    return Line(day, sign, time, lane, _mark(happening), _style(happening), clean(happening.what), text)


def _gap_line(gap: Gap, lanes: Mapping[str, Lane], is_local: bool) -> Line:
    day, time = _day_and_time(gap.at, is_local)
    lane = None if gap.uuid is None else lanes[gap.uuid]
    what = clean(f"gap, {gap.what}")
    return Line(
        day, " ", time if gap.at is not None else "", lane, MISSING, BAD, what, f"{what}: {clean(gap.detail)}"
    )


def _day_and_time(moment: float | None, is_local: bool) -> tuple[str | None, str]:
    """Return the date, with the difference from UTC, and the time of day."""
    if moment is None:
        return None, UNKNOWN_TIME
    found = datetime.fromtimestamp(moment, UTC)
    zone = "UTC"
    if is_local:
        with suppress(OverflowError, OSError, ValueError):  # the first and the last day of the calendar
            found = found.astimezone()
            zone = str(timezone(found.utcoffset() or timedelta()))
    return f"{found:%Y-%m-%d} {zone}", f"{found:%H:%M:%S}.{found.microsecond // 1000:03}"


def _style(happening: Happening) -> str:
    if happening.outcome not in (None, DONE, ALREADY):
        return BAD
    return OURS if happening.sort in (Sort.ASKED, Sort.ACTION) else STYLES.get(happening.what, "")


def _mark(happening: Happening) -> str:
    if happening.sort in (Sort.ASKED, Sort.ACTION):
        return ACTION
    if happening.sort is Sort.STATUS:
        return END if _is_end(happening) else STATUS
    return OTHER


def _is_end(happening: Happening) -> bool:
    return happening.sort is Sort.STATUS and happening.what in FINAL
