"""The schedule of the requests to the API, and the state of the polling. All times are by the monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass


class PollSchedule:
    """Schedules the polls of the API: often while something happens, less often while nothing does.

    Args:
        interval: Seconds between two polls while there are changes.
        now: The current time, which is the time of the first poll.
        is_steady: Keep that interval while there are no changes.
        requests_per_second: Its share of the requests that this user's processes may make.

    Attributes:
        due: The time of the next poll.
        pause: Seconds from one poll to the next.
    """

    REQUESTS_PER_SECOND = 5.0
    """The poller's share of the 15 that all processes of a user have; the rest is left to commands that act."""

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
        """Record a poll that took from *began* to *now* and made that many *requests*."""
        self._asked = began
        self._least = max(self._interval, requests / self._requests_per_second)
        slower = min(self.pause * self.SLOWER, self._slowest)
        self.pause = max(self._least, self._interval if is_changed else slower)
        self.due = max(began + self.pause, now)

    def failed(self, now: float) -> None:
        """Record a poll that failed."""
        self._asked = now
        self.pause = min(max(self.pause, self._interval) * 2, max(self._interval, self.SLOWEST_SECONDS))
        self.due = now + self.pause

    def stir(self) -> None:
        """Make the next poll soon, because an event was received."""
        self.pause = self._least
        self.due = min(self.due, self._asked + self._least)


@dataclass(slots=True)
class PollStatus:
    """The state of the polling, for a line below a table.

    Attributes:
        began: The start of the polling.
        asking: The start of the request that is under way, or None.
        answered: The time of the API's last answer.
        trouble: The error of the last poll; None if it succeeded.
        is_limited: True if that error was a rate limit.
        pause: Seconds from one poll to the next.
        events: The error of the event store, or None.
        has_events: True if there is an event store.
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
        """Return True if the table may be out of date."""
        return self.trouble is not None or self.events is not None or self._is_late(now)

    def text(self, now: float) -> str:
        """Return the state as one line for the user."""
        if self.trouble is not None or self._is_late(now):
            silent = now - (self.began if self.answered is None else self.answered)
            why = f": {self.trouble}" if self.trouble else "."
            how = "Rate limited: no data from the API" if self.is_limited else "The API has not answered"
            said = f"{how} for {silent:.0f} s{why}"
        elif self.answered is None:
            said = "Asking the API."
        else:
            said = f"Updated {now - self.answered:.0f} s ago, every {self.pause:.3g} s."
        if self.events is not None:
            return f"{said} Stored events cannot be read: {self.events}"
        return f"{said} Events are shown at once." if self.has_events else said

    def _is_late(self, now: float) -> bool:
        return self.asking is not None and now - self.asking > self.PATIENCE_SECONDS
