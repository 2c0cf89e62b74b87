"""The times at which the words of a text are spoken.

The text is spoken at a constant pace, and SSML breaks are silent. The pace is the same as in
:mod:`voicectl.voice.speech`, so the duration of the whole text is exactly the one that
:func:`voicectl.voice.speech.seconds` returns.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import lru_cache

from voicectl.voice import speech

CHARACTER_SECONDS = 1 / speech.CHARACTERS_PER_SECOND
LONGEST = 300
"""The maximum length of a sentence, in characters. Longer sentences are split."""

_TAG = re.compile(r"(<[^<>]*>)")
_SENTENCE = re.compile(
    rf".{{1,{LONGEST}}}?(?:[.!?]+(?:\s+|\Z)|\Z)|.{{1,{LONGEST - 1}}}\s|.{{1,{LONGEST}}}", re.DOTALL
)
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a text. Adjacent punctuation is part of the word.

    Attributes:
        start: The beginning of the word, in seconds from the beginning of the text.
        end: The end of the word, in seconds from the beginning of the text.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, or the part of a sentence before or after an SSML break.

    Attributes:
        text: The text as written, including SSML entities. It takes :data:`CHARACTER_SECONDS` to speak each
            character.
        start: The beginning of the sentence, in seconds from the beginning of the whole text.
        is_ssml: True if the text may contain SSML entities, which must be decoded before the text is spoken.
    """

    text: str
    start: float
    is_ssml: bool

    @property
    def end(self) -> float:
        """The end of the sentence, in seconds from the beginning of the whole text."""
        return self.start + len(self.text) * CHARACTER_SECONDS

    @property
    def plain(self) -> str:
        """The text as it is spoken, with SSML entities decoded."""
        return self._read(self.text)

    @property
    def words(self) -> list[Word]:
        """The words of the sentence, in order."""
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
    """Split *text*, which is plain text or SSML, into sentences. If *text* is empty, return no sentences."""
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
