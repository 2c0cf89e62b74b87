"""A clock that is passed as an argument, so that tests can simulate the time that passes."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The clock of voicectl; its methods are named as in :mod:`time`."""

    def time(self) -> float:
        """Return the time of the wall clock in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return the time in seconds of a clock that never goes back and that all processes of this machine share."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """See :class:`Clock`."""
        return time.time()

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        time.sleep(seconds)
