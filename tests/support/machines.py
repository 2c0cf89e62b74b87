"""Machines and clients for tests that need a server other than a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from voicectl.api.auth import Bearer
from voicectl.api.client import VoiceApi
from voicectl.api.session import Limiter, Session
from voicectl.api.wire import Wire
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.sandbox.account.identity import Identity

from .clock import FakeClock
from .room import Room

Application = tuple[Identity, RSAPrivateKey]


def machine(home: Path, application: Application, url: str, **profile: Any) -> Room:
    """Return a machine whose default profile ``test`` sends the application's requests to *url*."""
    identity, key = application
    home.mkdir(exist_ok=True)
    room = Room(home, FakeClock(), url=url)
    settings = {"application_id": identity.application_id, "from_": identity.number} | profile
    ProfileStore(room.config).add(
        Profile(name="test", base_url=url, **settings), key=key, signature_secret=identity.signature_secret
    )
    return room


@contextmanager
def client(
    url: str,
    application: Application,
    clock: FakeClock,
    *,
    limiter: Limiter | None = None,
    wire: Wire | None = None,
    **session: Any,
) -> Iterator[VoiceApi]:
    """Return a client of the API at *url*, without a rate limiter unless one is given."""
    identity, key = application
    wire = wire or Wire(url, environ={})
    bearer = Bearer(identity.application_id, lambda: key, clock)
    try:
        yield VoiceApi(Session(wire, bearer, limiter or Unpaced(), clock, **session))
    finally:
        wire.close()


class Unpaced:
    """A rate limiter that limits nothing."""

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        return 0.0


def forget_signature_secret(room: Room) -> None:
    """Remove the signature secret of the profile ``test``."""
    (room.config / "keys" / "test.signature-secret").unlink()
