"""The sandbox that ``VOICECTL_SANDBOX`` selects.

The credentials of a rehearsal are those of the sandbox's profile in the configuration directory, which only the user
can write. The server at the address supplies none, and must prove that it is this sandbox.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicectl.core import hosts, own_sandbox
from voicectl.core.identity.profiles import SANDBOX
from voicectl.core.sandbox_control import ExpectedSandbox, SandboxControl
from voicectl.errors import ConfigError, GuardError, VoicectlError
from voicectl.loopback import is_loopback_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.core.identity.profiles import Profile, ProfileStore

VARIABLE = "VOICECTL_SANDBOX"


def control(url: str, profiles: ProfileStore, *, dry_run: bool = False) -> SandboxControl:
    """Return a client for the sandbox of a rehearsal, which must prove that it is this sandbox before each change.

    The client uses the address in the sandbox's profile. At other names of this machine, such as ``localhost``,
    another program may answer on the same port.

    Raises:
        ConfigError: *url* is not on loopback.
    """

    def expected() -> ExpectedSandbox:
        return own_sandbox.expected(profile_at(url, profiles), profiles)

    found = _find(url, profiles)
    address = url if found is None else found.base_url
    return SandboxControl(address, source=VARIABLE, expected=expected, dry_run=dry_run)


def proven(url: str, profiles: ProfileStore) -> tuple[Profile, dict[str, Any]]:
    """Return the profile of a rehearsal's sandbox, and the identity that the sandbox has proved.

    Raises:
        ConfigError: *url* is not on loopback, or no profile describes a sandbox at *url*.
        GuardError: The server at *url* does not prove that it is the sandbox of the profile.
        TransportError: No sandbox responds at *url*.
    """
    identity = control(url, profiles).prove()
    return profile_at(url, profiles), identity


def profile_at(url: str, profiles: ProfileStore) -> Profile:
    """Return the profile of the sandbox at *url*.

    Raises:
        ConfigError: No profile describes a sandbox at *url*.
    """
    found = _find(url, profiles)
    if found is None:
        raise ConfigError(
            f"{VARIABLE} is set, but this configuration has no credentials for a sandbox at {url}.",
            hint="Start a sandbox with 'voicectl sandbox start --detach', or run the command in 'voicectl sandbox"
            " exec'.",
        )
    return found


def refuse_changes(environ: Mapping[str, str], what: str) -> None:
    """Refuse to change the configuration during a rehearsal.

    Args:
        what: The part of the configuration that would be changed, for the error message.

    Raises:
        GuardError: ``VOICECTL_SANDBOX`` is set.
    """
    if environ.get(VARIABLE):
        raise GuardError(
            f"{VARIABLE} is set, so {what} cannot be changed: a rehearsal changes nothing real.",
            hint=f"Run the command outside the rehearsal, without {VARIABLE}.",
        )


def _find(url: str, profiles: ProfileStore) -> Profile | None:
    """Return the profile of the sandbox at *url*, preferably the profile ``sandbox``, or None."""
    port = _port(url)
    if port is None:
        return None
    for name in sorted(profiles.names(), key=lambda each: each != SANDBOX):
        with suppress(VoicectlError):  # a malformed profile is not a sandbox's
            found = profiles.get(name)
            is_sandbox = found.application_id.startswith(hosts.SANDBOX_PREFIX) and found.key_command is None
            if is_sandbox and _port(found.base_url) == port:
                return found
    return None


def _port(url: str) -> int | None:
    """Return the port of *url*, or None if it is not the URL of a server on loopback."""
    try:
        return urlsplit(hosts.base_url(url)).port if is_loopback_url(url) else None
    except (ConfigError, ValueError):
        return None
