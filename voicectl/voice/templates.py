"""Templates: texts with variables, which are parsed once and filled with other values for each call.

The values come from a request or from a list of people. Callers control some of them, such as those of
``SipHeader_X-...`` or ``custom_data``. So a value can only be spoken: it can neither become a tag, nor end the text
early, nor make the text too long.

Source: Vonage webhook reference, "answer webhook"; NCCO reference, "talk".
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from xml.parsers import expat

from voicectl.voice import speech

VARIABLES = ("from", "to", "uuid", "conversation_uuid", "from_user", "endpoint_type", "region_url")
"""The fields that may be variables in a text, in addition to any ``SipHeader_NAME`` and any ``custom_data.KEY``."""

MAX_VALUE = 256
"""The maximum number of characters that are spoken from a value: the maximum length of a User-to-User header."""

MIN_VALUE = 40
"""The minimum number of characters that a text must leave for each variable: the length of a conversation id."""

_SIP_HEADER = "SipHeader_"
_CUSTOM_DATA = "custom_data."
_MAX_WHOLE = 10**15
_MAX_LISTED = 10

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_VARIABLE = re.compile(rf"\{{(?:{'|'.join(VARIABLES)}|{_SIP_HEADER}[^{{}}]+|custom_data\.[^{{}}]+)\}}")
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # XML does not allow most of them
_TAGGISH = re.compile("[<>]")
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})
_MARKS = range(0xE000, 0xF8FF)


class TemplateError(ValueError):
    """A text is not a valid template.

    Attributes:
        hint: Advice on how to correct the text.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text with variables.

    Attributes:
        literals: The parts of the text before, between and after the variables. There is one more part than
            variables.
        names: The names of the variables, in order.
        is_ssml: True if the text is a ``<speak>`` document. This does not depend on the values.
        most: The maximum number of characters that are used from each value.
    """

    literals: tuple[str, ...]
    names: tuple[str, ...]
    is_ssml: bool
    most: int

    def fill(self, fields: Mapping[str, Any]) -> str:
        """Return the text, filled with values from *fields*. A missing value is empty. No value causes an error."""
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
        for character in kept:  # an entity is kept whole or dropped
            said, before = said + character.translate(_XML), said
            if len(said) > self.most:
                return before
        return said


def read(text: str, *, columns: Collection[str] | None = None) -> Template:
    """Parse a text with variables such as ``{from}``, in which ``{{`` and ``}}`` stand for literal braces.

    Args:
        columns: The names of the variables, if the values come from a list, or None if they come from a request.

    Raises:
        TemplateError: The text contains an unknown variable or a single brace, consists only of variables, contains a
            variable where a value could become markup, or leaves too little room for the values.
    """
    literals, names = _split(text, columns)
    is_ssml = speech.is_ssml(literals[0])
    whole = "".join(literals)
    if not names:
        return Template(literals=literals, names=names, is_ssml=is_ssml, most=0)
    if is_ssml:
        _check_ssml(literals, names)
    elif _TAGGISH.search(whole):
        raise TemplateError(
            "This text has < or > beside a variable, but is not SSML.",
            "Begin it with <speak>, or remove < and >: together with a value, they could form a tag.",
        )
    elif not whole.strip():
        raise TemplateError(
            "This text has only variables, so nothing is said if their values are missing.",
            "Add a word that is always said.",
        )
    most = min(MAX_VALUE, (speech.MAX_CHARACTERS - speech.characters(whole)) // len(names))
    if most < MIN_VALUE:
        raise TemplateError(
            f"This text leaves too little room for its variables; characters left for each: {max(most, 0)}.",
            f"Shorten it: each variable needs at least {MIN_VALUE}, and the limit for the whole text is"
            f" {speech.MAX_CHARACTERS} characters.",
        )
    return Template(literals=literals, names=names, is_ssml=is_ssml, most=most)


def has_variable(text: str) -> bool:
    """Return True if *text* contains a variable."""
    return _VARIABLE.search(text) is not None


def _split(text: str, columns: Collection[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    literals: list[str] = []
    names: list[str] = []
    literal, at = "", 0
    for found in _PIECE.finditer(text):
        literal += text[at : found.start()]
        at = found.end()
        name = found[1]
        if name is not None:
            if columns is None:
                _check_name(name)
            elif name not in columns:
                raise _no_column(name, columns)
            literals.append(literal)
            names.append(name)
            literal = ""
        elif len(found[0]) == 2:
            literal += found[0][0]
        else:
            raise TemplateError(
                f"This text has a single {found[0]} at character {found.start() + 1}.",
                f"Write {found[0] * 2} for a literal brace.",
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
        else f"Variables: {known}, {{{_SIP_HEADER}NAME}} and {{{_CUSTOM_DATA}KEY}}. Write {{{{ for a literal brace.",
    )


def _no_column(name: str, columns: Collection[str]) -> TemplateError:
    near = get_close_matches(name[:40], columns, n=1)
    known = ", ".join(f"{{{each[:40]}}}" for each in sorted(columns)[:_MAX_LISTED]) or "none"
    return TemplateError(
        f"The list has no column {name[:40]!r}.",
        f"Did you mean {{{near[0]}}}?" if near else f"Columns: {known}. Write {{{{ for a literal brace.",
    )


def _check_ssml(literals: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Check that each variable is in spoken text, not in a tag, a comment or a CDATA section."""
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
        raise TemplateError(
            "This SSML is invalid, or becomes invalid when a variable is replaced by its value.", hint
        ) from exc
    if spoken != len(names):
        raise TemplateError("A variable is inside a tag, a comment or a CDATA section.", hint)


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
