"""Work beside the main thread, waited for no longer than its owner likes."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from voicectl.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Beside(Generic[T]):
    """Begins *work* at once, in a thread; a process that ends does not wait for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._returned: list[T] = []
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="beside", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> T:
        """What the work returns; raises what it raises.

        Args:
            seconds: None: for as long as it takes.

        Raises:
            TransportError: It is not done by then, and goes on.
        """
        self.end(seconds)
        if self._failure is not None:
            raise self._failure
        return self._returned[0]

    def end(self, seconds: float | None = None) -> None:
        """Wait for the end of the work, whether it goes well or not.

        Raises:
            TransportError: See :meth:`wait`.
        """
        if not self.is_done(seconds):
            raise TransportError("There was no answer in time.")

    def is_done(self, seconds: float | None = None) -> bool:
        """Whether the work came to its end within *seconds*, well or not."""
        self._thread.join(None if seconds is None else max(seconds, 0.0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._returned.append(self._work())
        except BaseException as exc:  # noqa: BLE001 (for whoever waits)
            self._failure = exc
