"""When each request to a webhook has its turn.

Each receiver, a host and port, has a queue of its own: one that is slow or dead holds up nobody else, unless so many
questions wait for its replies that all slots of the client are taken. In a queue each leg has a line: what it tells
goes out in order, one after the other, but a reply that is late holds up the rest for a moment only. The platform
promises no order at all; with a receiver that is well, this one can be relied on in a test.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

PATIENCE_SECONDS = 0.5
"""How long the next of a leg waits for the one before it, on the host clock."""

AT_ONCE = 8
"""How many requests that nobody waits for go to one receiver at a time: a simple server has a queue of five."""

MOST = 50_000
"""How many requests may wait or be under way for one receiver before those that nobody waits for find no room."""


@dataclass(slots=True, eq=False)
class Turn:
    """A request that is to be made.

    Attributes:
        make: Makes it.
        is_awaited: Whether a call waits for the reply: it has its turn within the patience, come what may.
    """

    make: Callable[[], Coroutine[Any, Any, None]]
    is_awaited: bool = False
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class _Receiver:
    unfinished: int = 0
    lines: dict[str, deque[Turn]] = field(default_factory=dict)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class WebhookQueue:
    """The turns of all requests to all receivers.

    Args:
        most: See :data:`MOST`.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._receivers: dict[str, _Receiver] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def unfinished(self) -> int:
        """How many wait or are under way."""
        return sum(receiver.unfinished for receiver in self._receivers.values())

    def add(self, name: str, line: str, turn: Turn) -> bool:
        """Queue a turn.

        Args:
            name: The receiver, as ``host:port``.
            line: Whose line it waits in: a leg's uuid.
            turn: What is to be made.

        Returns:
            Whether there was room for it.
        """
        receiver = self._receivers.setdefault(name, _Receiver())
        if receiver.unfinished >= self._most and not turn.is_awaited:
            return False
        receiver.unfinished += 1
        if line in receiver.lines:
            receiver.lines[line].append(turn)
        else:
            receiver.lines[line] = deque([turn])
            self._spawn(self._serve(name, receiver, line))
        if turn.is_awaited:
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._hurry, name, receiver, turn)
        return True

    def cancel(self) -> list[asyncio.Task[None]]:
        """Forget for good what waits, and break off what is under way: the tasks that have still to be waited for."""
        self._is_closed = True
        self._receivers.clear()
        cancelled = list(self._tasks)
        for task in cancelled:
            task.cancel()
        return cancelled

    async def _serve(self, name: str, receiver: _Receiver, line: str) -> None:
        waiting = receiver.lines[line]
        while waiting:
            turn = waiting[0]
            if not turn.is_awaited:
                await receiver.gate.acquire()
            waiting.popleft()
            await asyncio.wait({self._begin(name, receiver, turn)}, timeout=PATIENCE_SECONDS)
        del receiver.lines[line]

    def _hurry(self, name: str, receiver: _Receiver, turn: Turn) -> None:
        if not self._is_closed:
            self._begin(name, receiver, turn)

    def _begin(self, name: str, receiver: _Receiver, turn: Turn) -> asyncio.Task[None]:
        """Begin *turn*, if it has not begun."""
        if turn.task is None:
            turn.task = self._spawn(turn.make())
            turn.task.add_done_callback(lambda _task: self._end(name, receiver, turn))
        return turn.task

    def _end(self, name: str, receiver: _Receiver, turn: Turn) -> None:
        receiver.unfinished -= 1
        if not turn.is_awaited:
            receiver.gate.release()
        if not receiver.unfinished and self._receivers.get(name) is receiver:
            del self._receivers[name]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
