"""A reader for the values in untrusted JSON. It checks each value, and collects the errors.

Source: Voice API reference, "errors", format A: ``invalid_parameters`` with ``name`` and ``reason``.
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
"""The maximum number of errors that a response lists."""

WRONG_TYPE = "Invalid type parameter provided"  # the platform's wording, seen for stream_url

LONGEST_SECONDS = 31 * 86_400
"""The upper limit for all durations, in seconds (31 days)."""

LONGEST_URL = 8000
"""The maximum length of a URL, in characters."""

METHODS = ("GET", "POST")
"""The HTTP methods that are allowed for a webhook."""

_WEB = ("http", "https")
_VISIBLE = re.compile(r"[a-z]+://[\x21-\x7e]+", re.IGNORECASE)
_WHOLE = re.compile(r"-?[0-9]+")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

Choice = TypeVar("Choice", bound=StrEnum)


class Invalid(Exception):
    """Raised if a request is invalid.

    Attributes:
        errors: The errors, in the order in which the fields were read, each as ``{"name": ..., "reason": ...}``.
    """

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{error['name']}: {error['reason']}" for error in errors))
        self.errors = errors


@dataclass(slots=True)
class Fields:
    """A reader for the fields of one JSON object.

    If a field is absent or invalid, the methods return a default. They record every error. After all fields have
    been read, call :meth:`done`, or use the reader in a ``with`` block, which calls :meth:`done` at its end.

    A field that is null counts as absent.

    Args:
        raw: The parsed object. Any other value is recorded as an error, and treated as an empty object. Afterwards,
            the attribute holds the fields that are not null.
        at: The path of the object in the body, such as ``ncco[1]``, or an empty string for the body itself.
        errors: The list to which errors are added. Readers for nested objects share this list.
        is_lenient: True to accept numbers and Boolean values that are strings, as the platform does in NCCOs.
    """

    raw: Any
    at: str = ""
    errors: list[dict[str, str]] = field(default_factory=list)
    is_lenient: bool = False
    sent: dict[str, Any] = field(default_factory=dict, init=False)
    """The object as the client sent it, including fields that are null."""
    _is_void: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.raw, dict):
            self._note(self.at or "body", WRONG_TYPE)
            self.raw = {}
            self._is_void = True
        self.sent = self.raw
        if None in self.raw.values():
            self.raw = {name: value for name, value in self.raw.items() if value is not None}

    def __enter__(self) -> Fields:
        return self

    def __exit__(self, exception: type[BaseException] | None, *_: object) -> None:
        if exception is None:
            self.done()

    def done(self) -> None:
        """Raise an exception if any errors were recorded.

        Raises:
            Invalid: At least one error was recorded.
        """
        if self.errors:
            raise Invalid(self.errors)

    def refuse(self, name: str, reason: str) -> None:
        """Record *reason* as an error in the field *name*."""
        if not self._is_void:
            self._note(f"{self.at}.{name}" if self.at else name, reason)

    def _note(self, name: str, reason: str) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"name": name, "reason": reason})

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Return the string in a field, or None if it is absent or invalid. A required string must not be empty."""
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
        """Return the whole number in a field, or *default* if the field is absent or invalid.

        The number must be at least *low* and, unless *high* is None, at most *high*.
        """
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
        """Do the same as :meth:`integer`, but for a string of digits, such as a query parameter."""
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
        """Return the number in a field, such as a number of seconds, or None if the field is absent or invalid.

        A number that is less than *low* or greater than *high* is invalid. If *is_clamped* is True, such a number is
        replaced with the nearer limit instead.
        """
        value = self._number(name)
        if value is None:
            return None
        if is_clamped or low <= value <= high:
            return float(min(max(value, low), high))
        self.refuse(name, f"Must be between {low} and {high}")
        return None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return the Boolean value in a field, or *default* if the field is absent or invalid."""
        value = self._get(name)
        if self.is_lenient and isinstance(value, str):
            value = {"true": True, "false": False}.get(value, value)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.refuse(name, WRONG_TYPE)
        return default

    def level(self) -> None:
        """Check the field ``level``.

        If the field is present, its value must be a number from -1 to 1, or a string that contains such a number.
        """
        value = self._number("level", _NUMBER, is_lenient=True)
        if value is not None and not -1 <= value <= 1:
            self.refuse("level", "Must be between -1 and 1")

    def moment(self, name: str) -> float | None:
        """Return the RFC 3339 date-time in a field as Unix seconds, or None if the field is absent or invalid."""
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
        """Return the value of a field, which must be one of *choices*, or None if it is absent or invalid.

        The *choices* are enumeration members or strings. If *any_case* is True, case is ignored.
        """
        value = self.text(name, required=required)
        if value is None:
            return None
        for each in choices:
            if value == each or (any_case and value.upper() == each.upper()):
                return each
        self.refuse(name, f"Must be one of {', '.join(choices)}")
        return None

    def url(self, name: str, *, required: bool = False, or_text: bool = False) -> str | None:
        """Return the URL in an array field, or None if the field is absent or invalid.

        The array must contain exactly one http or https URL.

        Args:
            name: The name of the field.
            required: True to refuse a missing field.
            or_text: True to accept a string in place of the array.
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
        """Return the URL in a string field, or None if the field is absent or invalid.

        The URL's scheme must be one of *schemes*. If no *schemes* are given, http and https are allowed.
        """
        value = self.text(name, required=required)
        return None if value is None else self._url(name, value, schemes or _WEB)

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...] | None:
        """Return the strings in an array field, or None if the field is absent or invalid."""
        value = self._get(name, required=required)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.refuse(name, WRONG_TYPE)
            return None
        return tuple(value)

    def number(self, name: str, *, required: bool = False) -> str | None:
        """Return the phone number in a field without its optional ``+``, or None if it is absent or invalid."""
        value = self.text(name, required=required)
        if value is None:
            return None
        try:
            return endpoint.number(value)
        except InputError:
            self.refuse(name, "Must be a phone number in E.164 format, 7 to 15 digits")
            return None

    def keys(self, name: str, *, required: bool = False) -> str | None:
        """Return the telephone keys in a field, or None if they are absent or invalid. No error reveals the keys."""
        value = self.text(name, required=required)
        try:
            return None if value is None else dtmf.check(value)
        except InputError as exc:
            self.refuse(name, exc.message)
            return None

    def given(self, *names: str) -> dict[str, Any]:
        """Return the fields among *names* that were sent, with their values unchanged."""
        return {name: self.raw[name] for name in names if name in self.raw}

    def inside(self, name: str, *, required: bool = False) -> Fields | None:
        """Return a reader for the object in the field *name*, or None if the field is absent."""
        if name in self.raw:
            return self.at_path(name, self.raw[name])
        if required:
            self.refuse(name, MISSING)
        return None

    def only(self, name: str) -> Fields | None:
        """Return a reader for the only object in the required array *name*, or None if the array is invalid."""
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
        """Return a reader for *raw*, an object inside this object. Both readers add errors to the same list."""
        return Fields(raw, f"{self.at}.{name}" if self.at else name, self.errors, self.is_lenient)

    def _get(self, name: str, *, required: bool = False) -> Any:
        if name not in self.raw:
            if required:
                self.refuse(name, MISSING)
            return None
        return self.raw[name]

    def _number(
        self, name: str, form: re.Pattern[str] = _NUMBER, *, is_lenient: bool | None = None
    ) -> int | float | None:
        """Return the number in a field, or None. A lenient reader also accepts a string that matches *form*."""
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
    """Convert an RFC 3339 date-time to Unix seconds.

    Raises:
        ValueError: *text* is not an RFC 3339 date-time, or represents a time that does not exist.
    """
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass  # such as the 31st of February, or the first hours of the year 1 east of Greenwich
    raise ValueError("not an RFC 3339 date-time")


def _as_number(text: str, form: re.Pattern[str]) -> int | float | str:
    """Convert *text* to a number if it matches *form*. Otherwise, return *text* unchanged."""
    try:
        if form.fullmatch(text):
            return float(text) if "." in text else int(text)
    except ValueError:  # a number with thousands of digits, which Python refuses to convert
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
    is_readable = len(text) <= LONGEST_URL and _VISIBLE.fullmatch(text) is not None
    return is_there and is_readable and parts.scheme in schemes
