"""The event writer. Its thread uses the event store, and commits waiting arrivals (received webhooks) together."""

# How arrivals are grouped into commits
#
# The event loop accepts webhooks. The store blocks its caller, so a thread owns it. An arrival passes through three
# places:
#
#   _gathered   the arrivals of the current turn of the loop (used only by the loop)
#   _queue      one list per turn of the loop; _hand_over adds the list and wakes the thread once
#   _batch      the arrivals that were queued when the thread became free, up to about MAX_TOGETHER (used only by the
#               thread)
#
# Each batch is one commit with one fsync. There is no timer and no minimum size: the arrivals that are queued during
# a commit become the next batch. So a single event is committed at once. Under load, the batches grow until the cost
# of a commit no longer matters. If the disk is slow, the batches become larger, and the queue does not become longer.
#
# Invariants:
#
# 1. A future in keep() is resolved only after its arrival is durable, in the store or in the spool. The receiver
#    acknowledges the event only then. If neither accepts the arrival, the future raises NotKept, and the platform
#    sends the event again.
# 2. Each arrival is settled exactly once: after the thread has committed it, or by close() if the thread was
#    abandoned. Both happen on the loop. So _waiting and _waiting_bytes, which limit the use of memory, need no lock.
# 3. A store that failed is not tried again for retry_seconds. Meanwhile, each batch becomes one spool file
#    with its own fsync, so acknowledgements do not wait for the store.
# 4. The spool files are moved into the store in order, some at a time between batches. So new arrivals never wait for
#    all files. A file is deleted only after its commit. After a crash between commit and deletion, the arrivals in
#    the file are added again, and the store counts them as repeats.
# 5. If the store does not accept some files together, they are tried one by one. A file that is not accepted alone is
#    set aside (_unfit), so that it does not keep the other files out of the store.

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from voicectl.errors import StoreError
from voicectl.store.events import Kept, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from voicectl.store.events import Arrival, EventStore
    from voicectl.store.events_spool import Spool

    OnKept = Callable[[list[tuple[Arrival, Kept]]], None]

RETRY_SECONDS = 1.0
"""The time between a failure of the store and the next attempt to use it, in seconds."""

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 64 << 20
MAX_TOGETHER = 1_000
"""The number of arrivals at which a batch is full. A batch may become larger, because groups are added whole."""

IN_SPOOL = Kept(Outcome.NEW, 0)
"""The result for an arrival that was spooled. Whether it is a repeat is determined when the store accepts it."""

logger = logging.getLogger(__name__)


class NotKept(Exception):
    """An arrival cannot be stored: neither the store nor the spool accepted it, or too many arrivals are waiting."""


class _Pending(NamedTuple):
    """An arrival and the future to resolve when it is stored. The future is None if no task waits for it."""

    arrival: Arrival
    future: asyncio.Future[Kept] | None


