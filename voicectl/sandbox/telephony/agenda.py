"""Timers that run in chronological order as the call clock moves."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Timer:
    """A timer, which calls a function at a certain time on the call clock. It can be cancelled before that time."""

    do: Callable[[], object] | None

    def cancel(self) -> None:
        """Cancel the timer. If it has already run or has been cancelled, do nothing."""
        self.do = None


class Agenda:
    """The pending timers, in chronological order.

    Times are whole numbers of milliseconds since 1970, so that calculations with them are exact.

    Attributes:
        now: The current time. While a timer runs, this is the time for which the timer was set.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = itertools.count()

    def after(self, seconds: float, do: Callable[[], object]) -> Timer:
        """Set a timer that calls *do* after *seconds*, and return the timer.

        Timers that are due at the same time run in the order in which they were set.
        """
        timer = Timer(do)
        heapq.heappush(self._heap, (self.now + round(seconds * 1000), next(self._count), timer))
        return timer

    @property
    def next_due(self) -> int | None:
        """The time at which the next timer is due, in milliseconds since 1970, or None if no timer is set."""
        while self._heap and self._heap[0][2].do is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, until: int) -> None:
        """Move the clock to *until*, and run each timer at the time when it is due.

        Timers that are set during the move also run if they are due by *until*.
        """
        while (due := self.next_due) is not None and due <= until:
            do = heapq.heappop(self._heap)[2].do
            self.now = max(self.now, due)
            if do is not None:
                do()
        self.now = max(self.now, until)
