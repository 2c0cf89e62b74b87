"""Waiting for a condition: the time limits only keep a test from hanging, and say nothing about speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
FOR_EVER = 100_000.0
"""Seconds of a pause or limit that no test outlasts: waiting for its end counts as hanging."""


def eventually(look: Callable[[], T], missing: str = "it did not come") -> T:
    """Return the first true result of *look*."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < give_up, missing
        time.sleep(0.005)
    return seen


def ending(act: Callable[[], T]) -> T:
    """Return the result of *act* or raise its exception; fail if it does not end."""
    ended: Future[T] = Future()

    def run() -> None:
        try:
            ended.set_result(act())
        except BaseException as exc:  # noqa: BLE001 (raised where it can be seen)
            ended.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return ended.result(PATIENCE_SECONDS)