class EventWriter:
    """Stores arriving webhooks (arrivals). A writer must be created, used and closed on the same event loop.

    Args:
        open_store: A function that opens the event store. If it fails, it is called again later.
        spool: The spool, which keeps arrivals while the store cannot be used.
        on_kept: Called on the event loop with the stored arrivals and, for each, whether it was new. Arrivals that an
            earlier process left in the spool are included if they are new.
        on_trouble: Called with a kind of trouble and a one-line message, from any thread, when the store or the spool
            fails, and when the store works again. Under load, this may happen for each batch.
        monotonic: A function that returns the time in seconds on a clock that never goes backward.
        retry_seconds: The time between a failure of the store and the next attempt to use it, in seconds.
    """

    def __init__(
        self,
        open_store: Callable[[], EventStore],
        spool: Spool,
        *,
        on_kept: OnKept = lambda _: None,
        on_trouble: Callable[[str, str], None] = lambda *_: None,
        monotonic: Callable[[], float] = time.monotonic,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._open_store = open_store
        self._spool = spool
        self._on_kept = on_kept
        self._on_trouble = on_trouble
        self._monotonic = monotonic
        self._retry_seconds = retry_seconds
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._gathered: list[_Pending] = []
        self._queue: SimpleQueue[list[_Pending] | None] = SimpleQueue()
        self._waiting = 0
        self._waiting_bytes = 0
        self._is_closed = False
        # Only the thread uses the following attributes.
        self._store: EventStore | None = None
        self._is_down = False
        self._retry_at = 0.0
        self._spooled: deque[Path] = deque()
        self._ours: set[Path] = set()
        self._unfit: set[Path] = set()
        self._batch: list[_Pending] = []
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of arrivals that are not stored yet."""
        return self._waiting

    @property
    def has_store(self) -> bool:
        """True if the event store worked when it was last used."""
        return not self._is_down

    @property
    def spooled(self) -> int:
        """The number of files in the spool, including files that the store does not accept."""
        return len(self._spooled) + len(self._unfit)

    async def keep(self, arrival: Arrival) -> Kept:
        """Store *arrival*, and return the outcome. When this method returns, the arrival is durable.

        Raises:
            NotKept: The arrival is not stored, and must not be acknowledged.
        """
        future: asyncio.Future[Kept] = self._loop.create_future()
        self._push(_Pending(arrival, future))
        return await future

    def keep_later(self, arrival: Arrival) -> None:
        """Store *arrival* later, without waiting. It is stored before :meth:`close` returns.

        Raises:
            NotKept: Too many arrivals are waiting.
        """
        self._push(_Pending(arrival, None))

    async def close(self, seconds: float) -> None:
        """Store all waiting arrivals, and close the store.

        Arrivals that are not stored within *seconds* are put into the spool.
        """
        self._is_closed = True
        self._hand_over()
        self._queue.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
                return
        self._is_abandoned = True
        left = [*self._batch, *(each for batch in self._drain() for each in batch or ())]
        if left:  # the thread may still commit some; the store then recognises the repeats
            self._settle(left, self._to_spool([each.arrival for each in left]))

    def _push(self, waiting: _Pending) -> None:
        if self._is_closed or self._waiting >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            raise NotKept
        self._waiting += 1
        self._waiting_bytes += _size(waiting.arrival)
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(waiting)

    def _hand_over(self) -> None:
        """Pass the arrivals from one turn of the event loop to the thread, which wakes up only once for them."""
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _settle(self, batch: Sequence[_Pending], outcomes: list[Kept] | None) -> None:
        """Resolve the futures of the arrivals in *batch*. This method must run on the event loop.

        Args:
            outcomes: The outcome of each arrival in the batch, or None if the batch was not stored.
        """
        self._waiting -= len(batch)
        self._waiting_bytes -= sum(_size(each.arrival) for each in batch)
        for index, (_, future) in enumerate(batch):
            if future is None or future.done():
                continue
            if outcomes is None:
                future.set_exception(NotKept())
            else:
                future.set_result(outcomes[index])
        if outcomes is not None:
            arrivals = (each.arrival for each in batch)
            self._on_kept(list(zip(arrivals, outcomes, strict=True)))

    # The following methods run in the thread.

    def _run(self) -> None:
        self._look_into_spool()
        is_last = False
        while not is_last and not self._is_abandoned:
            self._batch, is_last = self._take()
            if batch := self._batch:
                try:
                    outcomes = self._keep([each.arrival for each in batch])
                except Exception:  # the waiting tasks must get a result
                    logger.exception("Storing events failed unexpectedly")
                    outcomes = None
                if self._is_abandoned:
                    break
                self._batch = []
                self._call_soon(self._settle, batch, outcomes)
            if not is_last and self._usable_store() is not None and self._spooled:
                self._take_in()
        if self._store is not None:
            with suppress(StoreError):
                self._store.close()
        self._call_soon(self._ended.set)

    def _take(self) -> tuple[list[_Pending], bool]:
        """Return the queued arrivals, and a flag that is True if no more arrivals will be queued.

        If no arrival is queued, this method waits for one, unless the thread has something else to do.
        """
        batch: list[_Pending] = []
        is_last = False
        try:
            if self._store is not None and not self._spooled:
                more = self._queue.get()
            elif (seconds := self._retry_at - self._monotonic()) > 0:
                more = self._queue.get(timeout=seconds)
            else:
                more = self._queue.get_nowait()
            while more is not None:
                batch += more
                if len(batch) >= MAX_TOGETHER:
                    break
                more = self._queue.get_nowait()
            is_last = more is None
        except Empty:
            pass
        return batch, is_last

    def _drain(self) -> list[list[_Pending] | None]:
        found = []
        with suppress(Empty):
            while True:
                found.append(self._queue.get_nowait())
        return found

    def _keep(self, arrivals: list[Arrival]) -> list[Kept] | None:
        store = self._usable_store()
        if store is not None:
            try:
                kept = store.add(arrivals)
            except Exception as exc:  # noqa: BLE001 (arrivals must not be lost because of a bug)
                self._lose(exc)
            else:
                self._regain()
                return kept
        return self._to_spool(arrivals)

    def _to_spool(self, arrivals: list[Arrival]) -> list[Kept] | None:
        try:
            path = self._spool.put(arrivals)
        except StoreError as exc:
            self._on_trouble(
                "spool",
                f"{exc.message} Until events can be spooled, they are refused, so that the platform sends them"
                " again.",
            )
            return None
        self._spooled.append(path)
        self._ours.add(path)
        return [IN_SPOOL] * len(arrivals)

    def _usable_store(self) -> EventStore | None:
        """Return the open event store, or None if it does not work or must not be used again yet."""
        if self._monotonic() < self._retry_at:
            return None
        if self._store is None:
            try:
                self._store = self._open_store()
            except Exception as exc:  # noqa: BLE001 (arrivals must not be lost because of a bug)
                self._lose(exc)
            else:
                self._regain()
        return self._store

    def _lose(self, exc: Exception) -> None:
        """Record that the event store failed, so that it is not used for some time.

        An unexpected exception is a bug in the store. The exception is logged, and no arrivals are lost.
        """
        if not isinstance(exc, StoreError):
            logger.error("The event store failed unexpectedly", exc_info=exc)
        if not self._is_down:
            why = f"The event store failed unexpectedly: {exc!r}."
            if isinstance(exc, StoreError):
                why = f"{exc.message} {exc.hint}" if exc.hint else exc.message
            self._on_trouble(
                f"store {why}",
                f"{why} Until the store works again, events are kept in {self._spool.directory}.",
            )
        self._is_down = True
        self._retry_at = self._monotonic() + self._retry_seconds

    def _regain(self) -> None:
        if self._is_down:
            self._is_down = False
            self._retry_at = 0.0
            self._on_trouble("store works", "The event store works again.")
            self._look_into_spool()

    def _look_into_spool(self) -> None:
        try:
            self._spooled = deque(path for path in self._spool.files() if path not in self._unfit)
        except StoreError as exc:
            self._on_trouble("spool", exc.message)

    def _take_in(self) -> None:
        """Move the arrivals in some of the spool's files to the event store."""
        loaded: list[tuple[Path, list[Arrival]]] = []
        count = 0
        while self._spooled and count < MAX_TOGETHER:
            path = self._spooled.popleft()
            try:
                loaded.append((path, self._spool.load(path)))
            except Exception as exc:  # noqa: BLE001 (one bad file must not block the others)
                self._leave(path, exc)
            else:
                count += len(loaded[-1][1])
        while self._spool.damaged:
            aside = self._spool.damaged.pop()
            self._on_trouble("damaged", f"A spool file is damaged, and was moved to {aside}")
        if loaded:
            self._move(loaded)

    def _move(self, loaded: Sequence[tuple[Path, list[Arrival]]]) -> None:
        """Add the arrivals from *loaded*, some spool files, to the store in one commit, and delete the files."""
        assert self._store is not None  # noqa: S101 (_run checks it)
        arrivals = [each for _, found in loaded for each in found]
        try:
            kept = self._store.add(arrivals)
        except StoreError as exc:
            self._spooled.extendleft(path for path, _ in reversed(loaded))
            self._lose(exc)
            return
        except Exception as exc:  # noqa: BLE001 (one file that is not accepted must not block the others)
            if len(loaded) == 1:
                self._leave(loaded[0][0], exc)
            else:
                for each in loaded:
                    self._move([each])
            return
        is_news = False
        for path, _ in loaded:
            is_news |= path not in self._ours
            self._ours.discard(path)
            try:
                self._spool.drop(path)
            except StoreError as exc:
                self._leave(path, exc)
        self._regain()
        if is_news:
            pairs = zip(arrivals, kept, strict=True)
            self._call_soon(self._on_kept, [pair for pair in pairs if pair[1].outcome is Outcome.NEW])

    def _leave(self, path: Path, exc: Exception) -> None:
        """Set a spool file aside. The next process will try again to move the arrivals in it to the event store."""
        self._unfit.add(path)
        if isinstance(exc, StoreError):
            self._on_trouble("spool file", exc.message)
        else:
            logger.error("The spool file %s cannot be moved into the store", path, exc_info=exc)

    def _call_soon(self, act: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and no one waits any more
            self._loop.call_soon_threadsafe(act, *args)


def _size(arrival: Arrival) -> int:
    return len(arrival.body) + len(arrival.query)
