"""A clock that only ``sleep`` moves."""

from __future__ import annotations

import threading


class FakeClock:
    """A clock that starts at a fixed time and that threads can share."""

    def __init__(self, now: float = 1_770_000_000.0) -> None:
        self._now = now
        self._boot = now - 100_000
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._boot

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += max(seconds, 0)
            self.slept.append(seconds)
