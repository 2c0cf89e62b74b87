"""The pace of requests, shared by every voicectl process of this user for an application.

One small file, locked while it is read and written, holds two times: when the next call may be created, and when the
next other request would be on time. A process takes its turn by moving the time on, then waits outside the lock.

Source: Voice API reference, "limits": 3 new calls and 15 other requests a second.
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


class SharedPace:
    """Calls are spaced evenly; other requests may come in a burst of a second's worth.

    Args:
        path: The file, made on first use.
        remark: Told once if the file cannot be used: then this process keeps no pace, and goes on.
    """

    def __init__(self, path: Path, clock: Clock, remark: Callable[[str], None]) -> None:
        self._path = path
        self._clock = clock
        self._remark = remark
        self._is_urgent = False

    def hurry(self) -> None:
        """From now on every request of this process goes first: even its questions are asked for a hang-up."""
        self._is_urgent = True

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        """Wait for the turn of one request; see :class:`voicectl.api.session.Pace`."""
        try:
            wait = self._reserve(creates, others, urgent=urgent or self._is_urgent, budget=budget)
        except OSError as exc:
            self._remark(f"Requests are not rate limited: {self._path} cannot be used ({exc.strerror}).")
            self._remark = lambda _: None  # said once
            return 0.0
        if wait > 0:
            self._clock.sleep(wait)
        return wait

    def check(self) -> None:
        """Raise OSError if the file cannot be used."""
        self._reserve(0, 0, urgent=True, budget=0.0)

    def _lock(self, handle: int, budget: float) -> bool:
        """Lock the file, as others hold it for a moment only; False if one holds it for *budget* seconds."""
        give_up = time.monotonic() + budget
        while not files.try_lock(handle):
            if time.monotonic() >= give_up:
                return False
            time.sleep(LOCK_POLL_SECONDS)  # the machine's own time: another process is waited for
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
                next_create = max(next_create, now) + creates / CREATES_PER_SECOND
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
    """The two times; both count as now if no queue explains them: another boot, a clock that was set, damage."""
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
