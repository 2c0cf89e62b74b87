"""When each word of a spoken text is said: the text at an even pace, the breaks of SSML as silence.

The pace is that of :mod:`voicectl.voice.speech`, so that the words fill just the time that the whole text takes.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import lru_cache

from voicectl.voice import speech

CHARACTER_SECONDS = 1 / speech.CHARACTERS_PER_SECOND
LONGEST = 300
"""Characters of one sentence; a longer one is taken as several."""

_TAG = re.compile(r"(<[^<>]*>)")
_SENTENCE = re.compile(
    rf".{{1,{LONGEST}}}?(?:[.!?]+(?:\s+|\Z)|\Z)|.{{1,{LONGEST - 1}}}\s|.{{1,{LONGEST}}}", re.DOTALL
)
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, with the signs that touch it.

    Attributes:
        start: Seconds from the beginning of the text; so is ``end``.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of text without a break.

    Attributes:
        text: As it was written, entities of SSML included: each character takes :data:`CHARACTER_SECONDS`.
        start: Seconds from the beginning of the whole text.
        is_ssml: Whether entities are to be read.
    """

    text: str
    start: float
    is_ssml: bool

    @property
    def end(self) -> float:
        """Seconds from the beginning of the whole text."""
        return self.start + len(self.text) * CHARACTER_SECONDS

    @property
    def plain(self) -> str:
        """What is said."""
        return self._read(self.text)

    @property
    def words(self) -> list[Word]:
        """Its words, in order."""
        return [
            Word(
                self._read(word.group()),
                self.start + word.start() * CHARACTER_SECONDS,
                self.start + word.end() * CHARACTER_SECONDS,
            )
            for word in _WORD.finditer(self.text)
        ]

    def _read(self, text: str) -> str:
        return html.unescape(text) if self.is_ssml else text


@lru_cache(maxsize=32)
def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of *text*, plain or SSML, in order; none for one without a character."""
    if not speech.is_ssml(text):
        return tuple(_split(text, 0.0, is_ssml=False))
    found: list[Sentence] = []
    start, unbroken = 0.0, ""
    for part in _TAG.split(text):
        pause = speech.seconds(f"<speak>{part}") if part.startswith("<") else 0.0
        if not part.startswith("<"):
            unbroken += part
        elif pause:
            found += _split(unbroken, start, is_ssml=True)
            start += len(unbroken) * CHARACTER_SECONDS + pause
            unbroken = ""
    return (*found, *_split(unbroken, start, is_ssml=True))


def _split(text: str, start: float, *, is_ssml: bool) -> list[Sentence]:
    return [
        Sentence(found.group(), start + found.start() * CHARACTER_SECONDS, is_ssml)
        for found in _SENTENCE.finditer(text)
    ]
