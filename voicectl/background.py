"""Work in a background thread, with a time limit for waiting until it ends."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from voicectl.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class BackgroundThread(Generic[T]):
    """A background thread that starts *work* at once. The process does not wait for the thread when it exits."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._returned: list[T] = []
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="beside", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> T:
        """Return the result of the work, or raise its exception.

        Args:
            seconds: How long to wait. None for no limit.

        Raises:
            TransportError: The work did not end in time. The work continues.
        """
        self.end(seconds)
        if self._failure is not None:
            raise self._failure
        return self._returned[0]

    def end(self, seconds: float | None = None) -> None:
        """Wait for the end of the work, whether it succeeds or fails.

        Raises:
            TransportError: The work did not end in time. The work continues.
        """
        if not self.is_done(seconds):
            raise TransportError("There was no answer in time.")

    def is_done(self, seconds: float | None = None) -> bool:
        """Return True if the work ended within *seconds*, whether it succeeded or failed."""
        self._thread.join(None if seconds is None else max(seconds, 0.0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._returned.append(self._work())
        except BaseException as exc:  # noqa: BLE001 (raised again by wait)
            self._failure = exc
