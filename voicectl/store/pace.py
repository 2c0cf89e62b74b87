"""The pace of requests, shared by every voicectl process of this user for an application.

One small file, locked while it is read and written, holds two times: when the next call may be created, and when the
next other request would be on time. A process takes its turn by moving the time on, then waits outside the lock.

Source: Voice API reference, "limits": 3 new calls and 15 other requests a second.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from voicectl.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voicectl.clock import Clock

CREATES_PER_SECOND = 3
OTHERS_PER_SECOND = 15
STALE_SECONDS = 300.0


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

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        """Wait for the turn of one request; see :class:`voicectl.api.session.Pace`."""
        try:
            wait = self._reserve(creates, others, urgent=urgent, budget=budget)
        except OSError as exc:
            self._remark(f"Requests are not paced: {self._path} cannot be used ({exc.strerror}).")
            self._remark = _already_said
            return 0.0
        if wait > 0:
            self._clock.sleep(wait)
        return wait

    def check(self) -> None:
        """Raise OSError if the file cannot be used."""
        self._reserve(0, 0, urgent=True, budget=0.0)

    def _reserve(self, creates: int, others: int, *, urgent: bool, budget: float) -> float:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            now = self._clock.monotonic()
            next_create, next_other = _parse(os.pread(handle, 64, 0), now)
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
                raise RateLimitedError(
                    f"This machine's turn would come in {wait:.0f} s: too many requests are waiting.",
                    status=429,
                    hint="Nothing was sent. Try again when the other voicectl processes are done.",
                )
            content = f"{next_create:20.6f} {next_other:20.6f}\n".encode()
            os.pwrite(handle, content, 0)
            os.ftruncate(handle, len(content))
        finally:
            os.close(handle)
        return wait


def _parse(content: bytes, now: float) -> tuple[float, float]:
    """The two times; one that no queue explains (a restart, damage) counts as now."""
    try:
        create, other = (float(part) for part in content.split())
    except ValueError:
        return now, now
    return (
        create if create < now + STALE_SECONDS else now,
        other if other < now + STALE_SECONDS else now,
    )


def _already_said(_: str) -> None:
    """Takes the place of a remark that was made."""
