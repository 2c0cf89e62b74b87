"""Comparison of what a party heard with what a test expects."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

import regex

from voicectl.voice import speech

if TYPE_CHECKING:
    from collections.abc import Sequence

SEARCH_SECONDS = 0.5
"""How long the search for a regular expression may take, in seconds."""

_TAG = re.compile(r"<[^<>]*>")
_APART = re.compile(r"[^\w]+")
_INSIDE = re.compile(r"(?<=\w)['\u2019](?=\w)|(?<=\d),(?=\d{3})")


class BadPattern(ValueError):
    """Raised if a regular expression is invalid, or takes too long to search for."""


class Word(NamedTuple):
    """A word of a spoken text, with the offset of its end in the text."""

    text: str
    end: int


def words(text: str) -> list[str]:
    """Return the words of *text* without case, accents of typography, punctuation and SSML tags."""
    return [word.text for word in spoken(text)]


def spoken(text: str) -> list[Word]:
    """Return the words of *text* as they are compared, with their places."""
    plain = _TAG.sub(lambda tag: " " * len(tag[0]), text) if speech.is_ssml(text) else text
    found = []
    for each in re.finditer(r"\w+(?:['\u2019,.]\w+)*", plain):
        end = each.end()
        whole = _INSIDE.sub("", unicodedata.normalize("NFKC", each[0]).casefold())
        found += [Word(part, end) for part in _APART.split(whole) if part]
    return found


def find(wanted: Sequence[str], among: Sequence[str], start: int = 0) -> int | None:
    """Return the index after the first occurrence of the words *wanted* in *among* from *start* on, or None."""
    size = len(wanted)
    for at in range(start, len(among) - size + 1):
        if among[at : at + size] == wanted:
            return at + size
    return None


def pattern(text: str) -> regex.Pattern[str]:
    """Compile a regular expression of a test, which ignores case.

    Raises:
        BadPattern: *text* is not a regular expression.
    """
    try:
        return regex.compile(text, regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError) as exc:
        raise BadPattern(f"This is not a regular expression: {exc}.") from exc


def matches(wanted: str, text: str) -> bool:
    """Return True if the regular expression *wanted* matches a part of *text*.

    Raises:
        BadPattern: The search takes longer than :data:`SEARCH_SECONDS`.
    """
    try:
        return pattern(wanted).search(text, timeout=SEARCH_SECONDS) is not None
    except TimeoutError as exc:
        raise BadPattern(f"The search for {wanted!r} took more than {SEARCH_SECONDS:g} s.") from exc
