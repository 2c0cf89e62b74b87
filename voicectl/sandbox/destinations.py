"""Where the requests of a sandbox go: its webhooks and the handshakes of its WebSockets.

They reach only this machine, so that a rehearsal sends nothing to production systems. The user can map other hosts to
this machine, or allow them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from voicectl.errors import InputError
from voicectl.loopback import is_loopback
from voicectl.voice.url import SOCKET, is_url

OFF_LIMITS = "the host is not on this machine, and neither --allow-host nor --map-host names it"

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)
_HINT = "For example: --map-host demo.example.com=http://127.0.0.1:3000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """The hosts that a sandbox may reach.

    Attributes:
        allowed: Hosts that may be reached in addition to this machine, in lower case.
        mapped: Hosts that are mapped to this machine, in lower case, each with the origin to which its requests go,
            such as ``http://127.0.0.1:3000``. They are never reached, even if they are allowed, too.
    """

    allowed: frozenset[str] = frozenset()
    mapped: Mapping[str, str] = field(default_factory=dict)

    def find(self, url: str) -> str | None:
        """Return the URL to connect to in order to request *url*, or None if its host must not be reached.

        It is another URL only if the host is mapped. The ``Host`` header is that of *url* in any case.
        """
        try:
            parts = urlsplit(url)
            host, _port = (parts.hostname or "").lower(), parts.port
        except ValueError:  # an invalid port, for example
            return None
        if host not in self.mapped:
            return url if is_loopback(host) or host in self.allowed else None
        scheme, _, netloc = self.mapped[host].partition("://")
        if parts.scheme in SOCKET:
            scheme = scheme.replace("http", "ws")
        return parts._replace(scheme=scheme, netloc=netloc).geturl()

    def log_fields(self, url: str) -> dict[str, Any]:
        """Return the fields of a log entry for a request: its ``url``, and the ``address`` to which it is mapped."""
        address = self.find(url)
        is_mapped = address is not None and address != url
        return {"url": without_password(url)} | ({"address": address} if is_mapped else {})


def read_mappings(texts: Iterable[str]) -> dict[str, str]:
    """Read mappings in the form ``HOST=URL``, such as ``demo.example.com=http://127.0.0.1:3000``.

    Returns:
        The origin to which each host is mapped, as for :attr:`Destinations.mapped`.

    Raises:
        InputError: A mapping is malformed, its host is on this machine, its URL is not on this machine, or a host is
            mapped twice.
    """
    mapped: dict[str, str] = {}
    for text in texts:
        host, _, url = text.partition("=")
        host, url = host.lower(), url.removesuffix("/")
        if fault := _fault(host, url) or (host in mapped and f"{host} is mapped twice"):
            raise InputError(f"--map-host {host!r}: {fault}.", hint=_HINT)
        mapped[host] = url
    return mapped


def _fault(host: str, url: str) -> str | None:
    """Return what is wrong with the mapping of *host* to *url*, or None if it is valid."""
    if not _NAME.fullmatch(host):
        return "the text before = must be the name of a host, without a scheme or port"
    if is_loopback(host):
        return f"{host} is this machine, whose ports are reached without a mapping"
    if not is_url(url):
        return "the text after = must be an http or https URL; WebSockets go to the same place as webhooks"
    parts = urlsplit(url)
    if not is_loopback(parts.hostname or ""):
        return f"{parts.hostname} is not on this machine, and hosts are mapped only to this machine"
    if "@" in parts.netloc or url != f"{parts.scheme}://{parts.netloc}":
        return "the URL must end after the port: each request keeps its own path"
    return None


def without_password(url: str) -> str:
    """Remove the user name and password from *url*, so that it can be logged."""
    scheme, slashes, rest = url.partition("//")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"
