"""Conversion of times between the formats that users type and the formats that the APIs use.

A DURATION is a number of seconds, or text such as ``1h30m``. A TIME is an RFC 3339 date-time, or a DURATION, which
then stands for a time that long before the current time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from voicectl.errors import InputError

_DURATION = re.compile(
    r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,3})?)s)?"
)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")
_UNITS = (86_400, 3600, 60, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def duration(text: str) -> float:
    """Convert a DURATION, such as ``90``, ``1.5``, ``1h30m`` or ``2d``, to seconds.

    Raises:
        InputError: *text* is not a duration.
    """
    if _SECONDS.fullmatch(text):
        return float(text)
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise InputError(
            f"{text!r} is not a duration.", hint="Write seconds, or days, hours and minutes: 90, 1h30m, 2d."
        )
    return sum(float(amount) * unit for amount, unit in zip(found.groups(), _UNITS, strict=True) if amount)


def age_text(seconds: float, *, is_exact: bool) -> str:
    """Return an age as text, such as ``12s``, ``3m`` or ``4d``, preceded by ``>`` if the real age may be higher."""
    units = (86_400, "d"), (3600, "h"), (60, "m")
    size, unit = next((each for each in units if seconds >= each[0]), (1, "s"))
    shown = f"{min(int(seconds // size), 999)}{unit}"
    return shown if is_exact else f">{shown}"


def moment(text: str, *, now: float) -> str:
    """Convert a TIME to an RFC 3339 date-time in UTC, in whole seconds.

    Args:
        text: An RFC 3339 date-time with an offset or ``Z``; or a DURATION, for the time that long before *now*.
        now: The current time in Unix seconds.

    Raises:
        InputError: *text* is neither a date-time nor a DURATION, or the time is out of range.
    """
    try:
        return utc(now - duration(text))
    except InputError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InputError(
            f"{text!r} is not a time.",
            hint="Write a time such as 2026-01-31T07:45:14Z, or how long ago: 10m, 2h, 1d.",
        )
    return utc(found.timestamp())


def utc(seconds: float, *, timespec: str = "seconds") -> str:
    """Format a Unix time as ``2026-01-31T07:45:14Z``, or as ``...14.250Z`` if *timespec* is ``milliseconds``.

    Raises:
        InputError: The time is out of range.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError) as exc:
        raise InputError(
            "That time is out of range.", hint="Write a time such as 2026-01-31T07:45:14Z."
        ) from exc


def local(text: str, *, now: float | None = None) -> str:
    """Convert an RFC 3339 date-time to local time, in a short format that is easy to read.

    The format is ``14:03:27`` for a time on the same day as *now*, ``29 Nov 14:03`` for another day of the same year,
    and ``29 Nov 2025`` for another year. Text that is not a date-time is returned unchanged.

    Args:
        now: The current time in Unix seconds, or None to show only the time of day.
    """
    try:
        found = datetime.fromisoformat(text).astimezone()
        today = found if now is None else datetime.fromtimestamp(now, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return text
    if found.date() == today.date():
        return f"{found:%H:%M:%S}"
    return f"{found.day} {found:%b %H:%M}" if found.year == today.year else f"{found.day} {found:%b %Y}"


def rfc3339(milliseconds: int) -> str:
    """Convert a Unix time in milliseconds to the platform's format, such as ``2026-02-03T09:15:00.120Z``."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def normal(text: str) -> str:
    """Convert a time from the API, with or without an offset, to RFC 3339 in UTC. Return other text unchanged."""
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: the time is out of range after conversion to UTC
        return text
    precision = "milliseconds" if found.microsecond >= 1000 else "seconds"
    return found.isoformat(timespec=precision).replace("+00:00", "Z")
