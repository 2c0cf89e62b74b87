"""The frequency of API requests about watched legs, and the remarks about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.watch.schedule import PollSchedule, PollStatus

# Times of the requests


def test_it_polls_less_often_while_nothing_changes_and_soon_after_a_change() -> None:
    rhythm, now, pauses = PollSchedule(2.0, 0.0), 0.0, []
    assert rhythm.due == 0
    for _ in range(7):
        rhythm.asked(now, now, requests=4, is_changed=False)
        pauses.append(rhythm.due - now)
        now = rhythm.due
    assert pauses == pytest.approx([3, 4.5, 6.75, 10, 10, 10, 10])

    rhythm.asked(now, now, requests=4, is_changed=True)
    assert rhythm.due - now == 2
    rhythm.asked(now, now, requests=4, is_changed=False)
    rhythm.asked(now, now, requests=4, is_changed=False)
    rhythm.stir()
    assert rhythm.due - now == 2


@given(st.floats(0.1, 60), st.lists(st.tuples(st.integers(1, 400), st.booleans(), st.booleans())))
def test_it_never_uses_more_than_a_third_of_the_shared_rate_limit(
    interval: float, polls: list[tuple[int, bool, bool]]
) -> None:
    rhythm, now = PollSchedule(interval, 0.0), 0.0
    asked = 0
    for requests, is_changed, is_stirred in polls:
        now = rhythm.due
        rhythm.asked(now, now, requests=requests, is_changed=is_changed)
        asked += requests
        if is_stirred:
            rhythm.stir()
    if polls:
        assert asked <= PollSchedule.REQUESTS_PER_SECOND * rhythm.due * 1.000001


def test_a_steady_interval_stays_the_same_and_trouble_slows_every_one() -> None:
    rhythm = PollSchedule(2.0, 0.0, is_steady=True)
    rhythm.asked(0, 0, requests=4, is_changed=False)
    assert rhythm.due == 2
    rhythm.failed(2.0)
    rhythm.failed(6.0)
    rhythm.failed(14.0)
    rhythm.failed(24.0)
    assert rhythm.due == 34


# The status line


def test_the_status_line_shows_the_state_of_each_source() -> None:
    standing = PollStatus(began=100.0, pause=2.0)
    assert standing.text(101) == "Waiting for the API."

    standing.asking = 101.0
    assert not standing.is_bad(103)
    assert standing.is_bad(105)
    assert standing.text(112) == "The API has not responded for 12 s."

    standing.asking, standing.answered = None, 110.0
    assert standing.text(112) == "Updated 2 s ago; updates every 2 s."
    standing.has_events = True
    for is_receiving, heard, expected in (
        (True, None, "Events are shown as soon as they arrive; none has come yet."),
        (True, 100.0, "Events are shown as soon as they arrive; the last one came 12s ago."),
        (None, 100.0, "Events are shown as soon as they arrive; the last one came 12s ago."),
        (
            False,
            -7200.0,
            "No receiver ('webhook serve') is running on this machine; the last event came 2h ago.",
        ),
        (False, None, "No receiver ('webhook serve') is running on this machine; no event is stored."),
    ):
        standing.is_receiving, standing.heard = is_receiving, heard
        assert standing.text(112) == f"Updated 2 s ago; updates every 2 s. {expected}"
    standing.events = "it is locked."
    assert (
        standing.text(112)
        == "Updated 2 s ago; updates every 2 s. Stored events cannot be read: it is locked."
    )

    standing.has_events = False
    standing.events, standing.trouble, standing.is_limited = None, "429.", True
    assert standing.text(125) == "Rate limited: no data from the API for 15 s: 429."
