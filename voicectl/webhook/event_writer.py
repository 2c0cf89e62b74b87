"""Keeping what arrives: a thread that owns the store, and commits together what waits together.

Nothing is acknowledged before it is durable. Where the store cannot be used, what arrives goes into a file of the
spool, and from there into the store once that answers again.
"""

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
"""How long a store that failed is left alone."""

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 64 << 20
MAX_TOGETHER = 1_000
"""How many arrivals share a commit at most."""

IN_SPOOL = Kept(Outcome.NEW, 0)
"""What became of an arrival that the spool keeps: which it is, the store will say."""

logger = logging.getLogger(__name__)


class NotKept(Exception):
    """Neither the store nor the spool took an arrival, or too many wait already."""


class _Pending(NamedTuple):
    """An arrival, and who waits to hear that it is kept, if anybody does."""

    arrival: Arrival
    future: asyncio.Future[Kept] | None


class EventWriter:
    """Keeps arrivals. Made, used and closed on one event loop.

    Args:
        open_store: Opens the store, once; raises ``StoreError``, and is asked again then.
        spool: Where arrivals are while the store cannot be used.
        on_kept: Told on the loop what became of arrivals, all of one commit at a time; also of those that an earlier
            process left in the spool.
        on_trouble: Told in a line, from any thread, when the store is lost, and when it is back.
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
        # The thread's own, from here on.
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
        """How many arrivals are not kept yet."""
        return self._waiting

    @property
    def has_store(self) -> bool:
        """Whether the store could be used when last tried."""
        return not self._is_down

    @property
    def spooled(self) -> int:
        """How many files of the spool wait for the store, or cannot be taken in."""
        return len(self._spooled) + len(self._unfit)

    async def keep(self, arrival: Arrival) -> Kept:
        """Keep *arrival*, durable on return.

        Raises:
            NotKept: It is not, and must not be acknowledged.
        """
        future: asyncio.Future[Kept] = self._loop.create_future()
        self._push(_Pending(arrival, future))
        return await future

    def keep_later(self, arrival: Arrival) -> None:
        """Keep *arrival* without anybody waiting for it, before :meth:`close` returns.

        Raises:
            NotKept: Too many wait already.
        """
        self._push(_Pending(arrival, None))

    async def close(self, seconds: float) -> None:
        """Keep what waits, and let go of the store; what a stuck store does not take within *seconds* is spooled."""
        self._is_closed = True
        self._hand_over()
        self._queue.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
                return
        self._is_abandoned = True
        left = [*self._batch, *(each for batch in self._drain() for each in batch or ())]
        if left:  # what its thread may yet commit is recognised when the file is taken in
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
        """Give the thread what came in one turn of the loop, and wake it once for all."""
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _settle(self, batch: Sequence[_Pending], outcomes: list[Kept] | None) -> None:
        """On the loop: tell those who wait what became of their arrivals; None: they were not kept."""
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
                except Exception:  # whoever waits must hear something
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
        """What waits now, and whether it is the last; waits itself while there is nothing else to do."""
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
            except Exception as exc:  # noqa: BLE001 (a bug must not lose what came)
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
                f"{exc.message} What arrives is refused, so that the platform may send it again."
            )
            return None
        self._spooled.append(path)
        self._ours.add(path)
        return [IN_SPOOL] * len(arrivals)

    def _usable_store(self) -> EventStore | None:
        """The store, if it may be tried now; opened where it is not yet."""
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
        """Leave a store alone that failed; a bug is told where bugs are, and loses nothing either."""
        if not isinstance(exc, StoreError):
            logger.error("The store of events went wrong", exc_info=exc)
        if not self._is_down:
            why = f"The store of events went wrong: {exc!r}."
            if isinstance(exc, StoreError):
                why = f"{exc.message} {exc.hint}" if exc.hint else exc.message
            self._on_trouble(
                f"{why} Until it can be used again, what arrives is put aside in {self._spool.directory}."
            )
        self._is_down = True
        self._retry_at = self._monotonic() + self._retry_seconds

    def _regain(self) -> None:
        if self._is_down:
            self._is_down = False
            self._retry_at = 0.0
            self._on_trouble("The store of events can be used again.")
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
            self._on_trouble(f"Events that were put aside are damaged; see {self._spool.damaged.pop()}")
        if loaded:
            self._move(loaded)

    def _move(self, loaded: Sequence[tuple[Path, list[Arrival]]]) -> None:
        """Commit what was loaded, together, and drop its files."""
        assert self._store is not None  # noqa: S101 (the caller of the caller saw it)
        arrivals = [each for _, found in loaded for each in found]
        try:
            kept = self._store.add(arrivals)
        except StoreError as exc:
            self._spooled.extendleft(path for path, _ in reversed(loaded))
            self._lose(exc)
            return
        except Exception as exc:  # noqa: BLE001 (what no store takes must not keep it from taking all else)
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
        """Leave a file of the spool alone, for whoever starts next to try again."""
        self._unfit.add(path)
        if isinstance(exc, StoreError):
            self._on_trouble(exc.message)
        else:
            logger.error("What was put aside in %s cannot be taken in", path, exc_info=exc)

    def _call_soon(self, act: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: it gave us up
            self._loop.call_soon_threadsafe(act, *args)


def _size(arrival: Arrival) -> int:
    return len(arrival.body) + len(arrival.query)
