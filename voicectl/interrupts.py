"""Signal handling: the first signal lets a request in flight finish, and the second ends the process immediately."""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicectl.errors import Interrupted, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

FINISH_SECONDS = 5.0
OUTCOME_UNKNOWN_STATUS = 12

ECHO_SECONDS = 0.1
"""How long a duplicate of a signal is ignored, in seconds.

For example, the ``timeout`` command sends a signal to a process, and then to the process's group.
"""


class Echoes:
    """A filter for signals that are delivered twice although the user sent them only once."""

    def __init__(self) -> None:
        self._last = (0, -math.inf)

    def is_echo(self, signum: int) -> bool:
        """Return True if the signal *signum*, which has just arrived, repeats the previous signal."""
        (last, at), now = self._last, time.monotonic()
        self._last = (signum, now)
        return signum == last and now - at < ECHO_SECONDS


class Interrupts:
    """A signal handler that lets a request in flight finish.

    The handler holds back the first SIGINT, SIGTERM or SIGHUP until the request's result has been reported.

    Signals are caught only after :meth:`install` is called, and only in the main thread.

    Args:
        finish_seconds: How long a request in flight may continue after the first signal, in seconds.

    Attributes:
        echoes: The filter for duplicate signals, which is also used by code that temporarily replaces this handler.
    """

    def __init__(self, *, finish_seconds: float = FINISH_SECONDS) -> None:
        self.pending: int | None = None
        self._finish_seconds = finish_seconds
        self._shields = 0
        self._in_doubt = 0
        self._has_news = False
        self.echoes = Echoes()

    def install(self) -> None:
        """Catch SIGINT, SIGTERM and SIGHUP, except those that are already ignored (for example, by ``nohup``)."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._caught)

    @contextmanager
    def shield(self, *, in_doubt: bool = False) -> Iterator[None]:
        """Hold back signals during the ``with`` block and then until :meth:`check` or :meth:`waiting` is called.

        So no signal interrupts the program between the end of a request and the output of its result.

        Args:
            in_doubt: True if exiting during the block would leave the request's outcome unknown. A second signal then
                causes exit status 12.
        """
        self._shields += 1
        self._in_doubt += in_doubt
        try:
            yield
        except OutcomeUnknown:
            self._in_doubt += 1  # permanently, since the outcome remains unknown
            raise
        finally:
            self._has_news = True
            self._shields -= 1
            self._in_doubt -= in_doubt
            if self.pending:
                signal.setitimer(signal.ITIMER_REAL, 0)

    @property
    def is_in_doubt(self) -> bool:
        """True if a request is in flight whose outcome would be unknown if the process ended now."""
        return self._in_doubt > 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let signals end the ``with`` block immediately, even within :meth:`shield`.

        The block must only wait or read.
        """
        held = self._shields, self._in_doubt
        try:
            self._shields = self._in_doubt = 0
            self.check()
            yield
        finally:
            self._shields, self._in_doubt = held

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal was held back. Call this method before starting any new work."""
        self._has_news = False
        if self.pending:
            raise Interrupted(self.pending)

    def _caught(self, signum: int, _frame: FrameType | None) -> None:
        if self.echoes.is_echo(signum):
            return
        if self.pending:
            os._exit(OUTCOME_UNKNOWN_STATUS if self._in_doubt else 128 + signum)
        self.pending = signum
        if self._shields:
            signal.signal(signal.SIGALRM, _too_late)
            signal.setitimer(signal.ITIMER_REAL, self._finish_seconds)
        elif not self._has_news:
            raise Interrupted(signum)


def _too_late(_signum: int, _frame: FrameType | None) -> None:
    raise TimeoutError("interrupted")
