"""The writer of events: a thread that owns the event store and commits waiting arrivals together."""

# How arrivals are grouped into commits
#
# The event loop accepts webhooks; one thread owns the store, which blocks. An arrival passes through three places:
#
#   _gathered   arrivals of the current turn of the loop (loop only)
#   _queue      one list per turn of the loop, handed over by _hand_over with a single wake-up of the thread
#   _batch      everything that was queued when the thread became free, up to about MAX_TOGETHER (thread only)
#
# A batch is one commit, and one fsync. There is no timer and no minimum size: while one commit is under way, arrivals
# queue up and become the next batch. So a lone event is committed at once, and under load the batches grow until the
# cost of a commit no longer matters. A slow disk makes larger batches, not a longer queue.
#
# Invariants:
#
# 1. A future of keep() is resolved only after its arrival is durable, in the store or in the spool; the receiver
#    acknowledges only then. If neither takes it, the future raises NotKept and the platform sends the event again.
# 2. Each arrival is settled exactly once: by the thread after its commit, or by close() once the thread is abandoned.
#    Both happen on the loop, so _waiting and _waiting_bytes, which bound the memory, need no lock.
# 3. A store that fails is not tried again for retry_seconds. Meanwhile each batch becomes one file of the spool, with
#    its own fsync, so acknowledgements do not wait for the store.
# 4. Files of the spool go into the store in their order, some at a time between batches: new arrivals never wait for
#    the whole backlog. A file is dropped only after its commit. A crash between the two takes the file in twice,
#    which the store recognises: it counts the second one as a repeat.
# 5. A file that no store accepts is set aside (_unfit), after its neighbours were tried one by one: it must not keep
#    the others out.

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
"""Seconds between a failure of the store and the next try."""

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 64 << 20
MAX_TOGETHER = 1_000
"""Number of arrivals from which on no more are added to a commit."""

IN_SPOOL = Kept(Outcome.NEW, 0)
"""The outcome of an arrival in the spool: the store decides later if it is a repeat."""

logger = logging.getLogger(__name__)


class NotKept(Exception):
    """Neither the store nor the spool accepted an arrival, or too many wait already."""


class _Pending(NamedTuple):
    """An arrival, and the future to resolve once it is stored, if a task waits for that."""

    arrival: Arrival
    future: asyncio.Future[Kept] | None


