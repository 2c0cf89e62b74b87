r"""Output templates: ``-o template='{uuid}\t{to.number}\n'`` writes each record as the template says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voicectl.cli.output.text import clean
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_PART = re.compile(
    r"\\(?P<escape>.?)|(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}|(?P<fault>[{}])|[^\\{}]+", re.DOTALL
)
_ESCAPES = {"t": "\t", "n": "\n", "\\": "\\"}
_EXAMPLE = r"Write it as -o template='{uuid}\t{to.number}\n'; {{ and }} stand for braces."


class Template:
    r"""A template: text with fields in braces, such as ``{to.number}``.

    ``\t``, ``\n`` and ``\\`` stand for a tab, a newline and a backslash, and ``{{`` and ``}}`` stand for braces.

    Attributes:
        fields: The paths of the fields.

    Raises:
        InputError: The text is empty, has unmatched braces, braces without a field or an unknown escape, or contains
            characters that cannot be shown.
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise InputError("The template is empty.", hint=_EXAMPLE)
        if any(clean(part) != part for part in re.split(r"[\t\n]", text)):
            raise InputError("The template contains unprintable characters.", hint=_EXAMPLE)
        self._parts: list[tuple[str, bool]] = [_read(found) for found in _PART.finditer(text)]
        self.fields = tuple(part for part, is_field in self._parts if is_field)

    def fill(self, value: Callable[[str], str]) -> str:
        """Return the text, with each field replaced by the result of *value* for its path."""
        return "".join(value(part) if is_field else part for part, is_field in self._parts)


def _read(found: re.Match[str]) -> tuple[str, bool]:
    """Return one part of a template, and a flag that is True if the part is a field."""
    escape, brace, field, fault = found.group("escape", "brace", "field", "fault")
    if escape is not None:
        if escape not in _ESCAPES:
            raise InputError(
                f"The template contains \\{escape}, which is not an escape.",
                hint=r"Use \t, \n or \\ for a tab, a newline and a backslash.",
            )
        return _ESCAPES[escape], False
    if fault is not None:
        what = "opens a brace that is never closed" if fault == "{" else "closes a brace that is not open"
        raise InputError(f"The template {what}.", hint=_EXAMPLE)
    if field is not None:
        if not field.strip():
            raise InputError("The template has braces without a field.", hint=_EXAMPLE)
        return field.strip(), True
    return brace[0] if brace else found[0], False
