"""Signals that a test sends to its own process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from voicectl.interrupts import Interrupts

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@contextmanager
def installed(*, finish_seconds: float) -> Iterator[Interrupts]:
    """Let a handler of the product's catch the signals of this process during the block."""
    before = {signum: signal.getsignal(signum) for signum in CAUGHT}
    interrupts = Interrupts(finish_seconds=finish_seconds)
    interrupts.install()
    try:
        yield interrupts
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def send(signum: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), signum)
