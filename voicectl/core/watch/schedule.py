"""The schedule for polling the API, and the state of polling. All times are in seconds on the monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

from voicectl.times import age_text


class PollSchedule:
    """Schedules the polls of the API, which are frequent while legs change and less frequent while they do not.

    Args:
        interval: The time between two polls while there are changes, in seconds.
        now: The current time, which is also the time of the first poll.
        is_steady: True to keep the same interval while there are no changes, False to make it longer.
        requests_per_second: The maximum average number of requests per second, which is the poller's share of the
            requests that all processes of this user may make.

    Attributes:
        due: The time of the next poll.
        pause: The time from one poll to the next, in seconds.
    """

    REQUESTS_PER_SECOND = 5.0
    """The poller's share of the 15 requests per second that all processes of a user may make together.

    The remaining requests are left to commands that act on calls.
    """

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
        """Record a poll that succeeded, and schedule the next one.

        Args:
            began: The time at which the poll began.
            now: The time at which the poll ended.
            requests: The number of requests that the poll made.
            is_changed: True if the poll showed changes.
        """
        self._asked = began
        self._least = max(self._interval, requests / self._requests_per_second)
        slower = min(self.pause * self.SLOWER, self._slowest)
        self.pause = max(self._least, self._interval if is_changed else slower)
        self.due = max(began + self.pause, now)

    def failed(self, now: float) -> None:
        """Record a poll that failed, and schedule the next one."""
        self._asked = now
        self.pause = min(max(self.pause, self._interval) * 2, max(self._interval, self.SLOWEST_SECONDS))
        self.due = now + self.pause

    def stir(self) -> None:
        """Schedule the next poll as early as the limits allow, because an event was received."""
        self.pause = self._least
        self.due = min(self.due, self._asked + self._least)


@dataclass(slots=True)
class PollStatus:
    """The state of polling, which is shown in a line below the table of legs.

    Attributes:
        began: The time at which polling began.
        asking: The time at which the current request began, or None if there is no current request.
        answered: The time of the API's last response, or None if the API has not responded yet.
        trouble: The error message from the last poll, or None if that poll succeeded.
        is_limited: True if the last poll was rate limited.
        pause: The time from one poll to the next, in seconds.
        events: The error message from the event store, or None if the store works.
        has_events: True if there is an event store.
        heard: The time at which the last event in the store was received, or None if the store is empty.
        is_receiving: True if a receiver is running on this machine, False if none is running, or None if it is
            unknown because events are received on other machines.
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
    heard: float | None = None
    is_receiving: bool | None = None

    def is_bad(self, now: float) -> bool:
        """Return True if the table of legs may be out of date."""
        return self.trouble is not None or self.events is not None or self._is_late(now)

    @property
    def events_failure(self) -> str:
        """The failure of the event store as one sentence for the user."""
        return f"Stored events cannot be read: {self.events}"

    def text(self, now: float) -> str:
        """Return the state of polling as one line of text for the user."""
        said = self.api_text(now)
        if self.events is not None:
            return f"{said} {self.events_failure}"
        return f"{said} {self.events_text(now)}" if self.has_events else said

    def api_text(self, now: float) -> str:
        """Return the state of the API alone as one sentence for the user."""
        if self.trouble is not None or self._is_late(now):
            silent = now - (self.began if self.answered is None else self.answered)
            why = f": {self.trouble}" if self.trouble else "."
            how = "Rate limited: no data from the API" if self.is_limited else "The API has not responded"
            return f"{how} for {silent:.0f} s{why}"
        if self.answered is None:
            return "Waiting for the API."
        return f"Updated {now - self.answered:.0f} s ago; updates every {self.pause:.3g} s."

    def events_text(self, now: float) -> str:
        """Return one line that says whether events can be received, and when the last event was received."""
        age = None if self.heard is None else age_text(max(now - self.heard, 0), is_exact=True)
        if self.is_receiving is False:
            last = "no event is stored" if age is None else f"the last event came {age} ago"
            return f"No receiver ('webhook serve') is running on this machine; {last}."
        last = "none has come yet" if age is None else f"the last one came {age} ago"
        return f"Events are shown as soon as they arrive; {last}."

    def _is_late(self, now: float) -> bool:
        return self.asking is not None and now - self.asking > self.PATIENCE_SECONDS
