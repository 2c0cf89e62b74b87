"""DTMF digits: the tones of a telephone keypad.

Source: Voice API reference, "dtmf".
"""

from __future__ import annotations

import re

from voicectl.errors import InputError

_DIGITS = re.compile(r"[0-9*#p]+")


def check(digits: str) -> str:
    """Return *digits* if they can be sent: ``0-9``, ``*``, ``#``, and ``p`` for a pause of 500 ms.

    The error message gives the position of the wrong character, but never the digits, which may be a PIN.

    Raises:
        InputError: *digits* is empty or contains another character.
    """
    if _DIGITS.fullmatch(digits):
        return digits
    hint = "Use 0-9, *, # and p (a pause of half a second), quoted: '*9#'."
    if not digits:
        raise InputError("There are no digits to send.", hint=hint)
    at = next(i for i, character in enumerate(digits, 1) if not _DIGITS.fullmatch(character))
    raise InputError(f"Character {at} of the digits is not a telephone key.", hint=hint)
