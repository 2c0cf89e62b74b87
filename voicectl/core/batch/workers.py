"""Threads that do the work of a batch which waits for the network, and hand the results back through one queue."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Done:
    """A piece of work that is done: its label, and its result or the exception that it raised."""

    label: Any
    value: Any = None
    error: Exception | None = None


class Results:
    """The queue of results, which the main thread reads."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Done] = SimpleQueue()

    def put(self, done: Done) -> None:
        """Add a result."""
        self._queue.put(done)

    def take(self, seconds: float = 0.0) -> list[Done]:
        """Return all results, after waiting up to *seconds* for the first one."""
        found: list[Done] = []
        try:
            found.append(self._queue.get(block=seconds > 0, timeout=seconds or None))
            while True:
                found.append(self._queue.get_nowait())
        except Empty:
            return found


class Workers(Generic[R]):
    """Threads that each have resources of their own, such as a connection. A thread is started when it is needed.

    Args:
        count: The maximum number of threads.
        connect: A function that makes the resources of a thread. It is called in the thread, with a stack that closes
            them when the thread ends.

    Attributes:
        busy: The number of pieces of work that have been begun and whose results the main thread has not counted.
    """

    def __init__(self, count: int, connect: Callable[[ExitStack], R], results: Results) -> None:
        self.busy = 0
        self._count = count
        self._connect = connect
        self._results = results
        self._work: SimpleQueue[tuple[Any, Callable[[R], Any]] | None] = SimpleQueue()
        self._threads: list[Thread] = []

    @property
    def is_free(self) -> bool:
        """True if a thread can begin a piece of work at once."""
        return self.busy < self._count

    def do(self, label: Any, work: Callable[[R], Any]) -> None:
        """Call *work* with a thread's resources, and put its result, with *label*, into the queue of results."""
        self.busy += 1
        if self.busy > len(self._threads):
            thread = Thread(target=self._run, name="batch", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._work.put((label, work))

    def close(self, seconds: float) -> None:
        """End the threads once they have done their work, and wait up to *seconds* for each of them."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _run(self) -> None:
        with ExitStack() as closing:
            resources: R | None = None
            while (item := self._work.get()) is not None:
                label, work = item
                try:
                    if resources is None:
                        resources = self._connect(closing)
                    self._results.put(Done(label, work(resources)))
                except Exception as exc:  # noqa: BLE001 (the main thread handles it)
                    self._results.put(Done(label, error=exc))
