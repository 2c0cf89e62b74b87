"""The schedule by which the API is polled, and the state of the polling. All times are of the monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass


class PollSchedule:
    """When the API is asked next: often while something happens, less often while nothing does.

    Args:
        interval: Seconds between two times, if there are changes.
        now: By the monotonic clock, as all its times: the first time is at once.
        is_steady: Ask as often if there are none.
        requests_per_second: Its share of the requests that this user's processes may make.

    Attributes:
        due: When it is asked next.
        pause: Seconds from one time to the next.
    """

    REQUESTS_PER_SECOND = 5.0
    """Of the 15 that all of this user's processes share; the rest is left to those who act."""

    SLOWEST_SECONDS = 10.0
    SLOWER = 1.5

    def __init__(
        self,
        interval: float,
        now: float,
        *,
        is_steady: bool = False,
        requests_per_second: float = REQUESTS_PER_SECOND,
    ) -> None:
        self.due = now
        self.pause = interval
        self._interval = interval
        self._slowest = interval if is_steady else max(interval, self.SLOWEST_SECONDS)
        self._least = interval
        self._asked = now
        self._requests_per_second = requests_per_second

    def asked(self, began: float, now: float, *, requests: int, is_changed: bool) -> None:
        """It was asked, from *began* to *now*, by that many *requests*."""
        self._asked = began
        self._least = max(self._interval, requests / self._requests_per_second)
        slower = min(self.pause * self.SLOWER, self._slowest)
        self.pause = max(self._least, self._interval if is_changed else slower)
        self.due = max(began + self.pause, now)

    def failed(self, now: float) -> None:
        """It did not answer."""
        self._asked = now
        self.pause = min(max(self.pause, self._interval) * 2, max(self._interval, self.SLOWEST_SECONDS))
        self.due = now + self.pause

    def stir(self) -> None:
        """Something was told of by others: ask soon."""
        self.pause = self._least
        self.due = min(self.due, self._asked + self._least)


@dataclass(slots=True)
class PollStatus:
    """How the asking goes, for a line below a table. Its times are those of the monotonic clock.

    Attributes:
        began: When it began.
        asking: Since when an answer is waited for; None if none is.
        answered: When the API answered last.
        trouble: Why it did not, the last time; None if it did.
        is_limited: Whether that is a rate limit.
        pause: Seconds from one time to the next.
        events: Why stored events cannot be read; None if they can be, or there are none.
        has_events: Whether there is a store of them.
    """

    PATIENCE_SECONDS = 3.0

    began: float
    pause: float
    asking: float | None = None
    answered: float | None = None
    trouble: str | None = None
    is_limited: bool = False
    events: str | None = None
    has_events: bool = False

    def is_bad(self, now: float) -> bool:
        """Whether what is shown may not be what is."""
        return self.trouble is not None or self.events is not None or self._is_late(now)

    def text(self, now: float) -> str:
        """What is to be said."""
        if self.trouble is not None or self._is_late(now):
            silent = now - (self.began if self.answered is None else self.answered)
            why = f": {self.trouble}" if self.trouble else "."
            how = "Rate limited: the API has told nothing" if self.is_limited else "The API has not answered"
            said = f"{how} for {silent:.0f} s{why}"
        elif self.answered is None:
            said = "Asking the API."
        else:
            said = f"Asked {now - self.answered:.0f} s ago, every {self.pause:.3g} s."
        if self.events is not None:
            return f"{said} Stored events cannot be read: {self.events}"
        return f"{said} Events are told at once." if self.has_events else said

    def _is_late(self, now: float) -> bool:
        return self.asking is not None and now - self.asking > self.PATIENCE_SECONDS
