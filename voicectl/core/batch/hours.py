"""The hours in which people may be called, such as ``mon-fri 09:00-20:00``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from voicectl.errors import InputError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(?:(?P<days>[a-z,-]+) +)?(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)", re.ASCII)
_HINT = "Write it as 09:00-20:00, or with days: 'mon-fri 09:00-20:00', 'sat,sun 10:00-14:00'."


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The daily hours in which people may be called, by their own clocks.

    Attributes:
        days: The days of the week, from 0 for Monday.
        start: The beginning, in minutes after midnight.
        end: The end, in minutes after midnight. It is not part of the window.
    """

    days: frozenset[int]
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read a window.

        Raises:
            InputError: *text* is not a window, or the window ends before it begins.
        """
        found = _WINDOW.fullmatch(text.strip().lower())
        if found is None:
            raise InputError(f"--window {text!r} is not a window.", hint=_HINT)
        start, end = _minutes(found["start"]), _minutes(found["end"])
        if start >= end:
            raise InputError(f"--window {text!r} does not end after it begins.", hint=_HINT)
        return cls(days=_days(found["days"]), start=start, end=end)

    def opens_at(self, now: float, zone: ZoneInfo) -> float | None:
        """Return when the window next opens, in Unix seconds, or None if it is open at the time *now*.

        The hours are those of the wall clock in *zone*, also on days on which the clock changes.
        """
        local = datetime.fromtimestamp(now, zone)
        minute = local.hour * 60 + local.minute
        if local.weekday() in self.days and self.start <= minute < self.end:
            return None
        today = minute < self.start
        for ahead in range(0 if today else 1, 9):
            day = local.date() + timedelta(days=ahead)
            if day.weekday() in self.days:
                opening = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=self.start)
                return max(opening.astimezone(UTC).timestamp(), now + 1)
        return now + 86_400  # not reached: there is at least one day


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if hours > 24 or minutes > 59 or hours * 60 + minutes > 24 * 60:
        raise InputError(f"--window: {text} is not a time of day.", hint=_HINT)
    return hours * 60 + minutes


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise InputError(f"--window: {part!r} is not a day or a range of days.", hint=_HINT)
        begins, ends = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begins, ends + 1 + 7 * (ends < begins))}
    return frozenset(found)
