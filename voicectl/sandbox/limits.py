"""Rate limits, on the host clock: per second 3 new calls (``connect`` counts as one) and 15 other requests."""

from __future__ import annotations

from collections.abc import Callable

CREATES_PER_SECOND = 3
OTHERS_PER_SECOND = 15
GRACE_SECONDS = 0.1
"""Seconds by which a request may come too early, since clocks and networks jitter."""


class TokenBucket:
    """A bucket that holds as many tokens as it receives in a second, and starts full.

    Its whole state is one number: the time at which it will be full again.
    """

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        self._interval = 1 / per_second
        self._depth = 1.0 - self._interval + GRACE_SECONDS
        self._monotonic = monotonic
        self._full_at = monotonic()

    def take(self) -> bool:
        """Take a token; return False if the bucket is empty."""
        now = self._monotonic()
        if self._full_at - now > self._depth:
            return False
        self._full_at = max(self._full_at, now) + self._interval
        return True


class Limits:
    """The rate limits, shared by all applications; without *enabled*, nothing is limited."""

    def __init__(self, monotonic: Callable[[], float], *, enabled: bool) -> None:
        self._creates = TokenBucket(CREATES_PER_SECOND, monotonic) if enabled else None
        self._others = TokenBucket(OTHERS_PER_SECOND, monotonic) if enabled else None

    def allow_create(self) -> bool:
        """Return True if one more call may be placed now, by a request or by ``connect``, and count it."""
        return self._creates is None or self._creates.take()

    def allow_other(self) -> bool:
        """Return True if one more request of another kind is allowed now, and count it."""
        return self._others is None or self._others.take()
