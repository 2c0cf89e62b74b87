"""The shapes that a value of an NCCO can have, in which :mod:`~voicectl.voice.ncco.model` describes every option.

Both readers of the model, the linter and the JSON Schema, know these few classes and nothing else of it.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

GIVEN: Final = object()
"""In a :class:`Rule`: any value at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text.

    Attributes:
        right: What it should be, as after "write".
        pattern: What all of it must match, in the regular expressions that Python and JSON Schema share.
        most: The most characters.
        known: The values that the documents name, compared without case; the platform grows, so others are a doubt
            and no fault.
        tolerated: A beginning that the platform drops, as the ``+`` of a number.
    """

    right: str = "a string"
    pattern: str | None = None
    most: int | None = None
    known: tuple[str, ...] = ()
    tolerated: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number; as text it is tolerated.

    Attributes:
        step: It is a multiple of this.
        is_clamped: A value out of range is moved to the nearest in range, not refused.
    """

    whole: bool = True
    least: float | None = None
    most: float | None = None
    step: float | None = None
    is_clamped: bool = False

    @property
    def right(self) -> str:
        """What it should be, as after "write"."""
        kind = "a whole number" if self.whole else "a number"
        if self.least is None:
            return kind
        return (
            f"{kind}, {self.least} or more"
            if self.most is None
            else f"{kind} from {self.least} to {self.most}"
        )


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; as text it is tolerated."""

    right: str = "true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some texts."""

    values: tuple[str, ...]

    @property
    def right(self) -> str:
        """What it should be, as after "write"."""
        *others, last = (f'"{value}"' for value in self.values)
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An array of things of one shape."""

    item: Shape
    right: str
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """An object with any content.

    Attributes:
        most_bytes: The most that it may take as JSON, in UTF-8 and without spaces.
        values: The shape of each of its values, if they have one.
    """

    most_bytes: int | None = None
    values: Text | None = None
    right: str = "an object"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an action, or a field of an object in one.

    Attributes:
        shape: What its value is.
        about: One line for the schema.
        required: Whether it must be there.
        unless: It need not be there if one of these is.
        default: What it is when left out.
        deprecated: Why it should not be used any more, and what should.
        alias_of: The option that it is another spelling of, known to be accepted.
        newer: Who has it, if the documents do not.
    """

    shape: Shape
    about: str = ""
    _: KW_ONLY
    required: bool = False
    unless: tuple[str, ...] = ()
    default: Any = None
    deprecated: str | None = None
    alias_of: str | None = None
    newer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """If *option* has *value*, then *other* must be there (with *other_value*), or must not.

    Attributes:
        forbids: Whether *other* must not be there; else it must.
        but_empty: An empty object does not count as *other* being there.
        is_doubt: Breaking it is worth a warning only.
        message: What is wrong if it is broken.
        hint: What is right.
    """

    option: str
    other: str
    message: str
    hint: str
    value: object = GIVEN
    other_value: object = GIVEN
    forbids: bool = False
    but_empty: bool = False
    is_doubt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object with options: an action, or a part of one.

    Attributes:
        name: What it is called in messages.
        about: One line for the schema.
        deprecated: Why it should not be used any more, and what should.
    """

    name: str
    options: dict[str, Option]
    about: str = ""
    rules: tuple[Rule, ...] = ()
    deprecated: str | None = None
    right: str = "an object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An object whose field *tag* says which record it is."""

    tag: str
    what: str
    records: dict[str, Record] = field(default_factory=dict)
    right: str = "an object"


Shape = Text | Number | Flag | Choice | Array | Free | Record | Variant

WHOLE_AS_TEXT = r"-?[0-9]+"
NUMBER_AS_TEXT = r"-?[0-9]+(\.[0-9]+)?"
FLAG_AS_TEXT = ("true", "false")


def spelling(name: str) -> str:
    """*name* without what snake case, camel case and hyphens make of it."""
    return re.sub(r"[-_]", "", name).lower()
