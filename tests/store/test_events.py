"""The event store: both databases keep the same promises for all events."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.event_stores import Stores
from tests.support.event_writer import RECEIVED, ROOT, arrival, numbers
from tests.support.postgres import Postgres
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.errors import StoreError
from voicectl.store.events import TOKEN_SECONDS, Arrival, EventStore, Kept, Outcome, Query, Route, Stored
from voicectl.store.postgres_events import PostgresEvents
from voicectl.store.sqlite_events import SqliteEvents

NEW, REPEATED, REPLAYED = Outcome.NEW, Outcome.REPEATED, Outcome.REPLAYED


@pytest.fixture
def store(events: Stores) -> EventStore:
    return events()


def outcomes(kept: list[Kept]) -> list[Outcome]:
    return [each.outcome for each in kept]


def only(store: EventStore, query: Query | None = None) -> Stored:
    (stored,) = store.find(query or Query())
    return stored


# Stored events


def test_added_events_are_found_unchanged_also_by_other_processes(events: Stores, store: EventStore) -> None:
    added = [
        arrival(1),
        arrival(2, status="busy", timestamp="2026-02-03T09:15:00.120Z"),
        Arrival.read(
            received=RECEIVED,
            route=Route.ANSWER,
            method="GET",
            query=b"vc=vc-7&to=447700900456&uuid=9a8b7c6d-5e4f-4321-8fed-cba987654321&x=%ff\xff",
            body=b"",
            is_signed=False,
        ),
        Arrival.read(
            received=RECEIVED, route=Route.RTC, method="POST", query=b"", body=b"\xff\0{", is_signed=True
        ),
    ]
    kept = store.add(added)

    assert outcomes(kept) == [NEW] * 4
    assert [each.id for each in kept] == sorted({each.id for each in kept})
    for handle in (store, events()):
        found = list(handle.find(Query()))
        assert [each.arrival for each in found] == added
        assert [each.id for each in found] == [each.id for each in kept]
        assert {each.repeats for each in found} == {0}
    assert added[2].reference == "vc-7"
    assert added[3].fault == "it is not UTF-8"


def test_adding_nothing_stores_nothing(store: EventStore) -> None:
    assert store.add([]) == []
    assert list(store.find(Query())) == []


def test_a_repeated_event_is_counted_and_not_stored_twice(events: Stores, store: EventStore) -> None:
    ((_, first),) = store.add([arrival(1)])
    again = replace(arrival(1), received=RECEIVED + 60, jti="token of another try")

    assert store.add([again, again]) == [Kept(REPEATED, first)] * 2
    assert events().add([arrival(1)]) == [Kept(REPEATED, first)]
    assert only(store) == Stored(first, arrival(1), 3)


def test_the_same_event_twice_in_one_batch_is_stored_once(store: EventStore) -> None:
    kept = store.add([arrival(1), arrival(2), arrival(1), arrival(1)])

    assert outcomes(kept) == [NEW, NEW, REPEATED, REPEATED]
    assert kept[0].id == kept[2].id == kept[3].id
    assert [(each.id, each.repeats) for each in store.find(Query())] == [(kept[0].id, 2), (kept[1].id, 0)]


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_signed_copy_makes_an_unsigned_one_signed_and_not_the_other_way_round(
    store: EventStore, is_one_batch: bool
) -> None:
    unsigned, signed = replace(arrival(1), is_signed=False, jti=None), arrival(1)
    for batch in ([unsigned, signed, unsigned],) if is_one_batch else ([unsigned], [signed], [unsigned]):
        store.add(batch)

    assert only(store).arrival == signed


def test_a_different_route_method_or_query_is_another_event(store: EventStore) -> None:
    first = replace(arrival(1), jti=None)
    others = [
        replace(first, route=Route.FALLBACK),
        replace(first, method="GET"),
        replace(first, query=b"a=1"),
    ]
    assert outcomes(store.add([first, *others])) == [NEW] * 4


# Replays


def test_a_token_with_different_content_is_a_replay_and_none_of_it_is_stored(
    events: Stores, store: EventStore
) -> None:
    thief = replace(arrival(2), jti="token-1")
    store.add([arrival(1)])

    assert store.add([thief]) == [Kept(REPLAYED, 0)]
    assert events().add([thief, arrival(3)])[0] == Kept(REPLAYED, 0)  # after a restart too
    assert numbers(store) == [1, 3]
    assert outcomes(store.add([arrival(2)])) == [NEW]  # with its own token


@pytest.mark.parametrize("elsewhere", [{"query": b"vc=vc-another"}, {"route": Route.RTC}])
def test_a_token_at_another_route_is_a_replay(store: EventStore, elsewhere: dict) -> None:
    store.add([arrival(1)])

    assert outcomes(store.add([replace(arrival(1), **elsewhere)])) == [REPLAYED]


def test_a_replay_in_the_same_batch_is_detected(store: EventStore) -> None:
    kept = store.add([arrival(1), replace(arrival(2), jti="token-1"), arrival(3)])
    assert outcomes(kept) == [NEW, REPLAYED, NEW]


def test_an_exact_repeat_is_no_replay(store: EventStore) -> None:
    assert [outcomes(store.add([arrival(1)])) for _ in range(2)] == [[NEW], [REPEATED]]


def test_an_unsigned_token_counts_for_nothing(store: EventStore) -> None:
    """Otherwise any client of the port could make later tokens invalid."""
    store.add([replace(arrival(1), is_signed=False, jti="token-2")])
    assert outcomes(store.add([arrival(2)])) == [NEW]


def test_a_token_is_remembered_for_longer_than_it_is_fresh_and_then_forgotten(store: EventStore) -> None:
    def replayed_after(seconds: float) -> Outcome:
        thief = arrival(round(seconds) + 2)
        return store.add([replace(thief, received=RECEIVED + seconds, jti="token-0")])[0].outcome

    store.add([arrival(0)])
    assert replayed_after(600) is REPLAYED
    assert replayed_after(TOKEN_SECONDS - 1) is REPLAYED
    store.add([replace(arrival(1), received=RECEIVED + TOKEN_SECONDS + 120)])
    assert replayed_after(TOKEN_SECONDS + 121) is NEW


def test_tokens_are_forgotten_while_events_keep_coming(store: EventStore) -> None:
    for seconds in range(0, int(TOKEN_SECONDS) + 150, 30):
        store.add([replace(arrival(seconds), received=RECEIVED + seconds)])
    late = replace(arrival(1), received=RECEIVED + TOKEN_SECONDS + 150, jti="token-0")
    assert outcomes(store.add([late])) == [NEW]


def test_long_and_odd_tokens_are_distinguished(store: EventStore) -> None:
    jtis = ["x" * 300, "x" * 300 + "y", "\ud800", "\udfff", "\0", "\0\0"]
    batch = [
        Arrival.read(
            received=RECEIVED,
            route=Route.EVENT,
            method="POST",
            query=b"",
            body=b"%d" % number,
            is_signed=True,
            jti=jti,
        )
        for number, jti in enumerate(jtis)
    ]
    assert outcomes(store.add(batch)) == [NEW] * len(jtis)


# Finding


@pytest.fixture
def many(store: EventStore) -> EventStore:
    """Events 0 to 999, ten in each commit; the last two of each ten are about a recording."""
    for first in range(0, 1000, 10):
        batch = [arrival(number) for number in range(first, first + 8)]
        batch += [arrival(number, recording_url="https://x") for number in range(first + 8, first + 10)]
        store.add(batch)
    return store


FINDS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, list(range(1000))),
    ({"leg": "9a8b7c6d-5e4f-4321-8fed-000000000007"}, [7]),
    ({"leg": "9a8b7c6d-5e4f-4321-8fed-00000000ffff"}, []),
    ({"leg_begins": "9A8B7C6D-5e4f-4321-8fed-00000000030"}, list(range(0x300, 0x310))),
    ({"leg_begins": "9a8b7c6d-5e4f-4321-8fed-00000000030_"}, []),
    ({"leg_begins": "%"}, []),
    ({"conversation": "CON-1a2b3c4d-5e6f-4788-99aa-00000000000a"}, [10]),
    ({"status": "ringing", "last": 3}, [997, 998, 999]),
    ({"status": "busy"}, []),
    ({"kinds": ("record",), "last": 3}, [989, 998, 999]),
    ({"kinds": ("status", "record"), "since": RECEIVED + 0.9975}, [998, 999]),
    ({"kinds": ()}, []),
    ({"since": RECEIVED + 0.5, "before": RECEIVED + 0.503}, [500, 501, 502]),
    ({"since": RECEIVED + 0.5, "before": RECEIVED + 0.504, "last": 1}, [503]),
    ({"since": RECEIVED + 99}, []),
    ({"since": float("-inf"), "before": float("inf"), "last": 1}, [999]),
    ({"before": RECEIVED + 0.0025}, [0, 1, 2]),
    ({"last": 0}, []),
    ({"last": 2**70, "before": RECEIVED + 0.0015}, [0, 1]),
    ({"ids": ()}, []),
    ({"ids": (0, -1, 2**63, 2**70)}, []),
    ({"after": 2**70}, []),
    ({"status": "\0\ud800"}, []),
    ({"reference": ""}, []),
    ({"status": "x" * 300}, []),
]


def test_events_are_found_by_leg_conversation_and_status(many: EventStore) -> None:
    for query, expected in FINDS:
        found = [stored.arrival.fields["number"] for stored in many.find(Query(**query))]
        assert found == expected, query


def test_events_are_found_by_id_and_after_one(many: EventStore) -> None:
    ids = [stored.id for stored in many.find(Query())]
    assert [stored.id for stored in many.find(Query(ids=(ids[5], ids[2], 10**9)))] == [ids[2], ids[5]]
    assert [stored.id for stored in many.find(Query(after=ids[-4]))] == ids[-3:]


def test_a_transferred_leg_is_found_by_both_conversations_and_a_call_created_here_by_its_reference(
    store: EventStore,
) -> None:
    moved = arrival(1, conversation_uuid_from="CON-a", conversation_uuid_to="CON-b")
    referred = Arrival.read(
        received=RECEIVED, route=Route.EVENT, method="POST", query=b"x&vc=vc-7", body=b"{}", is_signed=False
    )
    store.add([moved, arrival(2), referred])

    for conversation in ("CON-a", "CON-b"):
        assert only(store, Query(conversation=conversation)).arrival == moved
    assert only(store, Query(reference="vc-7")).arrival == referred


def test_events_that_arrive_during_a_read_are_not_waited_for(events: Stores, many: EventStore) -> None:
    other = events()
    found = many.find(Query())
    first = next(found)
    other.add([arrival(5000)])
    assert [stored.arrival.fields["number"] for stored in (first, *found)] == list(range(1000))


def test_a_slow_reader_does_not_block_writes_or_deletes(events: Stores, many: EventStore) -> None:
    found = many.find(Query())
    next(found)
    other = events()
    other.add([arrival(5000)])
    assert other.purge(RECEIVED + 0.9) == 900
    assert [stored.arrival.fields["number"] for stored in found][-1] == 999


def test_a_wait_ends_when_another_process_adds_an_event(events: Stores, store: EventStore) -> None:
    waiter = events()
    waiter.wait(0)
    waiting = threading.Thread(target=lambda: waiter.wait(FOR_EVER))
    waiting.start()
    store.add([arrival(1)])
    waiting.join(PATIENCE_SECONDS)
    assert not waiting.is_alive()


def test_events_before_the_wait_end_it_at_once_and_without_events_it_times_out(
    events: Stores, store: EventStore
) -> None:
    waiter = events()
    waiter.wait(0)
    assert numbers(waiter) == []
    store.add([arrival(1)])
    ending(lambda: waiter.wait(FOR_EVER))
    assert numbers(waiter) == [1]
    waiter.wait(0.01)


def test_applications_that_share_a_database_do_not_see_each_other(postgres: Postgres, tmp_path: Path) -> None:
    with closing(Stores(postgres.url, tmp_path)) as one, closing(Stores(postgres.url, tmp_path)) as other:
        mine, theirs = one(), other()
        assert outcomes(mine.add([arrival(1)]) + theirs.add([arrival(1)])) == [NEW, NEW]
        assert outcomes(theirs.add([replace(arrival(2), jti="token-1")])) == [REPLAYED]
        theirs.purge(RECEIVED + 99)
        assert (numbers(mine), numbers(theirs)) == ([1], [])


def test_postgres_reads_few_events_to_find_few(postgres: Postgres, database: str) -> None:
    def rows_read(use: Callable[[EventStore], object]) -> int:
        """Return the number of rows that the server reads for *use*; a session reports it when it ends."""
        asked = "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables"
        ((before,),) = postgres.execute(asked, database="other")
        with closing(PostgresEvents(database, "x", add_seconds=PATIENCE_SECONDS)) as store:
            use(store)
        eventually(lambda: not postgres.execute("SELECT FROM pg_stat_activity WHERE datname = 'other'"))
        ((after,),) = postgres.execute(asked, database="other")
        return int(str(after)) - int(str(before))

    added = [arrival(number) for number in range(4000)]
    with closing(PostgresEvents(database, "x", add_seconds=PATIENCE_SECONDS)) as store:
        store.add(added)
    postgres.execute("ANALYZE", database="other")
    one = added[10]
    assert rows_read(lambda store: only(store, Query(leg=one.leg))) < 20
    assert rows_read(lambda store: only(store, Query(leg=one.leg, last=1))) < 20
    assert rows_read(lambda store: only(store, Query(leg_begins=str(one.leg)[:35], last=1))) < 60
    assert rows_read(lambda store: only(store, Query(conversation=one.conversation, last=1))) < 20
    assert rows_read(lambda store: store.add([arrival(number) for number in range(4000, 4100)])) < 20


# Events with any content

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=20),
    st.sampled_from(
        ["a\0b", "\ud800", "\udfff\ud800", "x" * 500, "é" * 300, "=1", "%s", "?", "2016-12-31T23:59:60Z"]
    ),
)
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.integers(),
        st.floats(),
        st.booleans(),
        st.none(),
        st.sampled_from([2**63, -(2**63) - 1, 10**400]),
    ),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=8,
)
NAMES = (
    "status",
    "uuid",
    "call_uuid",
    "conversation_uuid",
    "conversation_uuid_from",
    "timestamp",
    "dtmf",
    "reason",
)
FIELDS = st.dictionaries(st.sampled_from(NAMES) | TEXTS, VALUES, max_size=6)
BODIES = st.one_of(
    FIELDS.map(lambda fields: json.dumps(fields).encode()),
    FIELDS.map(lambda fields: json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=50),
    st.sampled_from(
        [b"", b"null", b"[" * 5000, b"[" * 99 + b"]" * 99, b'{"a":1,"a":2}', b'{"a":1e999}', b'{"a":NaN}']
    ),
)


def test_any_event_comes_back_byte_for_byte(store: EventStore) -> None:
    count = iter(range(10**9))

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(Route),
        st.sampled_from(["GET", "POST"]),
        st.binary(max_size=30),
        BODIES,
        st.none() | TEXTS,
        st.booleans(),
    )
    def check(route: Route, method: str, query: bytes, body: bytes, jti: str | None, is_signed: bool) -> None:
        added = Arrival.read(
            received=RECEIVED,
            route=route,
            method=method,
            query=b"n=%d&" % next(count) + query,
            body=body,
            is_signed=is_signed,
            jti=None if jti is None else f"{next(count)}{jti}",
        )
        ((outcome, number),) = store.add([added])
        assert outcome is NEW
        assert only(store, Query(ids=(number,))).arrival == added
        fields = {"leg": added.leg, "conversation": added.conversation, "status": added.status}
        asked = {name: value for name, value in fields.items() if value}
        assert number in [stored.id for stored in store.find(Query(**asked, last=1))]

    check()


def test_an_event_nested_too_deeply_to_be_shown_is_stored_unchanged() -> None:
    for depth, fault in ((100, None), (101, "it is not JSON: nested more than 100 levels deep")):
        body = b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
        read = Arrival.read(
            received=RECEIVED, route=Route.EVENT, method="POST", query=b"", body=body, is_signed=True
        )
        assert read.fault == fault


# Deletion


def digits(directory: Path) -> int:
    """Return the number of files that contain the number of a person."""
    return sum(b"447700900999" in path.read_bytes() for path in directory.rglob("*") if path.is_file())


def arrivals(numbers: range) -> Iterator[Arrival]:
    """Yield small events, and large ones, which a database stores differently."""
    for number in numbers:
        noise = "".join(map(chr, range(40, 90))) * (100 if number % 10 == 0 else 1)
        yield arrival(number, to="447700900999", noise=noise)


def test_a_purge_leaves_no_byte_of_the_deleted_events(tmp_path: Path) -> None:
    stores = Stores(None, tmp_path)
    with closing(stores):
        receiver, purger = stores(), stores()
        receiver.add(list(arrivals(range(2000))))
        receiver.add([arrival(5000)])
        assert digits(tmp_path) > 0, "nothing to look for"
        size = sum(path.stat().st_size for path in tmp_path.iterdir())

        assert purger.purge(RECEIVED + 3) == 2000
        assert digits(tmp_path) == 0
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < size / 5  # only tokens are left
        assert numbers(receiver) == [5000]
        assert receiver.add([arrival(5001)])[0].id == 2002  # no id is given twice


def test_a_purge_of_half_the_events_leaves_the_other_half_alone(store: EventStore) -> None:
    store.add([arrival(number) for number in range(100)])
    assert store.purge(RECEIVED + 0.05) == 50
    assert store.purge(RECEIVED + 0.05) == 0
    assert numbers(store) == list(range(50, 100))
    assert outcomes(store.add([arrival(3), arrival(60)])) == [NEW, REPEATED]


def test_a_purge_of_new_events_keeps_their_tokens(store: EventStore) -> None:
    """The tokens are still fresh."""
    store.add([arrival(1)])
    store.purge(RECEIVED + 99)
    assert outcomes(store.add([replace(arrival(2), jti="token-1")])) == [REPLAYED]


def test_a_purge_leaves_no_byte_in_the_tables_of_postgres(postgres: Postgres, tmp_path: Path) -> None:
    tables = postgres.data / "base"
    with closing(Stores(postgres.url, tmp_path)) as stores:
        receiver, purger = stores(), stores()
        receiver.add(list(arrivals(range(0, 200))))
        receiver.add([arrival(5000)])
        postgres.execute("CHECKPOINT")
        assert digits(tables) > 0, "nothing to look for"

        assert purger.purge(RECEIVED + 3) == 200
        assert purger.warnings == []
        postgres.execute("CHECKPOINT")
        assert digits(tables) == 0
        assert numbers(receiver) == [5000]


def test_a_purge_leaves_nothing_in_the_statistics_of_postgres(postgres: Postgres, tmp_path: Path) -> None:
    """Statistics contain values of a table, and remain when it is empty."""
    added = [
        replace(
            arrival(number), reference=f"vc-{number}", conversation_from=f"CON-{number}", query=b"%d" % number
        )
        for number in range(100)
    ]
    with closing(Stores(postgres.url, tmp_path)) as stores:
        store = stores()
        store.add(added)
        postgres.execute("ANALYZE")
        store.purge(RECEIVED + 99)
    held = postgres.execute(
        "SELECT attname, most_common_vals::text, histogram_bounds::text FROM pg_stats"
        " WHERE schemaname = 'voicectl_events'"
    )
    text = str(held)
    assert "ringing" in text, "nothing to look for"
    assert re.findall(r"9a8b7c6d|CON-|vc-|token-|\\x", text) == []


def test_a_purge_leaves_nothing_between_the_kept_events(tmp_path: Path) -> None:
    """SQLite overwrites deleted data, but not all data that it moves between pages."""
    chance = random.Random(18)
    old, added = [], []
    for number in range(1000):
        leg = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        is_old = chance.random() < 0.5
        added.append(
            replace(
                arrival(number, uuid=leg, noise="x" * chance.randrange(600)),
                received=RECEIVED if is_old else RECEIVED + 99,
            )
        )
        if is_old:
            old.append(leg)
    with closing(SqliteEvents(tmp_path / "events.db")) as store:
        for first in range(0, len(added), 50):
            store.add(added[first : first + 50])
        assert store.purge(RECEIVED + 50) == len(old)
        left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [leg for leg in old if leg.encode() in left] == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_purge_writes_nothing_elsewhere(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from tests.support.event_writer import RECEIVED, arrival
from voicectl.store.sqlite_events import SqliteEvents
store = SqliteEvents(pathlib.Path(sys.argv[1]) / "events.db")
store.add([arrival(number, noise="x" * 60_000) for number in range(80)])
store.purge(RECEIVED)
store.close()
"""
    trace, home = tmp_path / "trace", tmp_path / "it's ours"
    home.mkdir()
    words = ["strace", "-f", "-o", str(trace), "-e", "trace=open,openat,creat"]
    subprocess.run(
        [*words, sys.executable, "-B", "-c", code, str(home)], cwd=ROOT, check=True, capture_output=True
    )

    made = {Path(path) for path in re.findall(r'"(.*?)", [A-Z_|]*O_CREAT', trace.read_text())}
    assert any(not path.name.startswith("events.db") for path in made), "it needed no copy"
    assert {path.parent for path in made} == {home}
    assert {path.name for path in home.iterdir()} == {"events.db"}


def test_a_purge_that_a_reader_blocks_says_so(tmp_path: Path) -> None:
    """An open read transaction keeps the write-ahead log unchanged."""
    path = tmp_path / "events.db"
    with (
        closing(SqliteEvents(path, purge_lock_seconds=0.05)) as store,
        closing(sqlite3.connect(path)) as reader,
    ):
        store.add([arrival(1)])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(StoreError, match="still in the write-ahead log"):
            store.purge(RECEIVED + 99)
        reader.execute("COMMIT")
        assert store.purge(RECEIVED + 99) == 0
        assert digits(tmp_path) == 0
