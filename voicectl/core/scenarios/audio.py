"""A check that the audio files which an application plays can be fetched."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.loopback import is_loopback

if TYPE_CHECKING:
    from urllib.parse import SplitResult

FETCH_SECONDS = 5.0


def why_not(url: str) -> str | None:
    """Return the reason why the audio file at *url* cannot be fetched, or None if it can.

    Files on other machines are not fetched, because tests reach nothing but this one.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "it is not an absolute URL"
        return _refusal(parts) if is_loopback(parts.hostname) else None
    except ValueError as exc:
        return f"it is not a URL: {exc}"
    except (OSError, http.client.HTTPException) as exc:
        return str(exc) or type(exc).__name__


def _refusal(parts: SplitResult) -> str | None:
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=FETCH_SECONDS)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
        status = connection.getresponse().status
        return None if status < 300 else f"the status is {status}"
    finally:
        connection.close()
