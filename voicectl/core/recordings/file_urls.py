"""Checks the URLs of files. The URLs come from events or from the user, and requests to them contain a token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicectl.core.hosts import DEFAULT_PORTS, without_default_port
from voicectl.errors import GuardError
from voicectl.voice.hosts import FILE_HOSTS

if TYPE_CHECKING:
    from voicectl.core.hosts import Hosts

MAX_SHOWN = 200

_FILE_URL = re.compile(
    r"((?i:https?))://([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::([1-9][0-9]{0,4}))?"
    r"(/v[13]/files/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUrl:
    """The URL of a recording or transcription to which a token may be sent.

    Attributes:
        origin: The scheme, host and port as a URL, in the form that :func:`voicectl.core.hosts.base_url` returns.
        path: The path: ``/v1/files/UUID`` or ``/v3/files/UUID``.
        file_id: The UUID in the path, in lower case.
    """

    origin: str
    path: str
    file_id: str


def file_url(url: str, hosts: Hosts) -> FileUrl:
    """Check the URL of a file, and return its parts.

    Raises:
        GuardError: *url* is not the URL of a file, or no token may be sent to its host. A token may be sent to the
            profile's base URL and, if that is not on this machine, to port 443 of the listed hosts over https.
    """
    found = _FILE_URL.fullmatch(url)
    if found is None:
        raise _no_file(url, "it does not have the form https://HOST/v1/files/UUID")
    scheme, host, port, path, file_id = found.groups()
    origin = hosts.stand_in(_origin(found))
    if not hosts.is_home(origin):
        if hosts.is_here:
            hint = (
                "A sandbox serves files only from the addresses of its regions; use 'voicectl sandbox exec' or"
                " -p sandbox."
            )
            raise _no_file(url, f"it is not on {hosts.base_url}, where this profile's files are", hint)
        if scheme.lower() != "https" or port not in (None, DEFAULT_PORTS["https"]):
            raise _no_file(url, "it is not https on port 443")
        if host.lower() not in FILE_HOSTS | set(hosts.extra_hosts):
            raise _no_file(url, f"{host} is not a listed host")
    return FileUrl(origin=origin, path=path, file_id=file_id.lower())


def is_same(url: str, other: str) -> bool:
    """Return True if two URLs name the same file. Schemes, hosts and UUIDs have no case."""
    return _comparable(url) == _comparable(other)


def _comparable(url: str) -> str:
    found = _FILE_URL.fullmatch(url)
    return url if found is None else _origin(found) + found[4].lower()


def _origin(found: re.Match[str]) -> str:
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    return without_default_port(f"{scheme}://{host}" + (f":{port}" if port else ""))


def _no_file(
    url: str, why: str, hint: str = "To allow a host, use 'voicectl profile add --host'."
) -> GuardError:
    shown = url if len(url) <= MAX_SHOWN else url[:MAX_SHOWN] + "..."
    return GuardError(f"No token is sent to {shown}: {why}.", hint=f"The file was not requested. {hint}")
