"""Fit text into columns of a terminal."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from voicectl.cli.output.text import CUT

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT_ID = 8
"""The smallest number of characters to which the ids of legs are shortened."""


def columns(text: str) -> int:
    """Return the number of terminal columns that *text* takes."""
    return len(text) if text.isascii() else sum(map(column, text))


def column(character: str) -> int:
    """Return the number of terminal columns that one character takes: 0, 1 or 2."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def fitted(text: str, width: int, cut: str = CUT) -> str:
    """Return *text*, or its beginning and *cut* if it takes more than *width* columns."""
    if columns(text) <= width:
        return text
    used, room = 0, width - columns(cut)
    for place, character in enumerate(text):
        used += column(character)
        if used > room:
            return text[:place] + cut if room >= 0 else ""
    return text


def fitted_party(text: str, width: int, cut: str = CUT) -> str:
    """Return a caller or callee in at most *width* columns. Numbers keep their end, for it tells them apart."""
    if text.removeprefix("+").isdecimal() and len(text) > width > 0:
        return cut + text[len(text) - width + 1 :]
    return fitted(text, width, cut)


def shortened(ids: Iterable[str]) -> list[str]:
    """Return the beginnings of ids: as long as is necessary to tell them apart, but at least 8 characters."""
    every = list(ids)
    for size in range(SHORT_ID, max(map(len, every), default=0)):
        short = [each[:size] for each in every]
        if len(set(short)) == len(set(every)):
            return short
    return every
