"""A clock that is passed as an argument, so that a test does not have to wait while a phone rings."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The clock of voicectl; its methods are named as in :mod:`time`."""

    def time(self) -> float:
        """Return the seconds since 1970, UTC, of the wall clock."""
        ...

    def monotonic(self) -> float:
        """Return the seconds of a clock that never steps back; all processes of this machine share it."""
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
