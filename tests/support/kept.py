"""Events that are in the store before a command reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

from voicectl.core.identity.profiles import ProfileStore
from voicectl.store.event_stores import open_events
from voicectl.store.events import Arrival, Route, Stored

from .clock import FakeClock
from .room import Room

LEG = "9a8b7c6d-5e4f-4321-8fed-cba987654321"
CONVERSATION = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"


def status(status: str, *, leg: str = LEG, second: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a status event that was received at *second* of its minute."""
    name = "call_uuid" if status == "human" else "uuid"
    return {
        "from": "442079460000",
        "to": "447700900001",
        name: leg,
        "conversation_uuid": CONVERSATION,
        "status": status,
        "direction": "outbound",
        "timestamp": f"2026-02-02T02:40:{second:02}.000Z",
        **fields,
    }


def arrival(fields: dict[str, Any] | bytes, **changes: Any) -> Arrival:
    """Return a webhook event with *fields*, or with that body."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    usual = {
        "received": 1_770_000_000.0,
        "route": Route.EVENT,
        "method": "POST",
        "query": b"",
        "is_signed": True,
    }
    return Arrival.read(**{"body": body, **usual, **changes})  # type: ignore[arg-type]


def stored(fields: dict[str, Any], **changes: Any) -> Stored:
    """Return the same event as kept in a store."""
    return Stored(1, arrival(fields, **changes), 0)


def keep(room: Room, *events: dict[str, Any] | bytes, url: str | None = None, **changes: Any) -> list[int]:
    """Keep *events* on the room's machine, received at the time of its clock, and return their ids."""
    profile = ProfileStore(room.config).get("test")
    directory = room.state / profile.application_id
    directory.mkdir(parents=True, exist_ok=True)
    usual = {"received": room.clock.time()} | changes
    with closing(open_events(url, directory, profile.application_id)) as store:
        return [kept.id for kept in store.add([arrival(each, **usual) for each in events])]


class EventfulClock(FakeClock):
    """A clock that runs functions after given times.

    Args:
        happenings: The functions, each with its seconds.
    """

    def __init__(self, *happenings: tuple[float, Callable[[], object]]) -> None:
        super().__init__()
        self._began = self.monotonic()
        self._happenings = list(happenings)

    @property
    def passed(self) -> float:
        return self.monotonic() - self._began

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        """Run a function the given number of seconds from now."""
        self._happenings.append((self.passed + seconds, happen))

    def when(self, holds: Callable[[], bool], happen: Callable[[], object]) -> None:
        """Run a function once *holds* returns True."""
        self.after(0.1, lambda: happen() if holds() else self.when(holds, happen))

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        due = [each for each in self._happenings if each[0] <= self.passed]
        self._happenings = [each for each in self._happenings if each not in due]
        for _, happen in due:
            happen()
