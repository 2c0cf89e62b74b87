"""Remarks that are held back while a screen covers the terminal."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicectl.clock import Clock

REMARK_SECONDS = 30.0


class HeldRemarks(io.TextIOBase):
    """Stands in for standard error while a screen is in use, and collects what is written.

    Attributes:
        lines: The lines written so far.
    """

    def __init__(self, clock: Clock) -> None:
        self.lines: list[str] = []
        self._clock = clock
        self._last = -math.inf
        self._rest = ""

    def isatty(self) -> bool:
        """Return True, because the remarks are eventually shown on the terminal."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Collect the lines of *text*, and return the length of *text*."""
        *lines, self._rest = (self._rest + text).split("\n")
        self.lines += lines
        if lines:
            self._last = self._clock.monotonic()
        return len(text)

    def latest(self) -> list[str]:
        """Return a list with the last line, or an empty list if that line is not recent."""
        return self.lines[-1:] if self._clock.monotonic() - self._last < REMARK_SECONDS else []
