"""Warnings, with a limit on how often each kind of warning is repeated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_SECONDS = 10.0
MAX_KINDS = 1_000


class Warnings:
    """Reports warnings. Each kind of warning is reported at most once every :data:`PAUSE_SECONDS` seconds.

    The first warning of a kind is reported immediately. A later report includes the number of warnings of its kind
    that were left out since the previous report. Several threads may use the same object.

    Args:
        report: Called with each line to show to the user.
        monotonic: A function that returns the time in seconds on a clock that never goes backward.
    """

    def __init__(
        self, report: Callable[[str], None], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._monotonic = monotonic
        self._reported_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def __call__(self, kind: str, line: str) -> None:
        """Report *line*, unless a warning of the same *kind* was reported in the last :data:`PAUSE_SECONDS`."""
        now, last = self._monotonic(), self._reported_at.get(kind)
        if last is not None and now - last < PAUSE_SECONDS:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        if len(self._reported_at) >= MAX_KINDS:
            self._reported_at.clear()
        self._reported_at[kind] = now
        more = self._left_out.pop(kind, 0)
        self._report(f"{line} ({more} more like this since the last warning)" if more else line)
