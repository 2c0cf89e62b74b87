"""A call's record, its statuses, and the legal successors of each status."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.voice.call import FINAL, LIVE, NEXT, Call, CallStatus

ENDS = ["busy", "cancelled", "failed", "rejected", "timeout", "unanswered"]


def call(status: str, duration: object = None) -> Call:
    return Call.from_json({"uuid": "u", "status": status, "duration": duration})


def test_every_status_is_live_or_final() -> None:
    assert sorted([*LIVE, *FINAL]) == sorted(CallStatus)


def test_no_status_follows_a_final_one_and_every_live_one_can_end() -> None:
    assert set(NEXT) == set(CallStatus)
    assert all(not NEXT[status] for status in FINAL)
    assert all(NEXT[status] for status in LIVE)


def test_a_leg_never_goes_back() -> None:
    for before in LIVE:
        for after in NEXT[before]:
            assert after in FINAL or LIVE.index(after) > LIVE.index(before)


REACHED = [
    # status, duration, and which of these it has reached
    ("started", None, "started"),
    ("ringing", None, "started ringing"),
    ("answered", None, "started ringing answered"),
    ("machine", None, "started ringing answered machine"),
    ("completed", "14", "started ringing answered completed ended"),
    ("completed", 14, "started ringing answered completed ended"),
    ("completed", "0", "started ringing completed ended"),
    ("completed", None, "started ringing completed ended"),
    ("completed", "soon", "started ringing completed ended"),
    *((status, None, f"started {status} ended") for status in ENDS),
    ("a word from the future", None, "started"),
]


@pytest.mark.parametrize(("status", "duration", "reached"), REACHED)
def test_which_statuses_a_record_proves(status: str, duration: object, reached: str) -> None:
    seen = call(status, duration)

    proves = [until for until in CallStatus if seen.has_reached(until)] + ["ended"] * seen.has_reached(
        "ended"
    )
    assert sorted(proves) == sorted(reached.split())
    assert seen.was_answered == ("answered" in reached.split())


ODD = [
    ({"to": [{"type": "phone", "number": "1"}]}, {"type": "phone", "number": "1"}),
    ({"to": {"type": "phone", "number": "1"}}, {"type": "phone", "number": "1"}),
    ({"to": "447700900001"}, {"number": "447700900001"}),
    ({"to": []}, {}),
    ({"to": None}, {}),
    ({"to": 1}, {}),
    ({}, {}),
]


@pytest.mark.parametrize(("raw", "to"), ODD)
def test_a_party_is_read_in_any_form(raw: dict[str, object], to: dict[str, str]) -> None:
    assert Call.from_json({"uuid": "u"} | raw).to == to


@pytest.mark.parametrize("raw", [{}, {"uuid": ""}, {"uuid": None}, {"uuid": 1}])
def test_only_the_id_is_required(raw: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="without a uuid"):
        Call.from_json(raw)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@given(
    st.dictionaries(
        st.sampled_from(["status", "direction", "to", "from", "duration", "price", "new"]), VALUES
    )
)
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
def test_no_record_is_too_odd_to_read_and_all_its_fields_are_kept(raw: dict[str, object]) -> None:
    read = Call.from_json({"uuid": "u"} | raw)

    assert read.raw == {"uuid": "u"} | raw
    assert read.has_reached("ended") == read.is_final
