"""Reader of untrusted JSON, which checks each value and collects all errors.

Source: Voice API reference, "errors", shape A: ``invalid_parameters`` with ``name`` and ``reason``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

from voicectl.errors import InputError
from voicectl.voice import dtmf, endpoint

MISSING = "Missing required parameter"
MAX_ERRORS = 50
"""Maximum number of wrong fields that a response lists."""

WRONG_TYPE = "Invalid type parameter provided"  # the platform's wording, seen for stream_url

LONGEST_SECONDS = 31 * 86_400
"""Upper limit of any number of seconds: 31 days."""

METHODS = ("GET", "POST")
"""The HTTP methods for a webhook."""

_WEB = ("http", "https")
_VISIBLE = re.compile(r"[a-z]+://[\x21-\x7e]{1,2000}", re.IGNORECASE)
_WHOLE = re.compile(r"-?[0-9]+")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

Choice = TypeVar("Choice", bound=StrEnum)


class Invalid(Exception):
    """A request breaks the rules.

    Attributes:
        errors: The errors, ``{"name": ..., "reason": ...}``, in the order of reading.
    """

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{error['name']}: {error['reason']}" for error in errors))
        self.errors = errors


@dataclass(slots=True)
class Fields:
    """The fields of one JSON object.

    A value that is absent or wrong reads as its default, and each error is noted. Read all fields, then call
    :meth:`done`; the end of a ``with`` block calls it too.

    Args:
        raw: The object; anything else is noted, once, and reads as empty.
        at: The path of the object, such as ``ncco[1]``; empty for a body.
        errors: The errors so far, shared with the objects inside.
        is_lenient: Accept numbers, ``true`` and ``false`` as text, as the platform does in an NCCO.
    """

    raw: Any
    at: str = ""
    errors: list[dict[str, str]] = field(default_factory=list)
    is_lenient: bool = False
    _is_void: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.raw, dict):
            self._note(self.at or "body", WRONG_TYPE)
            self.raw = {}
            self._is_void = True

    def __enter__(self) -> Fields:
        return self

    def __exit__(self, exception: type[BaseException] | None, *_: object) -> None:
        if exception is None:
            self.done()

    def done(self) -> None:
        """Raise the errors, if any.

        Raises:
            Invalid: There are errors.
        """
        if self.errors:
            raise Invalid(self.errors)

    def refuse(self, name: str, reason: str) -> None:
        """Note that the field *name* is wrong."""
        if not self._is_void:
            self._note(f"{self.at}.{name}" if self.at else name, reason)

    def _note(self, name: str, reason: str) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"name": name, "reason": reason})

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Read a text; a required one must not be empty."""
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
        """Read a whole number between *low* and *high*."""
        value = self._number(name, _WHOLE)
        if value is None:
            return default
        if not (isinstance(value, int) or value.is_integer()):
            self.refuse(name, WRONG_TYPE)
        elif value < low or (high is not None and value > high):
            self.refuse(
                name, f"Must be {low} or more" if high is None else f"Must be between {low} and {high}"
            )
        else:
            return int(value)
        return default

    def digits(self, name: str, low: int, high: int, *, default: int) -> int:
        """Read a whole number between *low* and *high* written as text, as in queries."""
        text = self.text(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
            return int(text)
        self.refuse(name, f"Must be between {low} and {high}")
        return default

    def amount(
        self, name: str, *, low: float = 0, high: float = LONGEST_SECONDS, is_clamped: bool = False
    ) -> float | None:
        """Read a number from *low* to *high*, such as seconds; None if absent.

        With *is_clamped*, a number outside that range becomes the nearest limit.
        """
        value = self._number(name)
        if value is None:
            return None
        if is_clamped or low <= value <= high:
            return float(min(max(value, low), high))
        self.refuse(name, f"Must be between {low} and {high}")
        return None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read true or false."""
        value = self._get(name)
        if self.is_lenient and isinstance(value, str):
            value = {"true": True, "false": False}.get(value, value)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.refuse(name, WRONG_TYPE)
        return default

    def level(self) -> None:
        """Check ``level``, -1 to 1, a number or a text: the platform's own clients send either."""
        value = self._number("level", _NUMBER, is_lenient=True)
        if value is not None and not -1 <= value <= 1:
            self.refuse("level", "Must be between -1 and 1")

    def moment(self, name: str) -> float | None:
        """Read an RFC 3339 date-time as Unix seconds."""
        text = self.text(name)
        try:
            return None if text is None else unix_seconds(text)
        except ValueError:
            self.refuse(name, "Must be a date-time such as 2026-01-31T07:45:14Z")
            return None

    @overload
    def choice(
        self, name: str, choices: type[Choice], *, required: bool = False, any_case: bool = False
    ) -> Choice | None: ...

    @overload
    def choice(
        self, name: str, choices: Collection[str], *, required: bool = False, any_case: bool = False
    ) -> str | None: ...

    def choice(
        self, name: str, choices: Iterable[str], *, required: bool = False, any_case: bool = False
    ) -> str | None:
        """Read one of *choices*, members of an enumeration or plain words; *any_case* ignores the case."""
        value = self.text(name, required=required)
        if value is None:
            return None
        for each in choices:
            if value == each or (any_case and value.upper() == each.upper()):
                return each
        self.refuse(name, f"Must be one of {', '.join(choices)}")
        return None

    def url(self, name: str, *, required: bool = False, or_text: bool = False) -> str | None:
        """Read one http or https URL in an array, as the platform expects it.

        Args:
            name: The field.
            required: Refuse a missing field.
            or_text: Accept a plain text too.
        """
        if or_text and isinstance(self.raw.get(name), str):
            return self.link(name)
        urls = self.texts(name, required=required)
        if urls is None:
            return None
        if len(urls) == 1:
            return self._url(name, urls[0], _WEB)
        self.refuse(name, "Must hold exactly one URL")
        return None

    def link(self, name: str, *schemes: str, required: bool = False) -> str | None:
        """Read one URL as a plain text, with one of *schemes* (default http and https)."""
        value = self.text(name, required=required)
        return None if value is None else self._url(name, value, schemes or _WEB)

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...] | None:
        """Read a list of texts; None if absent."""
        value = self._get(name, required=required)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.refuse(name, WRONG_TYPE)
            return None
        return tuple(value)

    def number(self, name: str, *, required: bool = False) -> str | None:
        """Read a phone number in E.164, with or without ``+``, and return it without."""
        value = self.text(name, required=required)
        if value is None:
            return None
        try:
            return endpoint.number(value)
        except InputError:
            self.refuse(name, "Must be a phone number in E.164, 7 to 15 digits")
            return None

    def keys(self, name: str, *, required: bool = False) -> str | None:
        """Read keys to press; an error does not repeat them."""
        value = self.text(name, required=required)
        try:
            return None if value is None else dtmf.check(value)
        except InputError as exc:
            self.refuse(name, exc.message)
            return None

    def given(self, *names: str) -> dict[str, Any]:
        """Return those fields among *names* that were sent, unchanged."""
        return {name: self.raw[name] for name in names if name in self.raw}

    def inside(self, name: str, *, required: bool = False) -> Fields | None:
        """Return the object in the field *name*; None if absent."""
        if name in self.raw:
            return self.at_path(name, self.raw[name])
        if required:
            self.refuse(name, MISSING)
        return None

    def only(self, name: str) -> Fields | None:
        """Return the only object in the required array *name*; None if that is wrong."""
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
        """Return a reader of an object inside this one, which shares the errors."""
        return Fields(raw, f"{self.at}.{name}" if self.at else name, self.errors, self.is_lenient)

    def _get(self, name: str, *, required: bool = False) -> Any:
        if name not in self.raw:
            if required:
                self.refuse(name, MISSING)
            return None
        value = self.raw[name]
        if value is None:
            self.refuse(name, WRONG_TYPE)
        return value

    def _number(
        self, name: str, form: re.Pattern[str] = _NUMBER, *, is_lenient: bool | None = None
    ) -> int | float | None:
        """Read a number or, if texts are accepted, a text in that *form*."""
        value = self._get(name)
        if isinstance(value, str) and (self.is_lenient if is_lenient is None else is_lenient):
            value = _as_number(value, form)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            self.refuse(name, WRONG_TYPE)
            return None
        return value

    def _url(self, name: str, text: str, schemes: tuple[str, ...]) -> str | None:
        if _is_url(text, schemes):
            return text
        beginnings = " or ".join(f"{scheme}://" for scheme in schemes)
        self.refuse(name, f"Must begin with {beginnings} and name a host")
        return None


def unix_seconds(text: str) -> float:
    """Read an RFC 3339 date-time.

    Raises:
        ValueError: *text* is not one, or is not a valid time.
    """
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass  # the 31st of February; the first hours of the year 1, east of Greenwich
    raise ValueError("not an RFC 3339 date-time")


def _as_number(text: str, form: re.Pattern[str]) -> int | float | str:
    """Return *text* as a number, or unchanged if it is not one."""
    try:
        if form.fullmatch(text):
            return float(text) if "." in text else int(text)
    except ValueError:  # thousands of digits, which no JSON reader accepts
        pass
    return text


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        is_there = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_there and parts.scheme in schemes and _VISIBLE.fullmatch(text) is not None
