"""Acknowledged events survive crashes, locks, full disks and dead servers; and failures are reported soon."""

from __future__ import annotations

import math
import os
import random
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.event_stores import Stores
from tests.support.event_writer import ROOT, acknowledged, arrival, numbers, read_numbers, writing
from tests.support.postgres import Postgres
from tests.support.small_disk import small_disk
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.errors import InputError, StoreError
from voicectl.store.event_stores import open_events
from voicectl.store.events import Outcome, Query
from voicectl.store.postgres_events import PostgresEvents
from voicectl.store.sqlite_events import SqliteEvents

SEED = 20_260_203
WRITERS = 5
MILLION = 1_000_000


# Killed writers


def acknowledged_by_the_killed(
    events: Stores, chance: random.Random, *, first: int, naive: bool = False
) -> set[int]:
    """Return the events that several concurrent writers acknowledged before they were killed."""
    words = ["--naive"] if naive else []
    seen: set[int] = set()
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                writing(events.url, events.directory, events.application_id, (first + each) * MILLION, *words)
            )
            for each in range(WRITERS)
        ]
        for child in children:
            assert child.stdout is not None
            for _ in range(chance.randrange(1, 20)):
                seen.update(read_numbers(child.stdout.readline()))
            time.sleep(chance.random() / 100)
            child.kill()
            seen.update(acknowledged(child))
    return seen


@contextmanager
def tail(events: Stores) -> Iterator[list[int]]:
    """Return the numbers of all events as seen by a reader that repeatedly asks for larger ids only."""
    found: list[int] = []
    is_over = threading.Event()

    def follow() -> None:
        with closing(open_events(events.url, events.directory, events.application_id)) as store:
            last = 0
            while True:
                is_last_look = is_over.is_set()
                for stored in store.find(Query(after=last)):
                    last = stored.id
                    found.append(stored.arrival.fields["number"])
                if is_last_look:
                    return
                store.wait(0.01)

    following = threading.Thread(target=follow)
    following.start()
    try:
        yield found
    finally:
        is_over.set()
        following.join()


def test_acknowledged_events_survive_a_kill_and_a_tail_misses_none(events: Stores) -> None:
    """The writers create the store themselves, concurrently."""
    chance = random.Random(SEED)
    with tail(events) as followed:
        seen = {
            number
            for round in range(2)
            for number in acknowledged_by_the_killed(events, chance, first=round * WRITERS)
        }

    kept = numbers(events())
    assert len(seen) > WRITERS
    assert seen <= set(kept), f"seed {SEED}"
    assert len(kept) == len(set(kept))
    assert followed == kept


