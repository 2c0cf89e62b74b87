"""The settings of advanced machine detection."""

from __future__ import annotations

import pytest

from voicectl.errors import InputError
from voicectl.voice import amd


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("mode=detect", {"mode": "detect"}),
        ("mode=detect_beep,behavior=continue,beep_timeout=45", None),
        (" behavior=hangup , beep_timeout=120", {"behavior": "hangup", "beep_timeout": 120}),
        ("beep_timeout=30", {"beep_timeout": 30}),
    ],
)
def test_settings_are_pairs(text: str, settings: dict[str, object] | None) -> None:
    assert amd.parse(text) == (
        settings or {"mode": "detect_beep", "behavior": "continue", "beep_timeout": 45}
    )


ODD = (
    "|mode|mode=|mode=human|behavior=stop|beep_timeout=29|beep_timeout=121|beep_timeout=4_5|beep_timeout=\u0664\u0665"
    "|beep_timeout=45.0|mode=detect,|x=1|MODE=detect"
)


@pytest.mark.parametrize("text", ODD.split("|"))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        amd.parse(text)
