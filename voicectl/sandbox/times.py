"""Moments as texts. The call clock counts whole milliseconds since 1970, the host clock seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(milliseconds: int) -> str:
    """A moment as ``2026-02-03T09:15:00.120Z``, the form in which the platform writes times."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_seconds(text: str) -> float:
    """Read an RFC 3339 date-time.

    Raises:
        ValueError: *text* is not one, or names no real moment.
    """
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass  # the 31st of February; the first hours of the year 1, east of Greenwich
    raise ValueError("not an RFC 3339 date-time")
