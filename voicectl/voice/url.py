"""Validation of URLs that the platform requests: web pages, audio files, webhooks and WebSocket servers."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

WEB = ("http", "https")
SOCKET = ("ws", "wss")

MAX_CHARACTERS = 8000
"""The maximum length. Signed URLs of audio files take up to about 2,500 characters, and few servers accept 8,000."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def is_url(text: str, schemes: tuple[str, ...] = WEB) -> bool:
    """Return True if *text* is a URL with a host and one of *schemes*, in visible ASCII characters."""
    if len(text) > MAX_CHARACTERS or not _VISIBLE.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an address, or an invalid port
        return False
