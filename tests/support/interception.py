"""A sandbox that answers for the platform's hosts, and the variables that lead this process to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from voicectl.cli.child_environment import intercepted
from voicectl.clock import SystemClock
from voicectl.sandbox.tls.authority import Authority

from .room import Room


def intercepting(
    start_room: StartRoom, monkeypatch: pytest.MonkeyPatch, directory: Path, **options: Any
) -> Room:
    """Return a machine whose sandbox gets the requests to the platform that this process sends by ``requests``.

    It also gets those of Node programs that this process starts with its own environment. The sandbox has the
    machine's own clock, by which clients create tokens and check certificates.
    """
    clock = SystemClock()
    authority = Authority.new(clock.time)
    room = start_room(clock=clock, intercept=authority, **options)
    assert room.sandbox is not None
    assert room.sandbox.proxy_url is not None
    assert room.sandbox.tls_url is not None
    certificates = directory / "certificates.pem"
    certificates.write_bytes(authority.certificate)
    variables = intercepted({}, room.sandbox.proxy_url, room.sandbox.tls_url)
    trusted = dict.fromkeys(("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"), str(certificates))
    for name, value in (variables | trusted).items():
        monkeypatch.setenv(name, value)
    return room
