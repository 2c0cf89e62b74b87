"""The clock of the simulated calls, which determines when phones ring, speech ends, timers expire and parties act.

The call clock runs at a multiple of the host clock's speed. A frozen call clock moves only when it is advanced.
"""

from __future__ import annotations

from voicectl.clock import Clock

DAY_MS = 86_400_000

FROZEN_START = 1_767_225_600_000
"""The start time of a frozen call clock (2026-01-01T00:00:00Z), in milliseconds since 1970.

The start time is always the same, so that the logs of different runs can be compared.
"""


class CallClock:
    """A clock that counts milliseconds since 1970 and never goes back.

    Args:
        clock: The host clock, from which this clock is derived.
        speed: The speed of this clock relative to the host clock.
        frozen: True if this clock moves only when :meth:`skip_to` is called.
    """

    def __init__(self, clock: Clock, *, speed: float, frozen: bool) -> None:
        self._clock = clock
        self._speed = 0.0 if frozen else speed
        self._origin = clock.monotonic()
        self._offset = FROZEN_START if frozen else round(clock.time() * 1000)

    def now(self) -> int:
        """Return the current time of this clock, in milliseconds since 1970."""
        return self._offset + round((self._clock.monotonic() - self._origin) * 1000 * self._speed)

    def skip_to(self, moment: int) -> None:
        """Move this clock forward to *moment*, in milliseconds since 1970. Do nothing if *moment* is in the past."""
        self._offset += max(0, moment - self.now())

    def host_seconds_until(self, moment: int) -> float | None:
        """Return the time until this clock reaches *moment*, in seconds on the host clock.

        Return None if this clock is frozen.
        """
        return max(0, moment - self.now()) / 1000 / self._speed if self._speed else None
