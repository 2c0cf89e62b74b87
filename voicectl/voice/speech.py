"""Functions that calculate the length of spoken text, in characters and in seconds.

Source: NCCO reference, "talk" (1,500 characters, not counting SSML tags).
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 1500
CHARACTERS_PER_SECOND = 14

_PIECES = re.compile(r"(<[^<>]*>)")
_TAG = re.compile(r"<[^<>]*>")
_BREAK = re.compile(r"<break\b[^<>]*?\btime\s*=\s*['\"]([0-9.]+)(ms|s)['\"]", re.IGNORECASE)


def characters(text: str) -> int:
    """Return the number of characters in *text*, not counting SSML tags."""
    return len(_TAG.sub("", text)) if is_ssml(text) else len(text)


def seconds(text: str) -> float:
    """Return approximately how many seconds it takes to speak *text*, including SSML breaks."""
    pause = 0.0
    if is_ssml(text):
        for amount, unit in _BREAK.findall(text):
            try:
                pause += float(amount) / (1000 if unit.lower() == "ms" else 1)
            except ValueError:  # such as "1.2.3", which the platform also ignores
                continue
    return characters(text) / CHARACTERS_PER_SECOND + pause


def beginning(text: str, within: float) -> str:
    """Return the part of *text* that is spoken within the first *within* seconds, without SSML tags."""
    said = ""
    for piece in _PIECES.split(text) if is_ssml(text) else [text]:
        if piece.startswith("<") and is_ssml(text):
            within -= seconds(f"<speak>{piece}")
        else:
            said += piece[: max(round(within * CHARACTERS_PER_SECOND), 0)]
            within -= len(piece) / CHARACTERS_PER_SECOND
    return said.strip()


def is_ssml(text: str) -> bool:
    """Return True if *text* begins like an SSML document, with ``<speak``."""
    return text.lstrip().lower().startswith("<speak")
