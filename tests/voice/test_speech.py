"""Text to be spoken, and its length in characters and seconds."""

from __future__ import annotations

import pytest

from voicectl.voice import speech


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("", 0),
        ("Hello", 5),
        ("a < b", 5),
        ("<b>Hello</b>", 12),  # no SSML: it is read out
        ("<speak>Hello</speak>", 5),
        ("  <SPEAK>Hello <break time='1s'/>you</SPEAK>", 11),
        ("<speak>" + "x" * 1500 + "</speak>", 1500),
    ],
)
def test_tags_count_where_they_are_read_aloud(text: str, characters: int) -> None:
    assert speech.characters(text) == characters


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("x" * 28, 2),
        ("<speak><break time='1.5s'/></speak>", 1.5),
        ('<speak><break strength="weak" time="500ms"/></speak>', 0.5),
        ("<speak><break time='1.2.3s'/></speak>", 0),
        ("<break time='9s'/>", 18 / 14),
    ],
)
def test_breaks_take_their_time(text: str, seconds: float) -> None:
    assert speech.seconds(text) == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("Welcome to Acme.", 0, ""),
        ("Welcome to Acme.", 0.5, "Welcome"),
        ("Welcome to Acme.", 15 / 14, "Welcome to Acme"),
        ("Welcome to Acme.", 60, "Welcome to Acme."),
        ("a < b and b > c", 5 / 14, "a < b"),
        ("<speak>One <break time='1s'/>two</speak>", 4 / 14 + 0.9, "One"),
        ("<speak>One <break time='1s'/>two</speak>", 7 / 14 + 1, "One two"),
        ("<speak><prosody rate='fast'>One two</prosody></speak>", 3 / 14, "One"),
        ("<speak></speak>", 1, ""),
    ],
)
def test_the_beginning_is_the_part_spoken_by_a_given_time(text: str, seconds: float, said: str) -> None:
    assert speech.beginning(text, seconds) == said
