"""The timers of the call clock, which run in order of time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Timer:
    """A function to call at a moment of the call clock, unless the timer is cancelled before."""

    do: Callable[[], object] | None

    def cancel(self) -> None:
        """Cancel the timer. This has no effect if the timer has run or was cancelled before."""
        self.do = None


class Agenda:
    """The pending timers, in order of time.

    Moments are whole milliseconds since 1970, so that sums of moments stay exact.

    Attributes:
        now: The moment up to which all timers have run or, while a timer runs, the moment of that timer.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = itertools.count()

    def after(self, seconds: float, do: Callable[[], object]) -> Timer:
        """Call *do* after *seconds* (0 or more); timers of the same moment run in the order they were set."""
        timer = Timer(do)
        heapq.heappush(self._heap, (self.now + round(seconds * 1000), next(self._count), timer))
        return timer

    @property
    def next_due(self) -> int | None:
        """The moment of the next timer, or None if no timer is set."""
        while self._heap and self._heap[0][2].do is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, until: int) -> None:
        """Run all timers that are due by *until*, each at its own moment, including timers that are set meanwhile."""
        while (due := self.next_due) is not None and due <= until:
            do = heapq.heappop(self._heap)[2].do
            self.now = max(self.now, due)
            if do is not None:
                do()
        self.now = max(self.now, until)
