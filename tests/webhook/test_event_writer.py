"""Waiting events share a commit, acknowledged events are kept, and the queue is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import PATIENCE_SECONDS
from voicectl.errors import StoreError
from voicectl.store.events import Arrival, Kept, Outcome, Route
from voicectl.store.events_spool import Spool
from voicectl.webhook.event_writer import MAX_WAITING, MAX_WAITING_BYTES, EventWriter, NotKept

from .serving import Held
from .signing import NOW, event


def arrival(number: int = 0, body: bytes = b"") -> Arrival:
    return Arrival.read(
        received=NOW,
        route=Route.EVENT,
        method="POST",
        query=b"",
        body=body or event(timestamp=str(number)),
        is_signed=True,
        jti=str(number),
    )


class Counting(Held):
    """A store that counts its commits."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[int] = []
        self.is_broken = False

    def add(self, arrivals: Any) -> list[Kept]:
        kept = super().add(arrivals)
        self.commits.append(len(arrivals))
        if self.is_broken:
            raise StoreError("gone")
        return kept


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), PATIENCE_SECONDS), debug=False)


def test_waiting_events_share_one_commit(tmp_path: Path) -> None:
    store = Counting()
    batch_sizes: list[int] = []

    async def body() -> None:
        writer = EventWriter(
            lambda: store, Spool(tmp_path), on_kept=lambda pairs: batch_sizes.append(len(pairs))
        )
        first = asyncio.ensure_future(writer.keep(arrival()))
        while not store.is_asked.is_set():
            await asyncio.sleep(0.005)
        rest = [asyncio.ensure_future(writer.keep(arrival(number))) for number in range(1, 100)]
        writer.keep_later(arrival(100))
        await asyncio.sleep(0.01)
        assert not first.done()
        store.go()
        kept = await asyncio.gather(first, *rest)
        assert [each.outcome for each in kept] == [Outcome.NEW] * 100
        await writer.close(PATIENCE_SECONDS)
        assert writer.waiting == 0

    run(body)
    assert store.commits == batch_sizes == [1, 100]
    assert {each.jti for each in store.arrivals} == {str(number) for number in range(101)}


def test_events_kept_later_are_stored_before_the_end(tmp_path: Path) -> None:
    store = Counting()
    store.go()

    async def body() -> None:
        writer = EventWriter(lambda: store, Spool(tmp_path))
        for number in range(50):
            writer.keep_later(arrival(number))
        await writer.close(PATIENCE_SECONDS)
        with pytest.raises(NotKept):
            await writer.keep(arrival())

    run(body)
    assert len(store.arrivals) == 50


def test_a_file_that_cannot_be_loaded_does_not_block_the_others(tmp_path: Path) -> None:
    store = Counting()
    store.go()
    messages: list[str] = []
    spool = Spool(tmp_path)
    path = spool.put([arrival(1)])
    (tmp_path / "0000-a.spool").mkdir()
    poisoned = spool.put([arrival(2)])
    add = store.add

    def picky(arrivals: list[Arrival]) -> list[Kept]:
        if any(each.jti == "2" for each in arrivals):
            raise ZeroDivisionError
        return add(arrivals)

    store.add = picky  # type: ignore[method-assign]

    async def body() -> None:
        writer = EventWriter(lambda: store, spool, on_trouble=lambda _, line: messages.append(line))
        while path.exists():
            await asyncio.sleep(0.005)
        assert (await writer.keep(arrival(3))).outcome is Outcome.NEW
        assert writer.has_store
        assert writer.spooled == 2
        await writer.close(PATIENCE_SECONDS)

    run(body)
    assert [each.jti for each in store.arrivals] == ["1", "3"]
    assert poisoned.exists()
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("size", "most"), [(0, MAX_WAITING), (64_000, MAX_WAITING_BYTES // 64_000 + 1)], ids=["many", "large"]
)
def test_the_queue_is_bounded(tmp_path: Path, size: int, most: int) -> None:
    store = Counting()
    one = arrival(body=b"x" * size) if size else arrival()

    async def body() -> None:
        writer = EventWriter(lambda: store, Spool(tmp_path))
        for _ in range(most):
            writer.keep_later(one)
        with pytest.raises(NotKept):
            writer.keep_later(one)
        with pytest.raises(NotKept):
            await writer.keep(one)
        store.go()
        while writer.waiting:
            await asyncio.sleep(0.005)
        assert (await writer.keep(one)).outcome is Outcome.NEW
        await writer.close(PATIENCE_SECONDS)

    run(body)
    assert len(store.arrivals) == most + 1


def test_a_failed_store_is_not_tried_again_for_a_while(tmp_path: Path) -> None:
    store = Counting()
    store.go()
    store.is_broken = True
    messages: list[str] = []
    now = 0.0

    async def body() -> None:
        nonlocal now
        writer = EventWriter(
            lambda: store,
            Spool(tmp_path),
            on_trouble=lambda _, line: messages.append(line),
            monotonic=lambda: now,
        )
        for number in range(5):
            assert await writer.keep(arrival(number)) == Kept(Outcome.NEW, 0)
        assert len(store.commits) == 1  # the others went straight to the spool
        store.is_broken = False
        now = 2.0
        assert (await writer.keep(arrival(5))).id > 0
        while writer.spooled:
            await asyncio.sleep(0.005)
        await writer.close(PATIENCE_SECONDS)

    run(body)
    assert Spool(tmp_path).files() == []
    assert len(messages) == 2
    assert sorted(each.jti or "" for each in store.arrivals[1:]) == ["0", "1", "2", "3", "4", "5"]


def test_an_event_that_the_store_always_refuses_does_not_block_the_rest(tmp_path: Path) -> None:
    class Picky(Counting):
        def add(self, arrivals: Any) -> list[Kept]:
            if any(each.body == b"poison" for each in arrivals):
                raise ZeroDivisionError
            return super().add(arrivals)

    spool = Spool(tmp_path)
    spool.put([arrival(body=b"poison")])
    store = Picky()
    store.go()

    async def body() -> None:
        writer = EventWriter(lambda: store, spool, retry_seconds=0)
        await asyncio.sleep(0.05)
        assert (await writer.keep(arrival(1))).id > 0
        await writer.close(PATIENCE_SECONDS)

    run(body)
    assert len(spool.files()) == 1
