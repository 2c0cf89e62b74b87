"""The hours in which people may be called, by their own clocks."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from voicectl.core.batch.hours import Window
from voicectl.errors import InputError

LONDON = ZoneInfo("Europe/London")


def opens(window: str, now: str, zone: ZoneInfo = LONDON) -> str | None:
    """Return when a window opens, as local time, or None if it is open."""
    at = Window.parse(window).opens_at(datetime.fromisoformat(now).replace(tzinfo=zone).timestamp(), zone)
    return None if at is None else datetime.fromtimestamp(at, zone).strftime("%a %d %H:%M")


@pytest.mark.parametrize(
    ("window", "now", "opening"),
    [
        ("09:00-20:00", "2026-02-02T09:00", None),
        ("09:00-20:00", "2026-02-02T19:59:59", None),
        ("09:00-20:00", "2026-02-02T20:00", "Tue 03 09:00"),
        ("09:00-20:00", "2026-02-02T08:59", "Mon 02 09:00"),
        ("mon-fri 09:00-20:00", "2026-02-06T21:00", "Mon 09 09:00"),
        ("sat,sun 10:00-14:00", "2026-02-02T11:00", "Sat 07 10:00"),
        ("fri-mon 10:00-14:00", "2026-02-03T11:00", "Fri 06 10:00"),
        ("mon 00:00-24:00", "2026-02-02T23:59", None),
        ("mon 10:00-11:00", "2026-02-02T11:00", "Mon 09 10:00"),
        ("09:00-20:00", "2026-03-28T21:00", "Sun 29 09:00"),  # the clock goes forward in the night
        ("09:00-20:00", "2026-10-24T21:00", "Sun 25 09:00"),  # and back
    ],
)
def test_the_window_is_open_or_opens_next_at(window: str, now: str, opening: str | None) -> None:
    assert opens(window, now) == opening


def test_the_wall_clock_of_the_person_counts() -> None:
    now = datetime.fromisoformat("2026-02-02T09:30:00+00:00").timestamp()

    assert Window.parse("09:00-20:00").opens_at(now, LONDON) is None
    assert Window.parse("09:00-20:00").opens_at(now, ZoneInfo("America/New_York")) is not None


@pytest.mark.parametrize(
    "text",
    ["", "9-20", "09:00", "20:00-09:00", "09:00-09:00", "25:00-26:00", "09:60-10:00", "xyz 09:00-10:00"],
)
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Window.parse(text)
