"""Fixtures of the black-box tests: a machine with a profile, and a sandbox that shares its clock."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, settings

from tests.support.clock import FakeClock
from tests.support.room import Room
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.sandbox.account.identity import Identity, Options, new_identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running
from voicectl.store import files

StartRoom = Callable[..., Room]

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")  # the time of an example depends on the load of the machine

for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(signum) is signal.SIG_IGN:  # as a shell sets it for background jobs
        signal.signal(
            signum, signal.SIG_DFL
        )  # otherwise the commands started by the tests would ignore it too


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> tuple[Identity, RSAPrivateKey]:
    """One application for all tests, since making its keys takes time."""
    path = tmp_path_factory.mktemp("application") / "sandbox.pem"
    identity, pem = new_identity()
    files.write_private(path, pem.encode())
    files.write_private(path.with_suffix(".api-secret"), identity.api_secret.encode())
    files.write_private(path.with_suffix(".signature-secret"), identity.signature_secret.encode())
    return identity, keys.parse(pem, where="the test")


@pytest.fixture
def start_room(tmp_path: Path, application: tuple[Identity, RSAPrivateKey]) -> Iterator[StartRoom]:
    """Return a function that creates a machine whose default profile ``test`` is its own sandbox's application.

    Its arguments are the sandbox's options, ``clock``, and ``intercept``, with which the sandbox also answers for the
    platform's hosts. Unless they say so there are no rate limits, and time is the room's own.
    """
    identity, key = application
    with ExitStack() as stack:

        def start(**options: object) -> Room:
            clock = options.pop("clock", None) or FakeClock()
            intercept: Any = options.pop("intercept", None)
            settings: dict[str, object] = {"seed": 1, "limits": False} | options
            sandbox = Sandbox(identity, Options(**settings), clock=clock)  # type: ignore[arg-type]
            url = stack.enter_context(running(sandbox, intercept=intercept))
            room = Room(tmp_path, clock, sandbox, url)
            profile = Profile(
                name="test",
                application_id=identity.application_id,
                base_url=url,
                from_=identity.number,
                api_key=identity.api_key,
            )
            ProfileStore(room.config).add(
                profile,
                key=key,
                api_secret=identity.api_secret,
                signature_secret=identity.signature_secret,
            )
            return room

        yield start


@pytest.fixture
def room(start_room: StartRoom) -> Room:
    """A machine with a profile and its sandbox."""
    return start_room()


@pytest.fixture
def voicectl(room: Room) -> Room:
    """The room, under the name that tests call: ``voicectl("call list")``."""
    return room


@pytest.fixture
def bare(tmp_path: Path) -> Room:
    """A machine without any settings."""
    return Room(tmp_path, FakeClock())
