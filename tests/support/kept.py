"""Events that were kept before a command asks for them."""

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
    """A status event; *second* of its minute is when it came."""
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
    """A webhook that told *fields*, or had that body."""
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
    """The same in a store."""
    return Stored(1, arrival(fields, **changes), 0)


def keep(room: Room, *events: dict[str, Any] | bytes, url: str | None = None, **changes: Any) -> list[int]:
    """Keep *events* on the room's machine, each received when its clock says, and return their ids."""
    profile = ProfileStore(room.config).get("test")
    directory = room.state / profile.application_id
    directory.mkdir(parents=True, exist_ok=True)
    usual = {"received": room.clock.time()} | changes
    with closing(open_events(url, directory, profile.application_id)) as store:
        return [kept.id for kept in store.add([arrival(each, **usual) for each in events])]


class EventfulClock(FakeClock):
    """A clock on which something happens once so much time has passed.

    Args:
        happenings: What happens, and after how many seconds.
    """

    def __init__(self, *happenings: tuple[float, Callable[[], object]]) -> None:
        super().__init__()
        self._began = self.monotonic()
        self._happenings = list(happenings)

    @property
    def passed(self) -> float:
        return self.monotonic() - self._began

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        """Have something happen so many seconds from now."""
        self._happenings.append((self.passed + seconds, happen))

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        due = [each for each in self._happenings if each[0] <= self.passed]
        self._happenings = [each for each in self._happenings if each not in due]
        for _, happen in due:
            happen()
