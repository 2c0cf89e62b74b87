"""Calls that tests create with their flows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .room import PERSON, Room
from .waiting import eventually

PARTNER = "447700900002"


def connected(
    room: Room, *after: dict[str, Any], to: str = PARTNER, wait: Callable[[], bool] | None = None
) -> tuple[str, str]:
    """Return the ids of two answered legs joined by a ``connect``: the caller's, then the callee's.

    Args:
        after: The caller's actions after the ``connect``.
        to: The endpoint that it connects.
        wait: Returns True once they are joined, on the machine's clock.
    """
    connect = {"action": "connect", "from": "442079460000", "endpoint": [{"type": "phone", "number": to}]}
    flow = json.dumps([connect, *after])
    made = room(f"call create --to {PERSON} --ncco - --wait answered -q", stdin=flow)
    assert made.exit_code == 0, made.stderr
    caller = made.stdout.strip()
    if wait is None:
        room.clock.sleep(4)
    else:
        eventually(wait)
    (callee,) = [row[0] for row in room("call list").rows if row[0] != caller]
    return caller, callee
