"""The Users API: how requests are paced, and how a name that looks like a path is found.

Source: Conversation API reference, section 7.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.support.clock import FakeClock
from tests.support.machines import Application
from tests.support.servers import Canned, Request, reply
from voicectl.api.auth import Bearer
from voicectl.api.session import Session
from voicectl.api.users import UserApi
from voicectl.api.wire import Wire

USER = {"id": "USR-2c3d4e5f-6071-4829-93a4-b5c6d7e8f90a", "name": "a/b"}


class Pace:
    """A rate limiter that notes which turns were taken."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        self.taken.append((creates, others))
        return 0.0


def test_a_create_takes_the_turn_of_a_request_that_rings_no_phone(application: Application) -> None:
    identity, key = application
    clock, pace = FakeClock(), Pace()

    with Canned(reply(201, USER)) as server, closing(Wire(server.url, environ={})) as wire:
        bearer = Bearer(identity.application_id, lambda: key, clock)
        UserApi(Session(wire, bearer, pace, clock)).create({"name": "a/b"})

    assert pace.taken == [(0, 1)]


@pytest.mark.parametrize("name", ["a/b", ".", ".."])
def test_a_name_that_looks_like_a_path_is_found_in_the_list(application: Application, name: str) -> None:
    identity, key = application
    clock = FakeClock()
    user = USER | {"name": name}

    def answer(request: Request) -> bytes:
        is_list = request.path == "/v1/users"
        return reply(
            200, {"_embedded": {"users": [USER | {"id": "USR-x", "name": "z"}, user]}} if is_list else user
        )

    with Canned(answer) as server, closing(Wire(server.url, environ={})) as wire:
        bearer = Bearer(identity.application_id, lambda: key, clock)
        found = UserApi(Session(wire, bearer, Pace(), clock)).get(name)

    assert (found.id, found.name) == (user["id"], name)
    listing, got = server.requests
    assert listing.query["name"] == name
    assert got.path == f"/v1/users/{user['id']}"
