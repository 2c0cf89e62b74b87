"""Finding the sandbox that this user has started, even if its profile is gone.

A running sandbox is recorded in a file in the state directory. A sandbox that is killed leaves its record behind. So
a sandbox counts as running only if it answers a request.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.identity.profiles import SANDBOX
from voicectl.core.sandbox_control import SandboxControl
from voicectl.errors import ConfigError, TransportError
from voicectl.store import files

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.core.identity.profiles import ProfileStore

FILE = "sandbox.json"
LOOK_SECONDS = 1.0


class OwnSandbox(NamedTuple):
    """The base URL of a sandbox, and the id of the application that it serves."""

    url: str
    application_id: str

    @property
    def is_running(self) -> bool:
        """True if a sandbox answers at the URL and serves the application."""
        with suppress(TransportError, ConfigError):
            control = SandboxControl(self.url, source="The sandbox's address")
            return bool(control.identity(timeout=LOOK_SECONDS)["application_id"] == self.application_id)
        return False


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
    """Return the sandbox of the profile ``sandbox``. If there is no such profile, return the recorded sandbox."""
    if SANDBOX in profiles.names():
        profile = profiles.get(SANDBOX)
        return OwnSandbox(profile.base_url, profile.application_id)
    return recorded(states)
