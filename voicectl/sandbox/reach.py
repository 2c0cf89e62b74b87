"""Which hosts the sandbox may reach: only loopback unless the user allows others.

A rehearsal must not reach production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable


def may_reach(url: str, allow_hosts: Iterable[str]) -> bool:
    """Whether *url* is on this machine, or on one of *allow_hosts*, in whatever case."""
    try:
        parts = urlsplit(url)
        host, _port = (parts.hostname or "").lower(), parts.port
    except ValueError:  # of the port, too
        return False
    return is_loopback(host) or host in {each.lower() for each in allow_hosts}
