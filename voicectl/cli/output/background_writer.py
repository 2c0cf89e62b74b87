"""Writing from a thread: a terminal that is stopped, or a reader that is slow, keeps nobody else waiting."""

from __future__ import annotations

import time
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_TOGETHER = 1_000
GATHER_SECONDS = 0.02
"""How long more is gathered after some was written: two busy threads hinder each other less often then."""


class Outlet(Generic[T]):
    """Takes items at once, from any thread, and has them written one batch after another.

    Args:
        write: Writes some; an ``OSError`` ends the writing.
        most: How many may wait; more are dropped.

    Attributes:
        dropped: How many were.
        failure: Why the writing ended, if it did.
    """

    def __init__(self, write: Callable[[list[T]], None], *, most: int) -> None:
        self.dropped = 0
        self.failure: OSError | None = None
        self._write = write
        self._most = most
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="outlet", daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Have *item* written in a while; False if it is dropped."""
        if self._queue.qsize() >= self._most or self.failure is not None:
            self.dropped += 1
            return False
        self._queue.put(item)
        return True

    def close(self, seconds: float) -> bool:
        """Have what waits written; False if that is not done within *seconds*: whoever should read is stuck."""
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            items, is_last = self._take()
            try:
                self._write(items)
            except OSError as exc:
                self.failure = exc
                return
            if not is_last:
                time.sleep(GATHER_SECONDS)

    def _take(self) -> tuple[list[T], bool]:
        items: list[T] = []
        while (item := self._queue.get()) is not None:
            items.append(item)
            if len(items) >= MAX_TOGETHER or self._queue.empty():  # nobody else takes from it
                return items, False
        return items, True
