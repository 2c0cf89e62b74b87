"""Validation of SSML: syntax errors, and tags and attribute values that the platform does not document.

The text is parsed by expat, which reports the position of an error. A document type declaration is refused, since it
could define entities.

Source: Voice API reference, "TTS lists".
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple
from xml.parsers import expat

from voicectl.voice import speech

TAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "speak": {},
    "break": {"strength": ("none", "x-weak", "weak", "medium", "strong", "x-strong")},
    "emphasis": {"level": ("strong", "moderate", "reduced")},
    "lang": {},
    "p": {},
    "phoneme": {"alphabet": ("ipa", "x-sampa")},
    "prosody": {},
    "s": {},
    "say-as": {
        "interpret-as": (
            "character",
            "cardinal",
            "ordinal",
            "digits",
            "fraction",
            "unit",
            "date",
            "time",
            "expletive",
            "telephone",
            "address",
        )
    },
    "sub": {},
}
"""For each documented tag, the attributes that accept only certain values, and those values."""

MAX_DOUBTS = 100
"""The maximum number of warnings to report for one text. The limit exists because finding each warning takes time."""

_TAG = re.compile(rf"</?(?:{'|'.join(sorted(TAGS, key=len, reverse=True))})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_PAUSE = re.compile(r"[0-9]+(\.[0-9]+)?(ms|s)")


class Doubt(NamedTuple):
    """A warning about a part of a text that the platform may not speak as intended."""

    message: str
    hint: str


class BadSsml(ValueError):
    """Raised if a text begins like SSML but is not valid SSML."""


def check(text: str) -> list[Doubt]:
    """Return the warnings about *text*, without duplicates.

    Raises:
        BadSsml: *text* begins with ``<speak`` but is not a single well-formed document.
    """
    if speech.is_ssml(text):
        return _read(text)
    if found := _TAG.search(text):
        shown = found[0][:40]
        return [
            Doubt(f"{shown} is an SSML tag outside <speak>.", "Enclose the whole text in <speak>...</speak>.")
        ]
    return []


def _read(text: str) -> list[Doubt]:
    doubts: dict[Doubt, None] = {}
    unknown: set[str] = set()
    is_first = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_first
        if is_first and tag != "speak":
            raise BadSsml(f"its first tag is <{tag[:40]}>, not <speak>")
        is_first = False
        if tag in unknown or len(doubts) >= MAX_DOUBTS:
            return
        if tag not in TAGS:
            unknown.add(tag)
        doubts.update(dict.fromkeys(_doubts(tag, attributes)))

    def refuse(*_: object) -> None:
        raise BadSsml("it has a DOCTYPE declaration, which is not allowed")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.strip().encode("utf-8", "replace"), True)
    except expat.ExpatError as exc:
        raise BadSsml(f"{expat.ErrorString(exc.code)} at line {exc.lineno}, column {exc.offset + 1}") from exc
    return list(doubts)


def _doubts(tag: str, attributes: dict[str, str]) -> list[Doubt]:
    if tag not in TAGS:
        near = get_close_matches(tag[:40].lower(), TAGS, n=1)
        hint = f"Did you mean <{near[0]}>?" if near else f"The documented tags are {', '.join(TAGS)}."
        return [Doubt(f"<{tag[:40]}> is not a documented tag.", hint)]
    doubts = []
    for name, values in TAGS[tag].items():
        value = attributes.get(name)
        if value is not None and value not in values:
            doubts.append(
                Doubt(f'<{tag}> has an unknown {name}, "{value[:40]}".', f"Write one of {', '.join(values)}.")
            )
    pause = attributes.get("time") if tag == "break" else None
    if pause is not None and not _PAUSE.fullmatch(pause):
        doubts.append(
            Doubt(
                f'<break> has an invalid time, "{pause[:40]}".', "Write seconds or milliseconds: 1s, 500ms."
            )
        )
    if tag == "say-as" and "interpret-as" not in attributes:
        doubts.append(Doubt("<say-as> has no interpret-as.", 'Add interpret-as, such as "digits".'))
    return doubts
