"""Classes for the shapes of values, with which :mod:`~voicectl.voice.ncco.model` describes every option.

The linter and the JSON Schema depend on these few classes only, not on the options.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

GIVEN: Final = object()
"""The marker for "any value" in a :class:`Rule`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string.

    Attributes:
        right: A description of a correct value, which completes a sentence that begins with "Write".
        pattern: A regular expression for the whole string, in the syntax common to Python and JSON Schema.
        most: The maximum number of characters.
        known: The documented values, in any case. Other values cause a warning, since the platform may add values.
        tolerated: A prefix that the platform ignores, such as the ``+`` of a number.
    """

    right: str = "a string"
    pattern: str | None = None
    most: int | None = None
    known: tuple[str, ...] = ()
    tolerated: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number; a string of digits is tolerated.

    Attributes:
        step: The number of which the value should be a multiple.
        is_clamped: True if the platform replaces a value out of range by the nearest valid one.
    """

    whole: bool = True
    least: float | None = None
    most: float | None = None
    step: float | None = None
    is_clamped: bool = False

    @property
    def right(self) -> str:
        """A description of a correct value, which completes a sentence that begins with "Write"."""
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
    """True or false; the strings ``"true"`` and ``"false"`` are tolerated."""

    right: str = "true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """A string that must be one of several values."""

    values: tuple[str, ...]

    @property
    def right(self) -> str:
        """A description of a correct value, which completes a sentence that begins with "Write"."""
        *others, last = (f'"{value}"' for value in self.values)
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An array of values of one shape."""

    item: Shape
    right: str
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """An object with any content.

    Attributes:
        most_bytes: The maximum length as JSON, in UTF-8 and without spaces.
        values: The shape of each value, or None if any value is allowed.
    """

    most_bytes: int | None = None
    values: Text | None = None
    right: str = "an object"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an action, or a field of an object in an action.

    Attributes:
        shape: The shape of the option's value.
        about: A description of one line for the schema.
        required: True if the option is required.
        unless: Options that can replace this option. If one of them is present, this option is not required.
        default: The value that applies if the option is absent.
        deprecated: Advice on what to use instead, if the option is deprecated.
        alias_of: The documented spelling of the option, if this is another accepted spelling.
        newer: A note on where the option comes from, if the public documentation does not describe it.
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
    """A rule: if *option* has *value*, then *other* must be present (with *other_value*), or absent.

    Attributes:
        forbids: True if *other* must be absent, False if it must be present.
        but_empty: True if an empty object counts as absent.
        is_doubt: True if breaking the rule is only a warning.
        message: The message if the rule is broken.
        hint: Advice on how to correct the value.
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
        name: The name of the object in messages.
        about: A description of one line for the schema.
        deprecated: Advice for the user, if the object is deprecated.
    """

    name: str
    options: dict[str, Option]
    about: str = ""
    rules: tuple[Rule, ...] = ()
    deprecated: str | None = None
    right: str = "an object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An object whose field *tag* selects the record that describes the object."""

    tag: str
    what: str
    records: dict[str, Record] = field(default_factory=dict)
    right: str = "an object"


Shape = Text | Number | Flag | Choice | Array | Free | Record | Variant

WHOLE_AS_TEXT = r"-?[0-9]+"
NUMBER_AS_TEXT = r"-?[0-9]+(\.[0-9]+)?"
FLAG_AS_TEXT = ("true", "false")


def spelling(name: str) -> str:
    """Return *name* in lower case without underscores and hyphens, to compare spellings."""
    return re.sub(r"[-_]", "", name).lower()
