"""Classes for the shapes of values, which :mod:`~voicectl.voice.ncco.model` uses to describe every option.

The linter and the JSON Schema depend only on these few classes, not on individual options.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from voicectl.voice.ncco.verdicts import Fault
from voicectl.voice.url import is_url

GIVEN: Final = object()
"""A marker that means "any value" in a :class:`Rule`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The shape of a string.

    Attributes:
        right: A phrase that describes a valid value and can follow the word "Write".
        pattern: A regular expression for the whole string, in the syntax common to Python and JSON Schema.
        schemes: The allowed schemes, if the string is a URL.
        most: The maximum number of characters.
        too_long: The fault to report if the string is longer.
        usual: A regular expression for the strings that cause no warning.
        doubt: The fault to report if the string does not match ``usual``.
        effect: What the platform does with a string that does not match ``usual``. The message includes this text.
        known: The documented values, ignoring case. Other values cause a warning, not an error, since the platform
            may add values.
        tolerated: A prefix that the platform ignores, such as the ``+`` of a phone number.
        may_be_in_array: True if an array that contains one such string is tolerated.
    """

    right: str = "a string"
    pattern: str | None = None
    schemes: tuple[str, ...] = ()
    most: int | None = None
    too_long: Fault = Fault.TOO_LONG
    usual: str | None = None
    doubt: Fault = Fault.OTHER_ID
    effect: str = ""
    known: tuple[str, ...] = ()
    tolerated: str | None = None
    may_be_in_array: bool = False

    def allows(self, text: str) -> bool:
        """Return True if *text* matches the pattern. If a URL is required, *text* must also be a URL."""
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            return False
        return not self.schemes or is_url(text, self.schemes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """The shape of a number. A string of digits is tolerated.

    Attributes:
        step: The number of which the value should be a multiple.
        is_clamped: True if the platform replaces a value that is out of range with the nearest valid value.
    """

    whole: bool = True
    least: float | None = None
    most: float | None = None
    step: float | None = None
    is_clamped: bool = False

    @property
    def right(self) -> str:
        """A phrase that describes a valid value and can follow the word "Write"."""
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
    """The shape of a Boolean. The strings ``"true"`` and ``"false"`` are tolerated."""

    right: str = "true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """The shape of a string that must be one of several values."""

    values: tuple[str, ...]

    @property
    def right(self) -> str:
        """A phrase that describes a valid value and can follow the word "Write"."""
        *others, last = (f'"{value}"' for value in self.values)
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """The shape of an array whose items all have the same shape.

    Attributes:
        may_be_empty: True if an empty array is tolerated although it is below the minimum; it counts as absent.
    """

    item: Shape
    right: str
    least: int = 0
    most: int | None = None
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """The shape of an object with arbitrary fields.

    Attributes:
        most_bytes: The documented maximum size in bytes, as JSON in UTF-8 without spaces.
        values: The shape of each field's value, or None if any value is allowed.
    """

    most_bytes: int | None = None
    values: Text | None = None
    right: str = "an object"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an action, or a field of an object in an action.

    Attributes:
        shape: The shape of the option's value.
        about: A one-line description for the schema.
        required: True if the option is required.
        unless: Names of options that can replace this option. If one of them is present, this option is not required.
        default: The value that applies if the option is absent.
        deprecated: Advice on what to use instead, if the option is deprecated.
        alias_of: The documented name of the option, if this option is only another accepted spelling.
    """

    shape: Shape
    about: str = ""
    _: KW_ONLY
    required: bool = False
    unless: tuple[str, ...] = ()
    default: Any = None
    deprecated: str | None = None
    alias_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule about two options of an object.

    If the option *option* has the value *value*, the option *other* must have the value *other_value*. However, if
    *forbids* is True, *other* must be absent. :data:`GIVEN` stands for any value.

    Attributes:
        forbids: True if *other* must be absent, False if *other* must be present.
        but_empty: True if an empty object in *other* counts as absent.
        fault: The fault to report if the rule is broken.
        message: The message to report if the rule is broken.
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
    fault: Fault = Fault.CONTRADICTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The shape of an object with options: an action, or a part of an action.

    Attributes:
        name: The name that messages use for the object.
        about: A one-line description for the schema.
        deprecated: Advice on what to use instead, if the object is deprecated.
    """

    name: str
    options: dict[str, Option]
    about: str = ""
    rules: tuple[Rule, ...] = ()
    deprecated: str | None = None
    right: str = "an object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The shape of an object in which the field named *tag* selects one of *records* as the actual shape.

    Attributes:
        advice: Advice on what to write instead of wrong names that are often used as the tag, keyed by the wrong
            name in lower case.
    """

    tag: str
    what: str
    records: dict[str, Record] = field(default_factory=dict)
    advice: dict[str, str] = field(default_factory=dict)
    right: str = "an object"


Shape = Text | Number | Flag | Choice | Array | Free | Record | Variant

WHOLE_AS_TEXT = r"-?[0-9]+"
NUMBER_AS_TEXT = r"-?[0-9]+(\.[0-9]+)?"
FLAG_AS_TEXT = ("true", "false")


def spelling(name: str) -> str:
    """Return *name* in lower case, without underscores or hyphens, for comparison with other spellings."""
    return re.sub(r"[-_]", "", name).lower()
