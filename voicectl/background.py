"""A background thread that runs a function. Callers can wait for the function's result with a time limit."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from voicectl.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class BackgroundThread(Generic[T]):
    """A daemon thread that starts to run *work* immediately. The process can exit while *work* is still running."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._returned: list[T] = []
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="beside", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> T:
        """Wait until *work* ends, and return its result or raise its exception.

        Args:
            seconds: The longest time to wait, in seconds, or None for no limit.

        Raises:
            TransportError: The work did not end in time. The work continues.
        """
        self.end(seconds)
        if self._failure is not None:
            raise self._failure
        return self._returned[0]

    def end(self, seconds: float | None = None) -> None:
        """Wait until *work* ends, whether it succeeds or fails.

        Raises:
            TransportError: The work did not end in time. The work continues.
        """
        if not self.is_done(seconds):
            raise TransportError("There was no response in time.")

    def is_done(self, seconds: float | None = None) -> bool:
        """Wait up to *seconds*, and return True if *work* has ended, whether it succeeded or failed."""
        self._thread.join(None if seconds is None else max(seconds, 0.0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._returned.append(self._work())
        except BaseException as exc:  # noqa: BLE001 (raised again by wait)
            self._failure = exc
