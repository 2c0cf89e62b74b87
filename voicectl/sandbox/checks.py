"""Reading JSON that strangers sent: each value checked, and everything that is wrong collected.

Source: Voice API reference, "errors", shape A: ``invalid_parameters`` with ``name`` and ``reason``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

from voicectl.errors import InputError
from voicectl.voice import endpoint

MISSING = "Missing required parameter"
WRONG_TYPE = "Invalid type parameter provided"  # as the platform words it, seen for stream_url

LONGEST_SECONDS = 31 * 86_400
"""The most seconds that anything here may take: 31 days."""

_VISIBLE = re.compile(r"https?://[\x21-\x7e]{1,2000}", re.IGNORECASE)
_LEVEL = re.compile(r"-?[01](\.[0-9]+)?")

Choice = TypeVar("Choice", bound=StrEnum)


class Invalid(Exception):
    """A request breaks the rules.

    Attributes:
        wrongs: ``{"name": ..., "reason": ...}``, in the order of reading.
    """

    def __init__(self, wrongs: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{wrong['name']}: {wrong['reason']}" for wrong in wrongs))
        self.wrongs = wrongs


@dataclass(slots=True)
class Fields:
    """The fields of one JSON object.

    A value that is absent or wrong reads as its default, and what is wrong is noted: read all, then :meth:`done`.

    Args:
        raw: The object; anything else is noted, once, and reads as empty.
        at: Where it is, such as ``ncco[1]``; empty for a body.
        wrongs: The notes, shared with the objects inside.
    """

    raw: Any
    at: str = ""
    wrongs: list[dict[str, str]] = field(default_factory=list)
    _is_void: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.raw, dict):
            self.wrongs.append({"name": self.at or "body", "reason": WRONG_TYPE})
            self.raw = {}
            self._is_void = True

    def done(self) -> None:
        """Say what is wrong, if anything.

        Raises:
            Invalid: Something is.
        """
        if self.wrongs:
            raise Invalid(self.wrongs)

    def refuse(self, name: str, reason: str) -> None:
        """Note that the field *name* is wrong."""
        if not self._is_void:
            self.wrongs.append({"name": f"{self.at}.{name}" if self.at else name, "reason": reason})

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A text; a required one is not empty."""
        value = self._get(name, required=required)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(name, WRONG_TYPE)
            return None
        if required and not value.strip():
            self.refuse(name, "Must not be empty")
            return None
        return value

    @overload
    def integer(self, name: str, low: int, high: int | None = None, *, default: int) -> int: ...

    @overload
    def integer(self, name: str, low: int, high: int | None = None, *, default: None) -> int | None: ...

    def integer(self, name: str, low: int, high: int | None = None, *, default: int | None) -> int | None:
        """A whole number between *low* and *high*."""
        value = self._get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(name, WRONG_TYPE)
        elif value < low or (high is not None and value > high):
            self.refuse(
                name, f"Must be {low} or more" if high is None else f"Must be between {low} and {high}"
            )
        else:
            return value
        return default

    def digits(self, name: str, low: int, high: int, *, default: int) -> int:
        """A whole number between *low* and *high* written as text, as queries have it."""
        text = self.text(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
            return int(text)
        self.refuse(name, f"Must be between {low} and {high}")
        return default

    def amount(self, name: str, *, high: float = LONGEST_SECONDS) -> float | None:
        """A number from 0 to *high*, such as seconds; None if absent."""
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(name, WRONG_TYPE)
        elif not 0 <= value <= high:
            self.refuse(name, f"Must be between 0 and {high}")
        else:
            return float(value)
        return None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.refuse(name, WRONG_TYPE)
        return default

    def level(self) -> None:
        """Check ``level``, -1 to 1, a number or a text: the platform's own clients send either."""
        value = self._get("level")
        if isinstance(value, str) and _LEVEL.fullmatch(value):
            value = float(value)
        if value is None:
            return
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse("level", WRONG_TYPE)
        elif not -1 <= value <= 1:
            self.refuse("level", "Must be between -1 and 1")

    def choice(self, name: str, choices: type[Choice], *, required: bool = False) -> Choice | None:
        """One of *choices*."""
        value = self.text(name, required=required)
        if value is None:
            return None
        try:
            return choices(value)
        except ValueError:
            self.refuse(name, f"Must be one of {', '.join(choices)}")
            return None

    def url(self, name: str, *, required: bool = False, or_text: bool = False) -> str | None:
        """One http or https URL, in an array as the platform wants it.

        Args:
            name: The field.
            required: Whether it must be there.
            or_text: Whether a plain text does too.
        """
        value = self._get(name, required=required)
        if or_text and isinstance(value, str):
            value = [value]
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
            self.refuse(name, WRONG_TYPE)
        elif len(value) != 1:
            self.refuse(name, "Must hold exactly one URL")
        elif not _is_url(value[0]):
            self.refuse(name, "Must be an http or https URL")
        else:
            return str(value[0])
        return None

    def texts(self, name: str) -> frozenset[str] | None:
        """A list of texts; None if absent."""
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.refuse(name, WRONG_TYPE)
            return None
        return frozenset(value)

    def number(self, name: str, *, required: bool = False) -> str | None:
        """A phone number in E.164, with ``+`` or without; without it in the end."""
        value = self.text(name, required=required)
        if value is None:
            return None
        try:
            return endpoint.number(value)
        except InputError:
            self.refuse(name, "Must be a phone number in E.164, 7 to 15 digits")
            return None

    def inside(self, name: str) -> Fields | None:
        """The object in the field *name*; None if absent."""
        return self.at_path(name, self.raw[name]) if name in self.raw else None

    def only(self, name: str) -> Fields | None:
        """The one object in the array *name*, which must be there; None if it is not one."""
        value = self._get(name, required=True)
        if value is None:
            return None
        if not isinstance(value, list):
            self.refuse(name, WRONG_TYPE)
        elif len(value) != 1:
            self.refuse(name, "Must hold exactly one endpoint")
        else:
            return self.at_path(f"{name}[0]", value[0])
        return None

    def at_path(self, name: str, raw: object) -> Fields:
        """An object inside this one, with the same notes."""
        return Fields(raw, f"{self.at}.{name}" if self.at else name, self.wrongs)

    def _get(self, name: str, *, required: bool = False) -> Any:
        if name not in self.raw:
            if required:
                self.refuse(name, MISSING)
            return None
        value = self.raw[name]
        if value is None:
            self.refuse(name, WRONG_TYPE)
        return value


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return _VISIBLE.fullmatch(text) is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
