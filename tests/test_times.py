"""Times as users type them, and times as the API writes them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl import times
from voicectl.errors import InputError

NOW = 1_770_000_000.0  # 2026-02-02T02:40:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("0.001", 0.001),
        ("90s", 90),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("2d", 172_800),
        ("1d1h1m1s", 90_061),
        ("90m", 5400),
    ],
)
def test_a_duration_is_seconds_or_units(text: str, seconds: float) -> None:
    assert times.duration(text) == seconds


ODD = "| |x|-1|+1|1e3|1_0|1,5|.5|1.|1h30|30m1h|1w|1 h|\u0661|nan|inf|0x10|1.2345|1234567890|90\n|1.5h"


@pytest.mark.parametrize("text", ODD.split("|"))
def test_no_other_text_is_a_duration(text: str) -> None:
    with pytest.raises(InputError, match="not a duration"):
        times.duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", "2026-02-02T02:30:00Z"),
        ("0", "2026-02-02T02:40:00Z"),
        ("1d", "2026-02-01T02:40:00Z"),
        ("2026-01-31T07:45:14Z", "2026-01-31T07:45:14Z"),
        ("2026-01-31T07:45:14.999Z", "2026-01-31T07:45:14Z"),
        ("2026-01-31T07:45:14+01:00", "2026-01-31T06:45:14Z"),
        ("2026-01-31 07:45:14-05:30", "2026-01-31T13:15:14Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_a_date_with_an_offset_or_an_age(text: str, moment: str) -> None:
    assert times.moment(text, now=NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31T07:45:14",
        "2026-01-31",
        "2026-02-30T00:00:00Z",
        "999999d",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_no_other_text_is_a_time(text: str) -> None:
    with pytest.raises(InputError):
        times.moment(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-02-03T09:15:02.000Z", "2026-02-03T09:15:02Z"),
        ("2026-02-03T09:15:02.123Z", "2026-02-03T09:15:02.123Z"),
        ("2026-02-03 09:15:02", "2026-02-03T09:15:02Z"),
        ("2026-02-03T09:15:02+02:00", "2026-02-03T07:15:02Z"),
        ("0099-02-03T09:15:02Z", "0099-02-03T09:15:02Z"),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"),  # no calendar has it in UTC
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_an_api_time_is_shown_in_one_form_or_unchanged(text: str, shown: str) -> None:
    assert times.normal(text) == shown


@given(st.text(max_size=40) | st.datetimes(timezones=st.timezones(no_cache=True)).map(str))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_no_api_time_is_too_odd_to_show(text: str) -> None:
    shown = times.normal(text)

    assert shown == text or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", shown, re.ASCII)
    assert times.normal(shown) == shown


@given(st.text(max_size=20) | st.from_regex(r"[0-9dhms.]{0,12}", fullmatch=True))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_typed_text_is_a_time_in_utc_or_refused(text: str) -> None:
    try:
        moment = times.moment(text, now=NOW)
    except InputError:
        return
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", moment)


@pytest.mark.parametrize(
    ("seconds", "is_exact", "shown"),
    [
        (0, True, "0s"),
        (59.9, True, "59s"),
        (60, True, "1m"),
        (192, False, ">3m"),
        (7300, True, "2h"),
        (86_400 * 5, False, ">5d"),
        (1e12, True, "999d"),
    ],
)
def test_an_age_is_short(seconds: float, is_exact: bool, shown: str) -> None:
    assert times.age_text(seconds, is_exact=is_exact) == shown