class EventWriter:
    """Stores arrivals. Create, use and close it on one event loop.

    Args:
        open_store: Opens the store; after a ``StoreError`` it is called again later.
        spool: Holds arrivals while the store cannot be used.
        on_kept: Called on the loop with the arrivals of each commit and their outcomes, including those that an
            earlier process left in the spool.
        on_trouble: Called with one line, from any thread, when the store fails, and when it works again.
    """

    def __init__(
        self,
        open_store: Callable[[], EventStore],
        spool: Spool,
        *,
        on_kept: OnKept = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
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
        # From here on, only the thread uses these.
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
        """Number of arrivals that are not stored yet."""
        return self._waiting

    @property
    def has_store(self) -> bool:
        """True if the store worked when last tried."""
        return not self._is_down

    @property
    def spooled(self) -> int:
        """Number of files of the spool that wait for the store, or that it does not accept."""
        return len(self._spooled) + len(self._unfit)

    async def keep(self, arrival: Arrival) -> Kept:
        """Store *arrival*; it is durable on return.

        Raises:
            NotKept: The arrival is not stored, and must not be acknowledged.
        """
        future: asyncio.Future[Kept] = self._loop.create_future()
        self._push(_Pending(arrival, future))
        return await future

    def keep_later(self, arrival: Arrival) -> None:
        """Store *arrival* some time before :meth:`close` returns, without waiting for it.

        Raises:
            NotKept: Too many arrivals wait already.
        """
        self._push(_Pending(arrival, None))

    async def close(self, seconds: float) -> None:
        """Store all waiting arrivals and close the store; after *seconds*, put the rest into the spool."""
        self._is_closed = True
        self._hand_over()
        self._queue.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
                return
        self._is_abandoned = True
        left = [*self._batch, *(each for batch in self._drain() for each in batch or ())]
        if left:  # if the thread commits some of them later, the store recognises the repeats
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
        """Give the thread the arrivals of one turn of the loop, with a single wake-up."""
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _settle(self, batch: Sequence[_Pending], outcomes: list[Kept] | None) -> None:
        """Resolve the futures of a batch, on the loop; None means that it was not stored."""
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

    # In the thread

    def _run(self) -> None:
        self._look_into_spool()
        is_last = False
        while not is_last and not self._is_abandoned:
            self._batch, is_last = self._take()
            if batch := self._batch:
                try:
                    outcomes = self._keep([each.arrival for each in batch])
                except Exception:  # the waiting tasks must get a result
                    logger.exception("Keeping events went wrong")
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
        """Return the queued arrivals, and True if they are the last; block while there is nothing else to do."""
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
            except Exception as exc:  # noqa: BLE001 (a bug must not lose arrivals)
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
                f"{exc.message} Events are refused until this works, so that the platform sends them again."
            )
            return None
        self._spooled.append(path)
        self._ours.add(path)
        return [IN_SPOOL] * len(arrivals)

    def _usable_store(self) -> EventStore | None:
        """Return the store, opened if need be; None if it does not work or must not be tried yet."""
        if self._monotonic() < self._retry_at:
            return None
        if self._store is None:
            try:
                self._store = self._open_store()
            except Exception as exc:  # noqa: BLE001 (as above)
                self._lose(exc)
            else:
                self._regain()
        return self._store

    def _lose(self, exc: Exception) -> None:
        """Stop using a store that failed, for a while; a bug in the store is logged, and loses no arrivals either."""
        if not isinstance(exc, StoreError):
            logger.error("The event store failed unexpectedly", exc_info=exc)
        if not self._is_down:
            why = f"The event store failed unexpectedly: {exc!r}."
            if isinstance(exc, StoreError):
                why = f"{exc.message} {exc.hint}" if exc.hint else exc.message
            self._on_trouble(
                f"{why} Until the store works again, events are kept in {self._spool.directory}."
            )
        self._is_down = True
        self._retry_at = self._monotonic() + self._retry_seconds

    def _regain(self) -> None:
        if self._is_down:
            self._is_down = False
            self._retry_at = 0.0
            self._on_trouble("The event store works again.")
            self._look_into_spool()

    def _look_into_spool(self) -> None:
        try:
            self._spooled = deque(path for path in self._spool.files() if path not in self._unfit)
        except StoreError as exc:
            self._on_trouble(exc.message)

    def _take_in(self) -> None:
        """Move some files of the spool into the store."""
        loaded: list[tuple[Path, list[Arrival]]] = []
        count = 0
        while self._spooled and count < MAX_TOGETHER:
            path = self._spooled.popleft()
            try:
                loaded.append((path, self._spool.load(path)))
            except Exception as exc:  # noqa: BLE001 (one bad file must not keep out all others)
                self._leave(path, exc)
            else:
                count += len(loaded[-1][1])
        while self._spool.damaged:
            self._on_trouble(f"A spool file is damaged, and was moved to {self._spool.damaged.pop()}")
        if loaded:
            self._move(loaded)

    def _move(self, loaded: Sequence[tuple[Path, list[Arrival]]]) -> None:
        """Commit the loaded files together, and delete them."""
        assert self._store is not None  # noqa: S101 (_run checks it)
        arrivals = [each for _, found in loaded for each in found]
        try:
            kept = self._store.add(arrivals)
        except StoreError as exc:
            self._spooled.extendleft(path for path, _ in reversed(loaded))
            self._lose(exc)
            return
        except Exception as exc:  # noqa: BLE001 (a file that the store does not accept must not keep the others out)
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
        """Set a file of the spool aside; the next process tries it again."""
        self._unfit.add(path)
        if isinstance(exc, StoreError):
            self._on_trouble(exc.message)
        else:
            logger.error("The spool file %s cannot be moved into the store", path, exc_info=exc)

    def _call_soon(self, act: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and no one waits any more
            self._loop.call_soon_threadsafe(act, *args)


def _size(arrival: Arrival) -> int:
    return len(arrival.body) + len(arrival.query)
