"""Signals: the first lets a request in flight finish, the second leaves at once."""

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
"""A signal that comes again within this time was sent once: ``timeout`` sends it to a process and to its group."""


class Echoes:
    """Tells a signal that came twice and was sent once from a second one, which means more."""

    def __init__(self) -> None:
        self._last = (0, -math.inf)

    def is_echo(self, signum: int) -> bool:
        """Whether *signum*, which comes now, is the last one again."""
        (last, at), now = self._last, time.monotonic()
        self._last = (signum, now)
        return signum == last and now - at < ECHO_SECONDS


class Interrupts:
    """Holds the first SIGINT, SIGTERM or SIGHUP back while a request is in flight, and until what came of it is told.

    Until :meth:`install` is called, or off the main thread, no signal is caught and nothing is held back.

    Args:
        finish_seconds: How long a request in flight may go on after the signal.

    Attributes:
        echoes: For who catches signals in its place for a while.
    """

    def __init__(self, *, finish_seconds: float = FINISH_SECONDS) -> None:
        self.pending: int | None = None
        self._finish_seconds = finish_seconds
        self._shields = 0
        self._in_doubt = 0
        self._has_news = False
        self.echoes = Echoes()

    def install(self) -> None:
        """Catch the three signals, except those this process was started to ignore (``nohup``)."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._caught)

    @contextmanager
    def shield(self, *, in_doubt: bool = False) -> Iterator[None]:
        """Hold a signal back inside, and from then on until :meth:`check` or :meth:`waiting` is called.

        So nothing comes between the end of a request and the moment at which its result is printed.

        Args:
            in_doubt: Leaving now would leave an outcome unknown, so a second signal exits with 12.
        """
        self._shields += 1
        self._in_doubt += in_doubt
        try:
            yield
        except OutcomeUnknown:
            self._in_doubt += 1  # for good
            raise
        finally:
            self._has_news = True
            self._shields -= 1
            self._in_doubt -= in_doubt
            if self.pending:
                signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A stretch that only waits or reads: a signal ends it at once, also inside a shield."""
        held = self._shields, self._in_doubt
        try:
            self._shields = self._in_doubt = 0
            self.check()
            yield
        finally:
            self._shields, self._in_doubt = held

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal was held back: start nothing new."""
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
