"""Validation of DTMF digits, which are sent as the tones of telephone keys.

Source: Voice API reference, "dtmf".
"""

from __future__ import annotations

import re

from voicectl.errors import InputError

_DIGITS = re.compile(r"[0-9*#p]+")


def check(digits: str) -> str:
    """Return *digits* unchanged if they are valid: ``0-9``, ``*``, ``#``, and ``p`` for a pause of 500 ms.

    The error message gives the position of the invalid character, but never the digits, since they may be a PIN.

    Raises:
        InputError: *digits* is empty or contains any other character.
    """
    if _DIGITS.fullmatch(digits):
        return digits
    hint = "Use 0-9, *, # and p (a pause of half a second), quoted: '*9#'."
    if not digits:
        raise InputError("There are no digits to send.", hint=hint)
    at = next(i for i, character in enumerate(digits, 1) if not _DIGITS.fullmatch(character))
    raise InputError(f"Character {at} of the digits is not a telephone key.", hint=hint)