def test_a_writer_that_acknowledges_first_is_caught(events: Stores) -> None:
    """The control: the test above would expose a naive receiver."""
    chance, store = random.Random(SEED), events()
    assert any(  # mostly at once
        acknowledged_by_the_killed(events, chance, first=round * WRITERS, naive=True) - set(numbers(store))
        for round in range(10)
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_log_reaches_the_disk_before_the_acknowledgement(tmp_path: Path) -> None:
    """A kill alone proves nothing about a power cut."""
    trace = tmp_path / "trace"
    prefix = ("strace", "-f", "-y", "-o", str(trace), "-e", "trace=write,pwrite64,fdatasync,fsync")
    with writing(None, tmp_path, "x", 0, "20", prefix=prefix) as child:
        assert len(acknowledged(child)) >= 20

    is_on_disk, written, reported = True, 0, 0
    for line in trace.read_text().splitlines():
        if "events.db-wal>" in line:
            is_on_disk = "sync(" in line
            written += not is_on_disk
        elif re.search(r'write\(1<.*"\d', line):
            reported += 1
            assert is_on_disk, line
    assert reported == 20
    assert written > 20


def test_a_full_disk_is_reported_and_loses_no_acknowledged_event(tmp_path: Path) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    SqliteEvents(tmp_path / "events.db").close()
    with writing(None, tmp_path, "x", 0, preexec_fn=fill) as child:
        assert child.stderr is not None
        complaint = child.stderr.readline()
        child.kill()
        seen = acknowledged(child)

    assert "cannot be used" in complaint
    with closing(SqliteEvents(tmp_path / "events.db")) as store:
        assert seen
        assert set(seen) <= set(numbers(store))
        store.add([arrival(MILLION)])


@pytest.mark.parametrize("left", [0, 20_000, 60_000])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_is_reported_as_such_wherever_sqlite_notices_it(
    tmp_path: Path, left: int, is_new: bool
) -> None:
    """Where its log or its index of the log has no room, SQLite says "disk I/O error"."""
    if not is_new:
        SqliteEvents(tmp_path / "events.db").close()
    saved = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with small_disk(tmp_path, left=left) as filling:
        filling.write_bytes(bytes(max(filling.stat().st_size - sum(map(len, saved.values())), 0)))
        for name, content in saved.items():
            (tmp_path / name).write_bytes(content)

        def fill() -> None:
            with closing(SqliteEvents(tmp_path / "events.db")) as store:
                store.add([arrival(number) for number in range(500)])

        with pytest.raises(StoreError, match="no space left on the disk") as failed:
            fill()
        assert "Free disk space" in (failed.value.hint or "")
        assert sorted(path.name for path in tmp_path.glob(".*")) == []
        filling.unlink()
        fill()


def test_a_database_that_may_not_grow_is_reported_alike(tmp_path: Path) -> None:
    with closing(SqliteEvents(tmp_path / "events.db")) as store:
        store._db.execute("PRAGMA max_page_count = 30")
        with pytest.raises(StoreError, match="no space left on the disk"):
            store.add([arrival(number) for number in range(500)])


# Errors of SQLite


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    with closing(SqliteEvents(tmp_path / "events.db")) as store:
        store.add([arrival(1)])
        files = sorted(path.name for path in tmp_path.iterdir())
        assert files == ["events.db", "events.db-shm", "events.db-wal"]
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_lock_is_reported_soon_and_does_not_affect_readers(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with closing(SqliteEvents(path)) as store, closing(sqlite3.connect(path)) as other:
        store.add([arrival(1)])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as failed:
            ending(lambda: store.add([arrival(2)]))
        assert "try again" in (failed.value.hint or "")
        with closing(SqliteEvents(path)) as reader:
            assert numbers(reader) == [1]
        other.execute("ROLLBACK")
        assert store.add([arrival(2)])[0].outcome is Outcome.NEW


def test_a_store_that_was_removed_is_created_again(tmp_path: Path) -> None:
    """Otherwise its bytes would go to a file that no process finds."""
    path = tmp_path / "events.db"
    with closing(SqliteEvents(path)) as store, closing(SqliteEvents(path)) as reader:
        store.add([arrival(1)])
        path.unlink()
        store.add([arrival(2)])
        assert numbers(store) == numbers(reader) == [2]
    with closing(SqliteEvents(path)) as store:
        assert numbers(store) == [2]


def a_directory(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere.db"))


def no_database(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 1000)


def a_newer_version(path: Path) -> None:
    SqliteEvents(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def another_schema(path: Path) -> None:
    SqliteEvents(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE events")


def overwritten_pages(path: Path) -> None:
    with closing(SqliteEvents(path)) as store:
        store.add([arrival(number) for number in range(100)])
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def a_schema_that_is_not_text(path: Path) -> None:
    """SQLite quotes it in its message, which is then not UTF-8."""
    SqliteEvents(path).close()
    path.write_bytes(path.read_bytes().replace(b"INTEGER", b"\xffNTEGER", 1))


@pytest.mark.parametrize(
    "spoil",
    [
        a_directory,
        a_link,
        no_database,
        a_newer_version,
        another_schema,
        overwritten_pages,
        a_schema_that_is_not_text,
    ],
)
def test_a_damaged_store_is_reported_with_what_to_do(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "events.db"
    spoil(path)
    with pytest.raises(StoreError) as failed, closing(SqliteEvents(path)) as store:
        store.add([arrival(1)])
    assert str(path) in failed.value.message
    assert failed.value.hint
    if spoil is a_newer_version:
        assert "newer version of voicectl" in failed.value.message


def test_a_damaged_event_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with closing(SqliteEvents(path)) as store, closing(sqlite3.connect(path)) as db:
        store.add([arrival(1)])
        with db:
            db.execute("UPDATE events SET route = 'unheard-of'")
        with pytest.raises(StoreError, match="Event 1 in the event store is damaged"):
            numbers(store)


def test_a_missing_store_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SqliteEvents(tmp_path / "gone" / "events.db")


# Killed servers of PostgreSQL


def test_acknowledged_events_survive_a_kill_of_the_server(postgres: Postgres, tmp_path: Path) -> None:
    with closing(Stores(postgres.url, tmp_path)) as events:
        with writing(postgres.url, tmp_path, events.application_id, 0) as child:
            assert child.stdout is not None
            seen = []
            for end in (postgres.kill, postgres.stop):
                for _ in range(20):
                    seen += read_numbers(child.stdout.readline())
                end()
                postgres.start()
            child.kill()
            assert child.stderr is not None
            complaints = child.stderr.read().splitlines()
            seen += acknowledged(child)
        kept = numbers(events())
    assert set(seen) <= set(kept)
    assert len(kept) == len(set(kept))
    assert complaints
    assert [line for line in complaints if not line.startswith("The PostgreSQL event store")] == []


def test_a_server_whose_disk_is_full_is_reported_without_its_file_names(database: str) -> None:
    with closing(PostgresEvents(database, "x")) as store, psycopg.connect(database) as other:
        other.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE"
            " 'could not extend file \"base/16384/16389\": No space left on device' USING ERRCODE = '53100'; END $$"
        )
        other.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON voicectl_events.events FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        other.commit()
        with pytest.raises(StoreError, match="no space left on the server's disk") as failed:
            store.add([arrival(1)])
    assert "base/" not in failed.value.message
    assert "Free disk space on the server" in (failed.value.hint or "")


def test_a_server_that_is_gone_is_reported_at_once_and_used_again_once_it_is_back(
    postgres: Postgres, tmp_path: Path
) -> None:
    with closing(Stores(postgres.url, tmp_path)) as events:
        store, reader = events(), events()
        store.add([arrival(1)])
        reader.wait(0)
        postgres.kill()
        for use in (lambda: store.add([arrival(2)]), lambda: numbers(reader), lambda: reader.wait(FOR_EVER)):
            with pytest.raises(StoreError) as failed:
                ending(use)
            assert "\n" not in failed.value.message
        postgres.start()
        assert store.add([arrival(2)])[0].outcome is Outcome.NEW
        assert numbers(reader) == [1, 2]


def test_a_wait_ends_when_its_server_dies(postgres: Postgres, tmp_path: Path) -> None:
    with closing(Stores(postgres.url, tmp_path)) as events:
        waiter = events()
        waiter.wait(0)
        failed = []

        def wait() -> None:
            with pytest.raises(StoreError):
                waiter.wait(FOR_EVER)
            failed.append(True)

        waiting = threading.Thread(target=wait)
        waiting.start()
        postgres.kill()
        waiting.join(PATIENCE_SECONDS)
        assert failed


def test_a_server_that_stops_answering_is_given_up_in_time(postgres: Postgres, tmp_path: Path) -> None:
    """As if its machine had stopped while its connections stayed open."""
    with closing(PostgresEvents(postgres.url, str(tmp_path), add_seconds=2)) as store:
        store.add([arrival(1)])
        postgres.freeze()
        try:
            with pytest.raises(StoreError, match="does not respond"):
                ending(lambda: store.add([arrival(2)]))
        finally:
            postgres.thaw()
        assert store.add([arrival(2)])[0].outcome in (Outcome.NEW, Outcome.REPEATED)
        assert numbers(store) == [1, 2]


def test_a_locked_application_is_reported_in_time(postgres: Postgres, tmp_path: Path) -> None:
    with closing(Stores(postgres.url, tmp_path)) as events:
        events().close()
        store = PostgresEvents(postgres.url, events.application_id, add_seconds=0.3)
        with closing(store), psycopg.connect(postgres.url) as other:
            other.execute("LOCK TABLE voicectl_events.events")
            with pytest.raises(StoreError, match="does not respond"):
                store.add([arrival(1)])


class Cutter:
    """A proxy that cuts a connection once the server's reply to a commit is on its way back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port = self._sock.getsockname()[1]
        self.is_cutting = False

    def __enter__(self) -> Cutter:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=target, args=args))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._sock.accept()
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            is_commit = threading.Event()
            back = threading.Thread(target=self._back, args=(server, client, is_commit))
            back.start()
            with suppress(OSError):
                while part := client.recv(65_536):
                    if self.is_cutting and b"COMMIT\0" in part:
                        is_commit.set()
                    server.sendall(part)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _back(self, server: socket.socket, client: socket.socket, is_commit: threading.Event) -> None:
        with suppress(OSError):
            while part := server.recv(65_536):
                if is_commit.is_set():
                    self.is_cutting = False
                    break
                client.sendall(part)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


def test_a_lost_reply_to_a_commit_is_reported_and_adding_again_is_harmless(
    postgres: Postgres, tmp_path: Path
) -> None:
    with Cutter(postgres.port) as cutter, closing(Stores(postgres.url, tmp_path)) as events:
        url = f"postgresql://postgres@127.0.0.1:{cutter.port}/postgres"
        with closing(PostgresEvents(url, events.application_id)) as store:
            store.add([arrival(1)])
            cutter.is_cutting = True
            with pytest.raises(StoreError):
                store.add([arrival(2)])
            assert numbers(events()) == [1, 2]
            assert store.add([arrival(2)])[0].outcome is Outcome.REPEATED


# Errors of PostgreSQL


def test_many_first_users_of_a_database_create_the_tables_once(database: str) -> None:
    start, failed = threading.Barrier(8), list[StoreError]()

    def use() -> None:
        start.wait()
        try:
            PostgresEvents(database, "x").close()
        except StoreError as exc:
            failed.append(exc)

    users = [threading.Thread(target=use) for _ in range(start.parties)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert failed == []


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_database_that_isolates_transactions_accepts_events_from_several_writers(
    postgres: Postgres, database: str, isolation: str
) -> None:
    PostgresEvents(database, "x").close()
    postgres.execute(f"ALTER DATABASE other SET default_transaction_isolation = '{isolation}'")
    outcomes: list[Outcome | StoreError] = []

    def add() -> None:
        with closing(PostgresEvents(database, "x")) as store:
            try:
                outcomes.append(store.add([arrival(1)])[0].outcome)
            except StoreError as exc:
                outcomes.append(exc)

    adders = [threading.Thread(target=add) for _ in range(2)]
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE voicectl_events.events IN EXCLUSIVE MODE")
        for adder in adders:
            adder.start()
        # until one waits for the table, and the other one for the first
        eventually(lambda: postgres.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(2,)])
    for adder in adders:
        adder.join()
    assert sorted(map(str, outcomes)) == ["new", "repeated"]


def test_a_purge_by_a_user_who_does_not_own_the_table_says_what_is_left(
    postgres: Postgres, database: str
) -> None:
    with closing(PostgresEvents(database, "x")) as owner:
        owner.add([arrival(1)])
        postgres.execute("CREATE ROLE operator LOGIN")
        try:
            postgres.execute("GRANT USAGE ON SCHEMA voicectl_events TO operator", database="other")
            postgres.execute(
                "GRANT ALL ON ALL TABLES IN SCHEMA voicectl_events TO operator", database="other"
            )
            with closing(PostgresEvents(database.replace("postgres@", "operator@"), "x")) as operator:
                with pytest.raises(StoreError, match="deleted, but their data") as failed:
                    operator.purge(math.inf)
                assert "owner" in (failed.value.hint or "")
                assert numbers(operator) == []
        finally:
            postgres.execute("DROP OWNED BY operator", database="other")
            postgres.execute("DROP ROLE operator")
        assert owner.purge(math.inf) == 0


def test_a_newer_schema_is_refused(postgres: Postgres, database: str) -> None:
    PostgresEvents(database, "x").close()
    postgres.execute("UPDATE voicectl_events.schema_version SET version = 99", database="other")
    with pytest.raises(StoreError, match="newer version of voicectl"):
        PostgresEvents(database, "x")


def test_an_unknown_schema_is_reported(postgres: Postgres, database: str) -> None:
    PostgresEvents(database, "x").close()
    postgres.execute("DROP TABLE voicectl_events.tokens", database="other")
    with closing(PostgresEvents(database, "x")) as store, pytest.raises(StoreError, match="tokens"):
        store.add([arrival(1)])


def test_a_database_without_unicode_is_refused_and_one_without_an_encoding_is_accepted(
    postgres: Postgres,
) -> None:
    for encoding in ("LATIN1", "SQL_ASCII"):
        postgres.execute(f"CREATE DATABASE odd ENCODING {encoding} TEMPLATE template0")
        try:
            with ExitStack() as stack:
                if encoding == "LATIN1":
                    stack.enter_context(pytest.raises(StoreError, match="LATIN1"))
                with closing(PostgresEvents(postgres.url_of("odd"), "x")) as store:
                    added = arrival(1, status="山田")
                    store.add([added])
                    assert [stored.arrival for stored in store.find(Query(status="山田"))] == [added]
        finally:
            postgres.execute("DROP DATABASE odd WITH (FORCE)")


def test_a_server_that_acknowledges_too_early_is_reported_and_made_to_wait(
    postgres: Postgres, tmp_path: Path
) -> None:
    with closing(PostgresEvents(f"{postgres.url}?options=-csynchronous_commit%3Doff", "x")) as store:
        (warning,) = store.warnings
        assert "synchronous_commit" in warning
    with closing(PostgresEvents(postgres.url, "x")) as store:
        assert store.warnings == []


SECRET = "correct-horse"
SENT = [
    f"postgresql://me:{SECRET}@127.0.0.1:1/x",
    f"postgresql://me@127.0.0.1:1/x?password={SECRET}",
    f"postgresql://me:{SECRET}@127.0.0.1:port/x",
]
URLS = [
    *SENT,
    f"postgresql://me:{SECRET}@[::1/x",
    f"postgresql://me:{SECRET}@127.0.0.1:1/x?nonsense=1",
    f"postgresql://me:{SECRET}@{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:12/{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:?{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:#{SECRET}@127.0.0.1:1/x",
    f"postgres:me:{SECRET}@127.0.0.1:1/x",
    f"mysql://me:{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:%zz{SECRET}@127.0.0.1:1/x",
    SECRET,
]


@pytest.mark.parametrize("url", URLS)
def test_a_password_is_never_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises((InputError, StoreError)) as failed:
        open_events(url, tmp_path, "x")
    is_sent = url in SENT
    assert isinstance(failed.value, StoreError if is_sent else InputError)
    assert failed.value.hint
    why: BaseException | None = failed.value
    while why is not None:
        assert SECRET not in f"{why} {getattr(why, 'hint', '')}"
        why = why.__cause__ or (None if why.__suppress_context__ else why.__context__)


def python(code: str, *words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return ran.stdout.strip()


def test_without_psycopg_it_says_what_to_install_and_sqlite_works(tmp_path: Path) -> None:
    code = """
import pathlib, sys
sys.modules["psycopg"] = None
from voicectl.errors import StoreError
from voicectl.store.event_stores import open_events
open_events(None, pathlib.Path(sys.argv[1]), "x").close()
try:
    open_events("postgres://127.0.0.1/x", pathlib.Path(sys.argv[1]), "x")
except StoreError as exc:
    print(exc.hint)
"""
    assert "pip install 'voicectl[postgres]'" in python(code, str(tmp_path))


def test_sqlite_loads_neither_postgres_nor_http_modules(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from voicectl.store.event_stores import open_events
assert "sqlite3" not in sys.modules
open_events(None, pathlib.Path(sys.argv[1]), "x").close()
print(sorted({"psycopg", "httpx", "asyncio", "ssl", "http.client"} & set(sys.modules)))
"""
    assert python(code, str(tmp_path)) == "[]"
