"""The sandbox that ``VOICECTL_SANDBOX`` selects, and the proof that the server at that address is this sandbox.

The credentials of a rehearsal are those of a sandbox's profile in the configuration directory, which only the user
can write. The server at the address supplies no credentials. Before anything else is sent to it, it must prove that
it knows the profile's signature secret, which is never sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicectl.core import hosts
from voicectl.core.identity.profiles import SANDBOX
from voicectl.core.sandbox_control import SandboxControl
from voicectl.errors import ConfigError, GuardError, VoicectlError
from voicectl.loopback import is_loopback_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.core.identity.profiles import Profile, ProfileStore

VARIABLE = "VOICECTL_SANDBOX"


def control(url: str, profiles: ProfileStore, *, dry_run: bool = False) -> SandboxControl:
    """Return a client for the sandbox of a rehearsal, which proves its identity before each change.

    Raises:
        ConfigError: *url* is not on loopback.
    """
    return SandboxControl(url, source=VARIABLE, secret=lambda: _secret(url, profiles), dry_run=dry_run)


def proven(url: str, profiles: ProfileStore) -> tuple[Profile, dict[str, Any]]:
    """Return the profile of a rehearsal's sandbox, and the identity that the sandbox has proved.

    Raises:
        ConfigError: *url* is not on loopback, or no profile describes a sandbox at *url*.
        GuardError: The server at *url* does not prove that it is the sandbox of the profile.
        TransportError: No sandbox answers at *url*.
    """
    identity = control(url, profiles).proven_identity()
    profile = profile_at(url, profiles)
    if identity["application_id"] != profile.application_id:
        raise GuardError(
            f"The sandbox at {url} serves application {identity['application_id']}, but profile {profile.name} is for"
            f" {profile.application_id}.",
            hint="Start the sandbox again: voicectl sandbox start --detach",
        )
    return profile, identity


def profile_at(url: str, profiles: ProfileStore) -> Profile:
    """Return the profile of the sandbox at *url*.

    Raises:
        ConfigError: No profile describes a sandbox at *url*.
    """
    for name in sorted(profiles.names(), key=lambda each: each != SANDBOX):
        try:
            found = profiles.get(name)
        except VoicectlError:  # a malformed profile is not a sandbox's
            continue
        is_sandbox = found.application_id.startswith(hosts.SANDBOX_PREFIX) and found.key_command is None
        if is_sandbox and is_loopback_url(found.base_url) and _port(found.base_url) == _port(url):
            return found
    raise ConfigError(
        f"{VARIABLE} is set, but this configuration has no credentials for a sandbox at {url}.",
        hint="Start it with 'voicectl sandbox start --detach', or run the command in 'voicectl sandbox exec'.",
    )


def refuse_changes(environ: Mapping[str, str], what: str) -> None:
    """Refuse to change the configuration during a rehearsal.

    Args:
        what: What would be changed, for the error message.

    Raises:
        GuardError: ``VOICECTL_SANDBOX`` is set.
    """
    if environ.get(VARIABLE):
        raise GuardError(
            f"{VARIABLE} is set, so {what} cannot be changed: a rehearsal changes nothing real.",
            hint=f"Run the command outside the rehearsal, without {VARIABLE}.",
        )


def _secret(url: str, profiles: ProfileStore) -> str:
    profile = profile_at(url, profiles)
    secret = profiles.secret(profile.name, "signature-secret")
    if not secret:
        raise ConfigError(
            f"The profile {profile.name} has no signature secret, with which the sandbox proves its identity.",
            hint=f"Create the profile anew: voicectl profile remove {profile.name}, then voicectl sandbox start",
        )
    return secret.strip()


def _port(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
