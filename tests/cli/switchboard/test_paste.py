"""Pasted text never acts, even on terminals that do not mark it. Times are in milliseconds."""

from __future__ import annotations

import pytest

from voicectl.cli.switchboard.paste import KeyGate


def pressed(*keys: tuple[str, float], harmless: str = "") -> str:
    """Return the keys that act if each is pressed at its time, in milliseconds."""
    gate: KeyGate[str] = KeyGate(harmless.__contains__)
    acted: list[str] = []
    for key, at in keys:
        acted += gate.press(key, at / 1000)
    acted += gate.release(100.0)
    assert not gate.is_holding
    return "".join(acted)


def test_keys_act_in_the_order_in_which_they_are_pressed() -> None:
    assert pressed(("h", 0), ("y", 80), ("j", 160)) == "hyj"


def test_a_key_is_held_until_it_is_certain_that_it_is_alone() -> None:
    gate: KeyGate[str] = KeyGate()

    assert gate.press("h", 0.0) == []
    assert gate.release(0.019) == []
    assert gate.release(0.020) == ["h"]


def test_three_keys_at_once_act_and_four_do_not() -> None:
    assert pressed(("h", 0), ("y", 0), ("j", 19)) == "hyj"
    assert pressed(("h", 0), ("y", 0), ("j", 0), ("k", 19)) == ""
    assert pressed(("h", 0), ("y", 7), ("j", 14), ("k", 20)) == "hyjk"


def test_pasted_text_that_comes_in_pieces_does_not_act() -> None:
    piece = [(key, 0.0) for key in "hangup"]

    assert pressed(*piece, ("h", 100), ("y", 200), ("m", 449)) == ""
    assert pressed(*piece, ("h", 250)) == "h"


def test_a_key_before_pasted_text_acts() -> None:
    assert pressed(("t", 0), *[(key, 30.0) for key in "hello\r"]) == "t"


@pytest.mark.parametrize("text", ["hello\r", "h\ry\r\r\r", "yes\ryes"])
def test_pasted_text_goes_to_an_input_but_never_submits_it(text: str) -> None:
    keys = [(key, 0.0) for key in text]

    assert pressed(*keys, harmless="abcdefghijklmnopqrstuvwxyz") == text.replace("\r", "")
