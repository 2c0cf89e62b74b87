"""A rate limiter that all of a user's voicectl processes share for an application.

The processes share a small file; there is no server. The file contains two times on the machine's monotonic clock,
which is the same for all processes until the next boot: the time at which the next call may be created, and the time
at which the next request of another kind would be due at an even rate. A process reserves a slot in these steps:

1. It locks the file, reads the two times, and reserves a slot by moving one of the times forward by one interval for
   each call or request, to ``max(time, now) + n / rate``. Because of the ``max``, unused slots in the past are lost.
2. It writes the times back, unlocks the file, and only then sleeps until the time of its slot. The lock is held for
   microseconds, even if the queue is long.
3. If the process would have to wait longer than its budget, it leaves the times unchanged and fails immediately, so
   that a request that is not sent takes no slot from others.

Calls are spaced evenly, without bursts, since the platform counts them over short periods. Requests of other kinds
may be sent up to almost one second ahead of the even rate, so a command that sends only a few requests does not wait.

An urgent request (a hangup) reserves a slot like any other request, so that other requests make room for it, but it
waits neither for the slot nor for the lock. If the file cannot be used, the process reports this once and continues
without a limit, since a failure of the limiter must not prevent a hangup. The platform still limits the rate in this
case, with 429 responses.

A monotonic clock starts again at every boot, so the file also contains the (rounded) time of the boot. The current
time is used in place of a stored time if the content of the file is damaged, or if the stored time comes from another
boot or is too far ahead for any queue.

Source: Voice API reference, "limits": 3 new calls and 15 other requests per second.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from voicectl.errors import RateLimitedError
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voicectl.clock import Clock

CREATES_PER_SECOND = 3
OTHERS_PER_SECOND = 15
STALE_SECONDS = 300.0
BOOT_SECONDS = 60
LOCK_POLL_SECONDS = 0.005


class RateLimiter:
    """A rate limiter that shares a file with the user's other processes.

    Args:
        path: The path of the file, which is created on first use.
        remark: A function that is called once, with a message, if the file cannot be used. The process then continues
            without a limit.
        creates_per_second: The rate at which this process may create calls. Other processes keep to their own rates.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        remark: Callable[[str], None],
        *,
        creates_per_second: float = CREATES_PER_SECOND,
    ) -> None:
        self._path = path
        self._creates_per_second = creates_per_second
        self._clock = clock
        self._remark = remark
        self._is_urgent = False

    def hurry(self) -> None:
        """Treat all further requests as urgent, including the reads that a command must make to hang up a leg."""
        self._is_urgent = True

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        """Wait until a request may be sent; see :meth:`voicectl.api.session.Limiter.take`."""
        try:
            wait = self._reserve(creates, others, urgent=urgent or self._is_urgent, budget=budget)
        except OSError as exc:
            self._remark(f"Requests are not rate limited: {self._path} cannot be used ({exc.strerror}).")
            self._remark = lambda _: None  # report the error only once
            return 0.0
        if wait > 0:
            self._clock.sleep(wait)
        return wait

    def check(self) -> None:
        """Raise ``OSError`` if the file cannot be used."""
        self._reserve(0, 0, urgent=True, budget=0.0)

    def _lock(self, handle: int, budget: float) -> bool:
        """Lock the file. Return False if another process still holds the lock after *budget* seconds."""
        give_up = time.monotonic() + budget
        while not files.try_lock(handle):
            if time.monotonic() >= give_up:
                return False
            time.sleep(LOCK_POLL_SECONDS)  # in real time, since another process must release the lock
        return True

    def _reserve(self, creates: int, others: int, *, urgent: bool, budget: float) -> float:
        with files.opened(self._path, files.OWN) as handle:
            if not self._lock(handle, 0.0 if urgent else budget):
                if urgent:
                    return 0.0
                raise _too_many("Another process holds the lock of the rate limiter.")
            now = self._clock.monotonic()
            boot = round(self._clock.time() - now)
            next_create, next_other = _parse(os.pread(handle, 96, 0), now, boot)
            burst = (OTHERS_PER_SECOND - 1) / OTHERS_PER_SECOND
            wait = 0.0
            if creates:
                wait = max(wait, next_create - now)
                next_create = max(next_create, now) + creates / self._creates_per_second
            if others:
                wait = max(wait, next_other - burst - now)
                next_other = max(next_other, now) + others / OTHERS_PER_SECOND
            if urgent:
                wait = 0.0
            if wait > budget:
                raise _too_many(
                    f"The request would have to wait {wait:.0f} s: too many other requests are waiting."
                )
            content = f"{next_create:20.6f} {next_other:20.6f} {boot}\n".encode()
            os.pwrite(handle, content, 0)
            os.ftruncate(handle, len(content))
        return wait


def _parse(content: bytes, now: float, boot: int) -> tuple[float, float]:
    """Return the two times in *content*.

    Both times are *now* if the content is damaged, or was written before the last boot or before the clock was last
    changed.
    """
    try:
        create, other, theirs = (float(part) for part in content.split())
    except ValueError:
        return now, now
    if abs(theirs - boot) > BOOT_SECONDS or max(create, other) > now + STALE_SECONDS:
        return now, now
    return create, other


def _too_many(why: str) -> RateLimitedError:
    return RateLimitedError(
        why, status=429, hint="Nothing was sent. Try again when the other voicectl processes have finished."
    )
