"""Threads beside the screen, which make requests so that keys are answered meanwhile."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from voicectl.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.cli.context import App
    from voicectl.cli.switchboard.app import Switchboard
    from voicectl.core.watch.sight import Change

T = TypeVar("T")


class SideThread:
    """Runs jobs one after another in a thread, with connections of its own. The process can exit meanwhile.

    Args:
        app: The command's parts. The thread has parts of its own, made by :meth:`.App.beside`.
    """

    def __init__(self, app: App, name: str) -> None:
        self.parts = app.beside()
        self._jobs: SimpleQueue[tuple[Callable[[App], object], Future[object]]] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self, job: Callable[[App], T]) -> T:
        """Run *job* with the parts of the thread, and return its result or raise its exception."""
        future: Future[T] = Future()
        self._jobs.put((job, future))  # type: ignore[arg-type]  # a queue of jobs of any type
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the job that is running end as soon as it can, and run no other job."""
        self.parts.interrupts.pending = signal.SIGTERM
        self._jobs.put((lambda _: None, Future()))

    def _run(self) -> None:
        with self.parts.closing:
            while not self.parts.interrupts.pending:
                job, future = self._jobs.get()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(job(self.parts))
                except BaseException as exc:  # noqa: BLE001 (raised again by ask)
                    future.set_exception(exc)


class Feed:
    """Runs the poller in a thread, and passes the changes of legs on to the screen.

    Args:
        parts: The parts that the poller was made with, which are closed in the thread.
        rounds: The rounds of the poller.
    """

    def __init__(self, board: Switchboard, parts: App, rounds: Iterator[list[Change]]) -> None:
        self._board = board
        self._parts = parts
        self._rounds = rounds
        self._lock = Lock()
        self._changes: list[Change] = []
        self._thread = Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Start to poll."""
        self._thread.start()

    def close(self) -> None:
        """Let the poller end as soon as it can."""
        self._parts.interrupts.pending = signal.SIGTERM

    def _run(self) -> None:
        outcome: BaseException | None = None
        try:
            with self._parts.closing:
                for changes in self._rounds:
                    self._deliver(changes)
        except BaseException as exc:  # noqa: BLE001 (raised again in the main thread)
            outcome = exc
        if not (isinstance(outcome, Interrupted) and self._parts.interrupts.pending):
            self._board.call_later(self._end, outcome)

    def _deliver(self, changes: list[Change]) -> None:
        """Pass *changes* on, together with those that the screen has not taken yet."""
        if not changes:
            return
        with self._lock:
            is_awaited = bool(self._changes)
            self._changes += changes
        if not is_awaited:
            self._board.call_later(self._drain)

    def _drain(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, []
        self._board.receive(changes)

    def _end(self, outcome: BaseException | None) -> None:
        self._drain()
        self._board.exit(outcome)
