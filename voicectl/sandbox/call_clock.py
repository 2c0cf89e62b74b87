"""The call clock: what rules ringing, speech, timers and the far ends.

It runs from the host clock, faster if asked, or stands still until it is advanced.
"""

from __future__ import annotations

from voicectl.clock import Clock

DAY_MS = 86_400_000

FROZEN_START = 1_767_225_600_000
"""Where a frozen clock starts, 2026-01-01T00:00:00Z: the same for every run, so that logs can be compared."""


class CallClock:
    """Milliseconds since 1970, not before where they were.

    Args:
        clock: The host clock.
        speed: How many times faster than it this one runs.
        frozen: Whether it moves by :meth:`skip_to` only.
    """

    def __init__(self, clock: Clock, *, speed: float, frozen: bool) -> None:
        self._clock = clock
        self._speed = 0.0 if frozen else speed
        self._origin = clock.monotonic()
        self._offset = FROZEN_START if frozen else round(clock.time() * 1000)

    def now(self) -> int:
        """The moment it is."""
        return self._offset + round((self._clock.monotonic() - self._origin) * 1000 * self._speed)

    def skip_to(self, moment: int) -> None:
        """Jump forward to *moment*; stay where it is past that."""
        self._offset += max(0, moment - self.now())

    def host_seconds_until(self, moment: int) -> float | None:
        """How long the host clock must run until this one shows *moment*; None: it never will by itself."""
        return max(0, moment - self.now()) / 1000 / self._speed if self._speed else None
