"""Queues of requests to webhooks.

Each receiver (a host and port) has its own queue, so a slow or unreachable receiver does not delay other receivers.
However, there is also a limit on the number of requests to all receivers together. If very many calls wait for
replies from one receiver, their requests can use up this limit.

Requests about the same leg or conversation are sent in order: a request is sent after the reply to the previous
request. A late reply delays the next request only briefly. The platform does not guarantee any order, but a test can
rely on the sandbox's order if its receiver replies in time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

PATIENCE_SECONDS = 0.5
"""The maximum time that a request waits for the reply to the previous request, in seconds on the host clock.

Only requests about the same leg or conversation wait for each other.
"""

AT_ONCE = 8
"""The maximum number of simultaneous requests to a receiver. Requests that a call is waiting for do not count.

The limit is low because a simple server queues only five connections.
"""

MAX_QUEUED = 50_000
"""The maximum number of unfinished requests to a receiver.

Requests that a call is waiting for may exceed this limit.
"""


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """A request in a queue.

    Attributes:
        make: A function that returns a coroutine, which sends the request and handles the reply.
        is_awaited: True if a call waits for the reply. Such a request is sent within :data:`PATIENCE_SECONDS`.
        task: The task that runs the coroutine, or None before the request is sent.
    """

    make: Callable[[], Coroutine[Any, Any, None]]
    is_awaited: bool = False
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class _Receiver:
    unfinished: int = 0
    lines: dict[str, deque[QueuedRequest]] = field(default_factory=dict)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class WebhookQueue:
    """The queues of requests to all receivers.

    Args:
        most: The maximum number of unfinished requests to one receiver. The default is :data:`MAX_QUEUED`.
    """

    def __init__(self, most: int = MAX_QUEUED) -> None:
        self._most = most
        self._receivers: dict[str, _Receiver] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._is_closed = False

    @property
    def unfinished(self) -> int:
        """The number of requests that are waiting or in progress."""
        return sum(receiver.unfinished for receiver in self._receivers.values())

    def add(self, name: str, line: str, turn: QueuedRequest) -> bool:
        """Add a request to the queue of a receiver.

        Args:
            name: The receiver, as ``host:port``.
            line: The id of the leg or conversation that the request is about. Requests with the same id are sent in
                order.
            turn: The request to add.

        Returns:
            True if the request was queued, or False if the queue is full.
        """
        receiver = self._receivers.setdefault(name, _Receiver())
        if receiver.unfinished >= self._most and not turn.is_awaited:
            return False
        receiver.unfinished += 1
        if line in receiver.lines:
            receiver.lines[line].append(turn)
        else:
            receiver.lines[line] = deque([turn])
            serving = self._spawn(self._serve(name, receiver, line))
            self._lines.add(serving)
            serving.add_done_callback(self._lines.discard)
        if turn.is_awaited:
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._hurry, name, receiver, turn)
        return True

    async def caught_up(self) -> None:
        """Wait for the replies to all queued requests, but at most :data:`PATIENCE_SECONDS` for each request."""
        if self._lines:
            queued = [len(line) for receiver in self._receivers.values() for line in receiver.lines.values()]
            await asyncio.wait(self._lines, timeout=(max(queued, default=0) + 1) * PATIENCE_SECONDS)

    async def one_answered(self) -> bool:
        """Wait for the end of any request. Return False at once if all have ended."""
        if not self.unfinished:
            return False
        self._ended.clear()
        await self._ended.wait()
        return True

    def cancel(self) -> list[asyncio.Task[None]]:
        """Drop all requests that are waiting, and cancel all requests that are in progress.

        Returns:
            The cancelled tasks, which may still be running.
        """
        self._is_closed = True
        self._receivers.clear()
        self._ended.set()
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

    def _hurry(self, name: str, receiver: _Receiver, turn: QueuedRequest) -> None:
        if not self._is_closed:
            self._begin(name, receiver, turn)

    def _begin(self, name: str, receiver: _Receiver, turn: QueuedRequest) -> asyncio.Task[None]:
        """Start the request *turn* if it has not been started yet, and return the task that runs it."""
        if turn.task is None:
            turn.task = self._spawn(turn.make())
            turn.task.add_done_callback(lambda _task: self._end(name, receiver, turn))
        return turn.task

    def _end(self, name: str, receiver: _Receiver, turn: QueuedRequest) -> None:
        receiver.unfinished -= 1
        self._ended.set()
        if not turn.is_awaited:
            receiver.gate.release()
        if not receiver.unfinished and self._receivers.get(name) is receiver:
            del self._receivers[name]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
