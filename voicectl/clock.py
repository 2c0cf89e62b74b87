"""Time as something handed in, so that ten seconds of ringing take a test none."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of voicectl knows of time; the names are those of :mod:`time`."""

    def time(self) -> float:
        """Seconds since 1970, UTC: the wall clock."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps back, comparable between processes of this machine."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
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
