"""The keys of a telephone."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicectl.errors import InputError
from voicectl.voice import dtmf

KEYS = "0123456789*#p"


@given(st.text(alphabet=KEYS, min_size=1))
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_keys_are_sent_as_they_are(digits: str) -> None:
    assert dtmf.check(digits) == digits


@given(st.text() | st.text(alphabet=KEYS + "P\nab\u0661\uff11 "))
@example("1234\n")
@example("\u0661\u0662")
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_anything_else_is_refused_by_its_place_and_never_shown(digits: str) -> None:
    if digits and set(digits) <= set(KEYS):
        assert dtmf.check(digits) == digits
        return
    with pytest.raises(InputError) as refused:
        dtmf.check(digits)

    at = next((place for place, key in enumerate(digits, 1) if key not in KEYS), None)
    shown = f"Character {at} of the digits is not a telephone key." if at else "There are no digits to send."
    assert refused.value.message == shown
