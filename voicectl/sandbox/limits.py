"""Rate limits, on the host clock: 3 new calls a second and 15 other requests, ``connect`` counted as a call."""

from __future__ import annotations

from collections.abc import Callable

CREATES_PER_SECOND = 3
OTHERS_PER_SECOND = 15
GRACE_SECONDS = 0.1
"""How much too early a request may come: clocks and networks jitter."""


class TokenBucket:
    """Holds as many tokens as it gets in a second, at first all of them.

    Kept as one number, the moment at which it would be full again, since that is all there is to know.
    """

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        self._interval = 1 / per_second
        self._depth = 1.0 - self._interval + GRACE_SECONDS
        self._monotonic = monotonic
        self._full_at = monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._monotonic()
        if self._full_at - now > self._depth:
            return False
        self._full_at = max(self._full_at, now) + self._interval
        return True


class Limits:
    """The buckets, which all applications share, or none at all."""

    def __init__(self, monotonic: Callable[[], float], *, enabled: bool) -> None:
        self._creates = TokenBucket(CREATES_PER_SECOND, monotonic) if enabled else None
        self._others = TokenBucket(OTHERS_PER_SECOND, monotonic) if enabled else None

    def allow_create(self) -> bool:
        """Whether one more call may be placed now, by request or by ``connect``; counts it."""
        return self._creates is None or self._creates.take()

    def allow_other(self) -> bool:
        """Whether one more request of another kind may come now; counts it."""
        return self._others is None or self._others.take()
