"""Parsing of the settings for advanced machine detection.

Source: Voice API reference, "machine detection".
"""

from __future__ import annotations

from typing import Any

from voicectl.errors import InputError

BEHAVIORS = ("continue", "hangup")
MODES = ("detect", "detect_beep", "default")
MIN_BEEP_SECONDS = 30
MAX_BEEP_SECONDS = 120


def parse(text: str) -> dict[str, Any]:
    """Convert settings such as ``mode=detect_beep,behavior=continue,beep_timeout=45`` to fields for the API.

    Raises:
        InputError: A setting is unknown, or has an invalid value.
    """
    hint = "Write it as mode=detect_beep,behavior=continue,beep_timeout=45; each setting is optional."
    settings: dict[str, Any] = {}
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        if (name == "behavior" and value in BEHAVIORS) or (name == "mode" and value in MODES):
            settings[name] = value
        elif name == "beep_timeout" and value.isascii() and value.isdigit() and len(value) <= 3:
            settings[name] = int(value)
            if not MIN_BEEP_SECONDS <= settings[name] <= MAX_BEEP_SECONDS:
                raise InputError(
                    f"beep_timeout must be from {MIN_BEEP_SECONDS} to {MAX_BEEP_SECONDS} s.", hint=hint
                )
        else:
            raise InputError(f"{pair.strip()!r} is not a valid machine detection setting.", hint=hint)
    return settings
