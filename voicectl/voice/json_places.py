"""A JSON parser that records the position of each value for use in error messages.

:mod:`json` parses only the scalars. This module parses arrays and objects itself, since :mod:`json` records no
positions and accepts repeated keys.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from voicectl import strict_json

MAX_DEPTH = 100

Path = tuple[str | int, ...]
"""The object keys and array indexes that lead from the root of a document to a value."""

_SPACE = re.compile(r"[ \t\n\r]*")
_LINE = re.compile(r"\n")


class BadJson(ValueError):
    """Raised if a text is not valid JSON. The exception contains the reason and the offset of the error."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed JSON text.

    Attributes:
        value: The parsed value. If an object repeats a key, only the last value of the key is kept.
        offsets: The offset of each value in the text, in characters, keyed by the path of the value.
        repeated: The path and the offset of each key that repeats an earlier key in the same object.
    """

    value: Any
    offsets: dict[Path, int]
    repeated: list[tuple[Path, int]]


def read(text: str) -> Document:
    """Parse a text that consists of a single JSON value.

    Raises:
        BadJson: *text* is not valid JSON, contains an invalid or non-finite number, or is nested too deeply.
    """
    reader = _Reader(text)
    value, end = reader.value(reader.skip(0), ())
    end = reader.skip(end)
    if end < len(text):
        raise BadJson("There is text after the end of the JSON.", end)
    return Document(value, reader.offsets, reader.repeated)


class Lines:
    """A converter from offsets in *text* to line and column numbers, both of which start at 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in _LINE.finditer(text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column of the character at *offset*."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def texts(value: Any, path: Path = ()) -> list[tuple[Path, str]]:
    """Return all strings in *value*, including keys, with their paths. The path of a key is that of its value."""
    found: list[tuple[Path, str]] = []
    left = [(path, value)]
    while left:
        at, each = left.pop()
        if isinstance(each, str):
            found.append((at, each))
        elif isinstance(each, dict):
            found += (((*at, key), key) for key in each)
            left += (((*at, key), inside) for key, inside in each.items())
        elif isinstance(each, list):
            left += (((*at, index), inside) for index, inside in enumerate(each))
    return found


def show(path: Path) -> str:
    """Return *path* in JSONPath notation, such as ``$[2].dtmf.timeOut`` or ``$[0].endpoint[0]['content-type']``."""
    return "$" + "".join(map(_step, path))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if step.isascii() and step.isidentifier():
        return f".{step}"
    quoted = step.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{quoted}']"


@dataclass(slots=True)
class _Reader:
    text: str
    offsets: dict[Path, int] = field(default_factory=dict)
    repeated: list[tuple[Path, int]] = field(default_factory=list)

    def skip(self, at: int) -> int:
        """Return the offset of the first non-whitespace character at or after the offset *at*."""
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int, path: Path) -> tuple[Any, int]:
        """Parse the value that begins at the offset *at*, and return the value and the offset of its end."""
        self.offsets[path] = at
        first = self.text[at : at + 1]
        if first in ("[", "{") and first:
            if len(path) >= MAX_DEPTH:
                raise BadJson(f"This is nested more than {MAX_DEPTH} levels deep.", at)
            return self._array(at, path) if first == "[" else self._object(at, path)
        return self._scalar(at)

    def _scalar(self, at: int) -> tuple[Any, int]:
        try:
            return strict_json.DECODER.raw_decode(self.text, at)
        except json.JSONDecodeError as exc:
            if exc.pos == at and exc.msg == "Expecting value":
                what = (
                    "The text ends where a value should be."
                    if at >= len(self.text)
                    else "This is not a JSON value."
                )
                raise BadJson(what, at) from exc
            raise BadJson(f"{exc.msg}.", exc.pos) from exc
        except ValueError as exc:
            raise BadJson("This is not a JSON number, or it is too large.", at) from exc

    def _array(self, at: int, path: Path) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = self.skip(at + 1)
        if self.text.startswith("]", at):
            return items, at + 1
        while True:
            item, end = self.value(at, (*path, len(items)))
            items.append(item)
            at, is_over = self._next(end, "]")
            if is_over:
                return items, at

    def _object(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        members: dict[str, Any] = {}
        at = self.skip(at + 1)
        if self.text.startswith("}", at):
            return members, at + 1
        while True:
            if not self.text.startswith('"', at):
                raise BadJson("Expected a key in double quotes.", at)
            key, end = self._scalar(at)
            if key in members:
                self.repeated.append(((*path, key), at))
            colon = self.skip(end)
            if not self.text.startswith(":", colon):
                raise BadJson("Expected a colon after the key.", colon)
            members[key], end = self.value(self.skip(colon + 1), (*path, key))
            at, is_over = self._next(end, "}")
            if is_over:
                return members, at

    def _next(self, end: int, closing: str) -> tuple[int, bool]:
        """Find the next element of an array or object, given the end of an element and the closing bracket.

        Returns:
            An offset, and True if the array or object has ended. At the end, the offset is just after the closing
            bracket. Otherwise, the offset is that of the next element.
        """
        at = self.skip(end)
        if self.text.startswith(closing, at):
            return at + 1, True
        if not self.text.startswith(",", at):
            raise BadJson(f"Expected a comma or {closing}.", at)
        after = self.skip(at + 1)
        if self.text.startswith(closing, after):
            raise BadJson("There is an extra comma.", at)
        return after, False
