"""The rate limits: 3 new calls and 15 other requests per second on the host clock.

Calls that the NCCO action ``connect`` places also count as new calls.
"""

from __future__ import annotations

from collections.abc import Callable

CREATES_PER_SECOND = 3
OTHERS_PER_SECOND = 15
GRACE_SECONDS = 0.1
"""How much too early a request may arrive without being refused, in seconds.

Clocks and networks have jitter, so requests may arrive slightly earlier than intended.
"""


class TokenBucket:
    """A token bucket, which limits a rate.

    It is full at first. Each second, it receives as many tokens as it can hold.

    The only state is the time at which the bucket will be full again.
    """

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        self._interval = 1 / per_second
        self._depth = 1.0 - self._interval + GRACE_SECONDS
        self._monotonic = monotonic
        self._full_at = monotonic()

    def take(self) -> bool:
        """Take a token and return True. If the bucket is empty, return False."""
        now = self._monotonic()
        if self._full_at - now > self._depth:
            return False
        self._full_at = max(self._full_at, now) + self._interval
        return True


class Limits:
    """The rate limits, which are shared by all applications. If *enabled* is False, there are no limits."""

    def __init__(self, monotonic: Callable[[], float], *, enabled: bool) -> None:
        self._creates = TokenBucket(CREATES_PER_SECOND, monotonic) if enabled else None
        self._others = TokenBucket(OTHERS_PER_SECOND, monotonic) if enabled else None

    def allow_create(self) -> bool:
        """Count a new call and return True. If the rate limit does not allow a new call now, return False."""
        return self._creates is None or self._creates.take()

    def allow_other(self) -> bool:
        """Count a request that places no call and return True.

        If the rate limit does not allow the request now, return False.
        """
        return self._others is None or self._others.take()
