"""The sandbox that this user has started: how to find it, even if its profile is gone, and how to recognize it.

A running sandbox is recorded in a file in the state directory. A sandbox that is killed leaves its record behind. So
a sandbox counts as running only if it answers a request. Another program may have taken over its port since. So it
must prove that it knows the signature secret of its profile before anything of value is sent to it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.identity.profiles import SANDBOX
from voicectl.core.sandbox_control import ExpectedSandbox, SandboxControl
from voicectl.errors import ConfigError, GuardError, TransportError
from voicectl.store import files

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.core.identity.profiles import Profile, ProfileStore

FILE = "sandbox.json"
LOOK_SECONDS = 1.0


class OwnSandbox(NamedTuple):
    """The base URL of a sandbox, and the id of the application that it serves."""

    url: str
    application_id: str

    @property
    def is_running(self) -> bool:
        """True if a sandbox responds at the URL and serves the application."""
        with suppress(TransportError, ConfigError):
            control = SandboxControl(self.url, source="The sandbox's address")
            return bool(control.identity(timeout=LOOK_SECONDS)["application_id"] == self.application_id)
        return False


def control(profile: Profile, profiles: ProfileStore, *, dry_run: bool = False) -> SandboxControl:
    """Return a client for the sandbox of *profile*, which must prove that it is this sandbox before each change."""
    return SandboxControl(
        profile.base_url,
        source=f"The profile '{profile.name}'",
        expected=lambda: expected(profile, profiles),
        dry_run=dry_run,
    )


def prove(profile: Profile, profiles: ProfileStore, origin: str) -> None:
    """Let the server at *origin* prove that it is the sandbox of *profile*, or a region of this sandbox.

    Raises:
        ConfigError: The profile has no signature secret.
        GuardError: The server is not this sandbox.
        TransportError: No sandbox responds at the address in the profile.
    """
    found = control(profile, profiles).prove()
    if origin not in (found["url"], found.get("tls_url"), *found["regions"].values()):
        raise GuardError(
            f"{origin} is not an address of the sandbox at {found['url']}, so nothing was sent to it.",
            hint="See its addresses: voicectl sandbox status --fields url,regions",
        )


def expected(profile: Profile, profiles: ProfileStore) -> ExpectedSandbox:
    """Return the application of *profile* and its secret, with which its sandbox proves its identity.

    Raises:
        ConfigError: The profile has no signature secret.
    """
    secret = profiles.secret(profile.name, "signature-secret")
    if not secret:
        raise ConfigError(
            f"The profile {profile.name} has no signature secret, so its sandbox cannot prove its identity.",
            hint=f"Create the profile again: voicectl profile remove {profile.name}, then voicectl sandbox start",
        )
    return ExpectedSandbox(profile.application_id, secret.strip())


def record(states: Path, sandbox: OwnSandbox) -> None:
    """Record a running sandbox.

    Args:
        states: The state directory of all applications.

    Raises:
        ConfigError: The record cannot be written.
    """
    files.write_private(files.private_directory(states) / FILE, json.dumps(sandbox._asdict()).encode())


def forget(states: Path, sandbox: OwnSandbox) -> None:
    """Delete the record of a sandbox, unless another one has been recorded since."""
    if recorded(states) == sandbox:
        with suppress(OSError):
            (states / FILE).unlink(missing_ok=True)


def recorded(states: Path) -> OwnSandbox | None:
    """Return the sandbox that was recorded last, or None if there is no valid record."""
    with suppress(ConfigError, ValueError, KeyError, TypeError, RecursionError):
        found = json.loads(files.read_private(states / FILE, what="record of the sandbox"))
        return OwnSandbox(str(found["url"]), str(found["application_id"]))
    return None


def known(profiles: ProfileStore, states: Path) -> OwnSandbox | None:
    """Return the sandbox of the profile ``sandbox``, or the recorded sandbox.

    The recorded sandbox is returned if there is no such profile, or if only the recorded sandbox is running.
    """
    last = recorded(states)
    if SANDBOX not in profiles.names():
        return last
    profile = profiles.get(SANDBOX)
    found = OwnSandbox(profile.base_url, profile.application_id)
    if last is not None and last != found and not found.is_running and last.is_running:
        return last
    return found
