"""A clock that is passed as an argument, so that tests can simulate the passage of time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock whose methods work like the functions of the same names in :mod:`time`."""

    def time(self) -> float:
        """Return the current time in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return the time, in seconds, of a clock that never goes backward and that all processes share."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for the given number of seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return the current time in Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the time, in seconds, of a clock that never goes backward and that all processes share."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for the given number of seconds."""
        time.sleep(seconds)
