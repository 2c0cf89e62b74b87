"""What is due when, on the call clock: a heap of timers, run in order."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Timer:
    """Something to be done at a moment of the call clock, unless cancelled before."""

    do: Callable[[], object] | None

    def cancel(self) -> None:
        """Let it pass. Cancelling twice, or after the moment, does no harm."""
        self.do = None


class Agenda:
    """Timers in order of time. Moments are whole milliseconds since 1970, so that sums of them stay exact.

    Attributes:
        now: The moment up to which all that was due has been done; while a timer runs, its own moment.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = itertools.count()

    def after(self, seconds: float, do: Callable[[], object]) -> Timer:
        """Have *do* called in *seconds*, 0 or more; what is due at the same moment goes in the order it was given."""
        timer = Timer(do)
        heapq.heappush(self._heap, (self.now + round(seconds * 1000), next(self._count), timer))
        return timer

    @property
    def next_due(self) -> int | None:
        """When the next timer is due; None if none is set."""
        while self._heap and self._heap[0][2].do is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, until: int) -> None:
        """Do what is due up to and at *until*, and what that makes due, each at its own moment."""
        while (due := self.next_due) is not None and due <= until:
            do = heapq.heappop(self._heap)[2].do
            self.now = max(self.now, due)
            if do is not None:
                do()
        self.now = max(self.now, until)
