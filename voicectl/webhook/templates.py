"""Texts that hold variables of a request: read once, filled for each call.

What is filled in comes from strangers: whoever phones in chooses what ``SipHeader_X-...`` or ``custom_data`` hold.
So a value can be heard, and nothing else: it never becomes a tag, never ends the text, and never makes it too long.

Source: Vonage webhook reference, "answer webhook"; NCCO reference, "talk".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from xml.parsers import expat

from voicectl.voice import speech

VARIABLES = ("from", "to", "uuid", "conversation_uuid", "from_user", "endpoint_type", "region_url")
"""The fields that a text may name; so it may each ``SipHeader_NAME`` and each ``custom_data.KEY``."""

MAX_VALUE = 256
"""Characters of a value that are said; a User-to-User header has no more."""

MIN_VALUE = 40
"""Characters that a text must leave to each of its variables: the id of a conversation has as many."""

_SIP_HEADER = "SipHeader_"
_CUSTOM_DATA = "custom_data."
_MAX_WHOLE = 10**15

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_VARIABLE = re.compile(rf"\{{(?:{'|'.join(VARIABLES)}|{_SIP_HEADER}[^{{}}]+|custom_data\.[^{{}}]+)\}}")
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # XML knows few of them
_TAGGISH = re.compile("[<>]")
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})
_MARKS = range(0xE000, 0xF8FF)


class TemplateError(ValueError):
    """A text cannot be filled; says why, and what is right.

    Attributes:
        hint: What is right.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text, and the variables in it.

    Attributes:
        literals: What stands before, between and behind the variables: one more than those.
        names: The variables, in order.
        is_ssml: Whether it is a ``<speak>`` document, whatever is filled in.
        most: Characters of each value, at most.
    """

    literals: tuple[str, ...]
    names: tuple[str, ...]
    is_ssml: bool
    most: int

    def fill(self, fields: Mapping[str, Any]) -> str:
        """The text with the values of *fields*; a missing one is nothing. Raises for nothing in them."""
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts += (self._said(_value(fields, name)), literal)
        return "".join(parts)

    def _said(self, value: str) -> str:
        kept = _UNSPEAKABLE.sub("", value[: self.most])
        if not self.is_ssml:
            return _TAGGISH.sub("", kept)
        escaped = kept.translate(_XML)
        if len(escaped) <= self.most:
            return escaped
        said = ""
        for character in kept:  # an entity is said whole, or not at all
            said, before = said + character.translate(_XML), said
            if len(said) > self.most:
                return before
        return said


def read(text: str) -> Template:
    """Read a text in which ``{from}`` is a variable, and ``{{`` and ``}}`` are braces.

    Raises:
        TemplateError: It names a variable that does not exist, has a brace of its own, has a variable where a value
            could be more than words, or leaves its variables too little room.
    """
    literals, names = _split(text)
    is_ssml = speech.is_ssml(literals[0])
    whole = "".join(literals)
    if not names:
        return Template(literals=literals, names=names, is_ssml=is_ssml, most=0)
    if is_ssml:
        _check_ssml(literals, names)
    elif _TAGGISH.search(whole):
        raise TemplateError(
            "This text has < or > beside a variable, and is no SSML.",
            "Begin it with <speak>, or drop them: beside a value they could become a tag.",
        )
    elif not whole.strip():
        raise TemplateError(
            "This text is nothing but variables, and nothing is said where they are missing.",
            "Add a word that is always said.",
        )
    most = min(MAX_VALUE, (speech.MAX_CHARACTERS - speech.characters(whole)) // len(names))
    if most < MIN_VALUE:
        raise TemplateError(
            f"This text leaves {max(most, 0)} characters to each of its variables.",
            f"Shorten it: each needs {MIN_VALUE}, and {speech.MAX_CHARACTERS} are said in all.",
        )
    return Template(literals=literals, names=names, is_ssml=is_ssml, most=most)


def has_variable(text: str) -> bool:
    """Whether *text* names a variable."""
    return _VARIABLE.search(text) is not None


def _split(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    literals: list[str] = []
    names: list[str] = []
    literal, at = "", 0
    for found in _PIECE.finditer(text):
        literal += text[at : found.start()]
        at = found.end()
        name = found[1]
        if name is not None:
            _check_name(name)
            literals.append(literal)
            names.append(name)
            literal = ""
        elif len(found[0]) == 2:
            literal += found[0][0]
        else:
            raise TemplateError(
                f"This text has a {found[0]} of its own at character {found.start() + 1}.",
                f"Write {found[0] * 2} for the brace itself.",
            )
    return (*literals, literal + text[at:]), tuple(names)


def _check_name(name: str) -> None:
    if _VARIABLE.fullmatch(f"{{{name}}}"):
        return
    near = get_close_matches(name[:40], VARIABLES, n=1)
    known = ", ".join(f"{{{each}}}" for each in VARIABLES)
    raise TemplateError(
        f"There is no variable {{{name[:40]}}}.",
        f"Did you mean {{{near[0]}}}?"
        if near
        else f"There are {known}, {{{_SIP_HEADER}NAME}} and {{{_CUSTOM_DATA}KEY}}; {{{{ is a brace.",
    )


def _check_ssml(literals: tuple[str, ...], names: tuple[str, ...]) -> None:
    """See that each variable stands where words stand: not in a tag, a comment or a CDATA section."""
    whole = "".join(literals)
    mark = next(chr(code) for code in _MARKS if chr(code) not in whole)
    spoken = 0
    is_verbatim = False

    def data(text: str) -> None:
        nonlocal spoken
        if not is_verbatim:
            spoken += text.count(mark)

    def verbatim(begins: bool) -> None:
        nonlocal is_verbatim
        is_verbatim = begins

    parser = expat.ParserCreate()
    parser.CharacterDataHandler = data
    parser.StartCdataSectionHandler = lambda: verbatim(True)
    parser.EndCdataSectionHandler = lambda: verbatim(False)
    hint = "Put variables between tags only, as in <s>{from}</s>."
    try:
        parser.Parse(mark.join(literals).strip().encode("utf-8", "replace"), True)
    except expat.ExpatError as exc:
        raise TemplateError("This SSML cannot be read, or would not be with a value in it.", hint) from exc
    if spoken != len(names):
        raise TemplateError("A variable stands inside a tag, a comment or a CDATA section.", hint)


def _value(fields: Mapping[str, Any], name: str) -> str:
    if name.startswith(_CUSTOM_DATA):
        inside = fields.get("custom_data")
        found = inside.get(name.removeprefix(_CUSTOM_DATA)) if isinstance(inside, Mapping) else None
    else:
        found = fields.get(name)
    match found:
        case str():
            return found
        case bool():
            return "true" if found else "false"
        case int() if abs(found) < _MAX_WHOLE:
            return str(found)
        case float() if math.isfinite(found):
            return str(found)
    return ""
