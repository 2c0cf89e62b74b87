"""Write in a background thread, so that a stopped terminal or a slow reader does not block the caller."""

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
"""How long items are gathered between two writes, in seconds.

With fewer and larger writes, the threads interrupt each other less often.
"""


class BackgroundWriter(Generic[T]):
    """Accepts items from any thread without blocking, and writes them in batches.

    Args:
        write: A function that writes a batch of items. No more items are written after it raises ``OSError``.
        most: The greatest number of items that can wait. Further items are dropped.

    Attributes:
        dropped: The number of dropped items.
        failure: The error that ended the writing, or None.
    """

    def __init__(self, write: Callable[[list[T]], None], *, most: int) -> None:
        self.dropped = 0
        self.failure: OSError | None = None
        self._write = write
        self._most = most
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="background writer", daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Queue *item* for writing, and return False if it was dropped."""
        if self._queue.qsize() >= self._most or self.failure is not None:
            self.dropped += 1
            return False
        self._queue.put(item)
        return True

    def close(self, seconds: float) -> bool:
        """Write the items that are waiting, and return False if that takes longer than *seconds*."""
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
            if len(items) >= MAX_TOGETHER or self._queue.empty():  # only this thread takes items
                return items, False
        return items, True
