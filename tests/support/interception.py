"""A sandbox that answers for the platform's hosts, and the variables that lead this process to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from voicectl.clock import SystemClock
from voicectl.sandbox.tls.authority import Authority

from .room import Room


def intercepting(
    start_room: StartRoom, monkeypatch: pytest.MonkeyPatch, directory: Path, **options: Any
) -> Room:
    """Return a machine whose sandbox gets all requests to the platform that this process sends by ``requests``.

    The sandbox has the machine's own clock, by which clients create tokens and check certificates.
    """
    clock = SystemClock()
    authority = Authority.new(clock.time)
    room = start_room(clock=clock, intercept=authority, **options)
    assert room.sandbox is not None
    assert room.sandbox.proxy_url is not None
    certificates = directory / "certificates.pem"
    certificates.write_bytes(authority.certificate)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, room.sandbox.proxy_url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates))
    return room
