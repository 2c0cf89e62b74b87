"""Calls that tests set up by their flows."""

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
    """The ids of two answered legs that a ``connect`` joined: the caller's, then that of whom it connected.

    Args:
        after: The caller's actions after the ``connect``.
        to: Whom it connects.
        wait: On the machine's clock, whether they are joined by now.
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
