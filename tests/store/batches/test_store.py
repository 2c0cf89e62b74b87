"""The guarantees of a store of batches, in SQLite and in PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from procrastinate.schema import SchemaManager

from tests.support.batches import fill
from tests.support.clock import FakeClock
from tests.support.postgres_batches import execute, fetch, prepared
from voicectl.core.batch import places
from voicectl.errors import GuardError, InputError, LeaseLost, LegError, StoreError
from voicectl.store.batches import postgres_schema
from voicectl.store.batches.directory import SqliteBatches
from voicectl.store.batches.jobs import Jobs
from voicectl.store.batches.postgres_directory import PostgresBatches
from voicectl.store.batches.process import is_gone, this_process
from voicectl.store.batches.records import (
    Attempt,
    AttemptState,
    BatchHead,
    BatchStore,
    Begun,
    Changes,
    Holder,
    Limits,
    Person,
    PersonChange,
    Stop,
    WaitingPerson,
)

A, B, C = "447700900001", "447700900002", "447700900003"
NOW = 1_770_000_000.0
APPLICATION = "5a4db0c5-25fe-4868-82c0-d72efc48bd34"
Open = Callable[[], BatchStore]
OpenOn = Callable[..., BatchStore]


Batches = SqliteBatches | PostgresBatches


def keep(batches: Batches, *numbers: str, name: str = "a") -> None:
    with batches.new(name) as new:
        fill(new, *numbers)
        new.keep(
            BatchHead(
                name=name,
                application_id=APPLICATION,
                base_url="https://api.nexmo.com",
                created_at=NOW,
                settings={"retry_on": []},
                columns=("to",),
                digest="d",
            )
        )


@pytest.fixture(params=["sqlite", "postgres"])
def batches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Batches]:
    """The batches of one application, in each kind of store."""
    if request.param == "sqlite":
        yield SqliteBatches(tmp_path)
        return
    url = prepared(request.getfixturevalue("database"))
    with closing(PostgresBatches(url, tmp_path, APPLICATION)) as found:
        yield found


@pytest.fixture
def batch(batches: Batches) -> Iterator[Open]:
    """Open a batch of three people, as often as processes would."""
    keep(batches, A, B, C)
    with ExitStack() as stack:

        def open_() -> BatchStore:
            return stack.enter_context(closing(batches.open("a")))

        yield open_


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Open]:
    """Open a batch of three people in a file, which one process runs."""
    keep(SqliteBatches(tmp_path), A, B, C)
    with ExitStack() as stack:

        def open_() -> BatchStore:
            return stack.enter_context(closing(SqliteBatches(tmp_path).open("a")))

        yield open_


def attempt(person: WaitingPerson, **fields: object) -> Attempt:
    made = Attempt(
        person=person.id,
        number=person.attempts + 1,
        reference=f"vc-{person.id}-{person.attempts + 1}",
        token=f"t{person.id}-{person.attempts + 1}",
        to=person.to,
        asked_at=NOW,
        state=AttemptState.INTENT,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def dead_process() -> Holder:
    """A holder on this host whose process has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat")
    started = stat.read_text().rpartition(")")[2].split()[19] if stat.exists() else "then"
    child.communicate()
    return replace(this_process(NOW), pid=child.pid, started=started, token="other")


def test_people_wait_in_the_order_of_the_list_and_repeated_attempts_come_first(batch: Open) -> None:
    store = batch()
    store.take_lease(this_process(NOW))
    first = store.due(NOW, 1)[0]
    assert store.begin(first, attempt(first)) is Begun.YES
    store.record(Changes(at=NOW, people=[PersonChange(person=first.id, due_at=NOW + 60)]))

    assert [each.to for each in store.due(NOW, 9)] == [B, C]
    assert [each.to for each in store.due(NOW + 60, 9)] == [A, B, C]
    assert store.due(NOW + 60, 1)[0].attempts == 1


def test_an_attempt_is_begun_only_once(batch: Open) -> None:
    store = batch()
    store.take_lease(this_process(NOW))
    person = store.due(NOW, 1)[0]

    assert store.begin(person, attempt(person)) is Begun.YES
    assert store.begin(person, attempt(person, reference="vc-x", token="x")) is Begun.NO
    assert [each.reference for each in store.open_attempts()] == ["vc-1-1"]


def test_no_attempt_is_begun_once_another_process_asks_to_stop(batch: Open) -> None:
    store, other = batch(), batch()
    store.take_lease(this_process(NOW))
    person = store.due(NOW, 1)[0]
    other.set_stop(Stop.HANG_UP)

    assert store.begin(person, attempt(person)) is Begun.NO
    assert store.renew_lease(NOW) is Stop.HANG_UP
    assert store.open_attempts() == []


def test_a_lease_is_refused_while_its_process_runs_and_given_when_it_is_released(own: Open) -> None:
    store, other = own(), own()
    store.take_lease(this_process(NOW))

    with pytest.raises(GuardError, match=f"process {os.getpid()}"):
        other.take_lease(this_process(NOW))
    store.release_lease()

    assert other.take_lease(this_process(NOW)) is None


def test_a_lease_whose_process_has_ended_is_taken_over_and_its_holder_can_write_no_more(own: Open) -> None:
    store, other = own(), own()
    dead = dead_process()
    store.take_lease(dead)
    person = store.due(NOW, 1)[0]

    assert other.take_lease(this_process(NOW)) == dead
    with pytest.raises(LeaseLost):
        store.begin(person, attempt(person))
    with pytest.raises(LeaseLost):
        store.record(Changes(at=NOW, people=[PersonChange(person=1, outcome="busy")]))
    with pytest.raises(LeaseLost):
        store.renew_lease(NOW)
    assert other.open_attempts() == []


def test_a_process_id_that_is_used_again_is_another_process() -> None:
    me = this_process(NOW)

    assert not is_gone(me, NOW + 1e6)
    assert is_gone(replace(me, started="1"), NOW)
    assert is_gone(replace(me, boot="another boot"), NOW)


def test_the_process_of_another_host_counts_as_gone_after_a_minute_of_silence() -> None:
    far = replace(this_process(NOW), host="elsewhere")

    assert not is_gone(far, NOW + 60)
    assert is_gone(far, NOW + 61)


def test_an_attempt_that_was_not_made_leaves_the_person_waiting(batch: Open) -> None:
    store = batch()
    store.take_lease(this_process(NOW))
    person = store.due(NOW, 1)[0]
    made = attempt(person)
    store.begin(person, made)
    store.record(Changes(at=NOW, unmade=[made]))

    assert store.due(NOW, 1) == [person]
    assert store.begin(person, attempt(person, reference="vc-again", token="again")) is Begun.YES


def test_totals_count_everybody_once(batch: Open) -> None:
    store = batch()
    store.take_lease(this_process(NOW))
    first, second, _ = store.due(NOW, 3)
    for each in (first, second):
        store.begin(each, attempt(each))
    over = attempt(first, state=AttemptState.OVER, outcome="answered", price="0.0123")
    store.record(Changes(at=NOW, attempts=[over], people=[PersonChange(person=first.id, outcome="answered")]))

    totals = store.totals()
    assert (totals.people, totals.waiting, totals.open, totals.attempts) == (3, 1, 1, 2)
    assert (totals.outcomes, totals.spent, totals.succeeded) == ({"answered": 1}, Decimal("0.0123"), 1)


def test_a_report_has_each_person_with_all_attempts(batch: Open) -> None:
    store = batch()
    store.take_lease(this_process(NOW))
    person = store.due(NOW, 1)[0]
    store.begin(person, attempt(person))
    store.record(Changes(at=NOW, people=[PersonChange(person=person.id, due_at=NOW)]))
    again = store.due(NOW, 1)[0]
    store.begin(again, attempt(again))

    found = list(store.people())
    assert [(each.line, each.to, len(each.attempts)) for each in found] == [(2, A, 2), (3, B, 0), (4, C, 0)]


class TestLists:
    def test_of_several_rows_with_one_number_the_first_is_kept(self, batches: Batches) -> None:
        with batches.new("a") as new:
            fill(new, A, B, A, A)

            assert new.count() == 2
            assert new.duplicates(9) == [(4, A), (5, A)]

    def test_a_second_number_belongs_to_one_person_only(self, batches: Batches) -> None:
        with batches.new("a") as new:
            new.add(Person(line=2, to=A, second=B, fields={}))
            new.add(Person(line=3, to=B, second=C, fields={}))
            new.add(Person(line=4, to="447700900004", second=C, fields={}))

            assert new.settle() == 2
            assert [second for _, _, second, _ in new.first(9)] == [None, C, None]

    def test_of_two_batches_with_one_name_the_first_is_kept(self, batches: Batches) -> None:
        with batches.new("a") as new:
            fill(new, B)
            keep(batches, A)
            with pytest.raises(StoreError, match="just created"):
                new.keep(
                    BatchHead(
                        name="a",
                        application_id=APPLICATION,
                        base_url="",
                        created_at=NOW,
                        settings={},
                        columns=(),
                        digest="",
                    )
                )

        with closing(batches.open("a")) as store:
            assert [each.to for each in store.people()] == [A]

    def test_people_of_a_changed_list_are_compared_by_number(self, batches: Batches) -> None:
        keep(batches, A, B)
        with closing(batches.open("a")) as store, batches.new("a") as new:
            new.add(Person(line=2, to=C, second=None, fields={"to": C}))
            new.add(Person(line=3, to=B, second=None, fields={"to": f"+{B}"}))
            new.settle()
            path = new.finish()
            found = store.difference(path)
            store.take_lease(this_process(NOW))
            added = store.add_people(path, "other")

            assert (found.added, found.removed, found.changed) == (1, 1, 1)
            assert added == 1
            assert [each.to for each in store.people()] == [A, B, C]
            assert store.info().digest == "other"

    @pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b", "x" * 101, "a\n", "ä"])
    def test_a_name_that_is_no_file_name_is_refused(self, batches: Batches, name: str) -> None:
        with pytest.raises(InputError), batches.new(name):
            pass

    def test_a_batch_that_does_not_exist_is_not_found(self, batches: Batches) -> None:
        with pytest.raises(LegError):
            batches.open("a")


class TestFiles:
    def test_a_batch_that_is_not_kept_leaves_nothing(self, tmp_path: Path) -> None:
        with SqliteBatches(tmp_path).new("a") as new:
            fill(new, A)

        assert list((tmp_path / "batches").iterdir()) == []
        assert not SqliteBatches(tmp_path).exists("a")

    def test_the_files_of_a_killed_load_are_deleted_by_the_next_one(self, tmp_path: Path) -> None:
        load = (
            "import os, sys; from pathlib import Path; from voicectl.store.batches.directory import SqliteBatches;"
            "load = SqliteBatches(Path(sys.argv[1])).new('b.new'); load.__enter__(); print(flush=True);"
            "sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", load, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            keep(SqliteBatches(tmp_path), A)
            during = len(list((tmp_path / "batches").glob(".*")))
            other.kill()

        keep(SqliteBatches(tmp_path), A, name="c")

        assert during == 1
        assert list((tmp_path / "batches").glob(".*")) == []

    def test_a_batch_of_a_newer_version_is_refused(self, tmp_path: Path) -> None:
        keep(SqliteBatches(tmp_path), A)
        with closing(sqlite3.connect(tmp_path / "batches" / "a.db")) as db:
            db.execute("PRAGMA user_version = 99")

        with pytest.raises(StoreError, match="newer version"):
            SqliteBatches(tmp_path).open("a")

    @pytest.mark.parametrize("at", [0, 1, 2, 3])
    def test_a_damaged_batch_is_not_run(self, tmp_path: Path, at: int) -> None:
        keep(SqliteBatches(tmp_path), A, B, C)
        path = tmp_path / "batches" / "a.db"
        content = bytearray(path.read_bytes())
        content[at * 4096 : at * 4096 + 2048] = os.urandom(2048)
        path.write_bytes(content)

        with pytest.raises(StoreError), closing(SqliteBatches(tmp_path).open("a")) as store:
            store.take_lease(this_process(NOW))


class TestSharing:
    """The guarantees of several processes that run one batch together."""

    LIMITS = Limits(dials=1, rate=2.0, concurrent=None, max_cost=None, call_bound=None)

    @pytest.fixture
    def shared(self, database: str, tmp_path: Path) -> Iterator[OpenOn]:
        """Open a batch of three people in PostgreSQL, with the lease of a process, of this host or another one."""
        batches = PostgresBatches(prepared(database), tmp_path, APPLICATION)
        keep(batches, A, B, C)
        with ExitStack() as stack:
            stack.callback(batches.close)

            def open_(host: str = "") -> BatchStore:
                store = stack.enter_context(closing(batches.open("a")))
                me = this_process(NOW)
                store.take_lease(replace(me, host=host or me.host))
                return store

            yield open_

    def test_the_first_person_is_called_alone(self, shared: OpenOn) -> None:
        store, other = shared(), shared("elsewhere")
        first, second, _ = store.due(NOW, 3)

        assert store.begin(first, attempt(first), None, self.LIMITS) is Begun.YES
        assert other.begin(second, attempt(second), None, self.LIMITS) is Begun.LATER
        over = attempt(first, state=AttemptState.OVER, outcome="busy")
        store.record(Changes(at=NOW, attempts=[over], people=[PersonChange(person=first.id, outcome="busy")]))

        assert other.begin(second, attempt(second), None, self.LIMITS) is Begun.YES

    def test_turns_are_spaced_by_the_servers_clock(self, shared: OpenOn) -> None:
        store, other = shared(), shared("elsewhere")
        people = store.due(NOW, 3)
        settle(store, people[0])
        for process, person in zip((store, other), people[1:], strict=True):
            assert process.begin(person, attempt(person), None, self.LIMITS) is Begun.YES

        first, second = (each.asked_at for each in store.open_attempts())
        assert second - first >= 0.5

    def test_the_time_of_an_attempt_stays_that_of_its_turn(self, shared: OpenOn) -> None:
        store = shared()
        person = store.due(NOW, 1)[0]
        store.begin(person, attempt(person), None, self.LIMITS)
        (begun,) = store.open_attempts()

        store.record(Changes(at=NOW, attempts=[attempt(person, state=AttemptState.LIVE, uuid="u")]))

        (live,) = store.open_attempts()
        assert (live.state, live.asked_at) == (AttemptState.LIVE, begun.asked_at)
        assert begun.asked_at > NOW + 1000  # the server's time

    def test_a_turn_that_is_too_far_ahead_is_not_waited_for(self, shared: OpenOn) -> None:
        store = shared()
        people = store.due(NOW, 3)
        settle(store, people[0])
        slow = replace(self.LIMITS, rate=0.1)

        assert store.begin(people[1], attempt(people[1]), None, slow) is Begun.YES
        assert store.begin(people[2], attempt(people[2]), None, slow) is Begun.LATER

    @pytest.mark.parametrize(
        "limit",
        [
            {"concurrent": 1},
            {"max_cost": Decimal("0.15"), "call_bound": Decimal("0.10")},
        ],
        ids=["concurrent", "cost"],
    )
    def test_processes_keep_to_a_limit_together(self, shared: OpenOn, limit: dict[str, object]) -> None:
        store, other = shared(), shared("elsewhere")
        people = store.due(NOW, 3)
        settle(store, people[0])
        limits = replace(self.LIMITS, rate=1000.0, **limit)  # type: ignore[arg-type]

        assert store.begin(people[1], attempt(people[1]), None, limits) is Begun.YES
        assert other.begin(people[2], attempt(people[2]), None, limits) is Begun.LATER

    def test_the_attempts_of_a_process_that_has_ended_are_inherited_once(self, shared: OpenOn) -> None:
        store, other, third = shared(), shared("b"), shared("c")
        person = store.due(NOW, 1)[0]
        store.begin(person, attempt(person))

        assert other.inherit() == []
        store.take_lease(dead_process())
        again = store.due(NOW, 1)[0]
        store.begin(again, attempt(again))

        inherited = other.inherit() + third.inherit()
        assert [each.to for each in inherited] == [B]  # the call to A belongs to a process that is running
        with pytest.raises(LeaseLost):
            store.record(Changes(at=NOW, people=[PersonChange(person=person.id, outcome="busy")]))

    def test_a_process_elsewhere_is_given_up_after_thirty_seconds_of_silence(
        self, shared: OpenOn, database: str
    ) -> None:
        store, far = shared(), shared("elsewhere")
        person = far.due(NOW, 1)[0]
        far.begin(person, attempt(person))

        execute(database, "UPDATE workers SET seen_at = seen_at - 20 WHERE host = 'elsewhere'")
        assert store.inherit() == []
        execute(database, "UPDATE workers SET seen_at = seen_at - 20 WHERE host = 'elsewhere'")
        assert [each.to for each in store.inherit()] == [A]

    def test_a_pause_stops_the_other_processes(self, shared: OpenOn) -> None:
        store, other = shared(), shared("elsewhere")
        person = store.due(NOW, 1)[0]
        store.set_pause("calls fail")

        assert other.renew_lease(NOW) is Stop.STOP
        assert other.begin(person, attempt(person)) is Begun.NO


class TestJobs:
    """The jobs that hand people out to the processes of a batch."""

    @pytest.fixture
    def jobs(self) -> Jobs:
        return Jobs()

    @pytest.fixture
    def fed(self, database: str, tmp_path: Path, jobs: Jobs) -> Iterator[BatchStore]:
        """A batch of three people in PostgreSQL, whose process takes people from *jobs*."""
        with closing(PostgresBatches(prepared(database), tmp_path, APPLICATION)) as batches:
            keep(batches, A, B, C)
            with closing(batches.open("a", jobs)) as store:
                store.take_lease(this_process(NOW))
                yield store

    def test_each_person_is_queued_once(self, fed: BatchStore, database: str) -> None:
        for _ in range(3):
            fed.renew_lease(NOW)

        assert queued(database) == [1, 2, 3]

    def test_a_job_ends_with_what_is_recorded_of_its_person(self, fed: BatchStore, jobs: Jobs) -> None:
        ended: list[int] = []
        for person in (1, 2):
            jobs.receive(person, lambda person=person: ended.append(person))
        first, _ = fed.due(NOW, 9)

        fed.begin(first, attempt(first))
        assert ended == []
        fed.record(Changes(at=NOW, people=[PersonChange(person=first.id, outcome="busy")]))
        assert ended == [1]
        fed.release_lease()
        assert ended == [1, 2]

    def test_a_second_job_for_a_person_who_was_called_ends_at_once(self, fed: BatchStore, jobs: Jobs) -> None:
        jobs.receive(1, lambda: None)
        (person,) = fed.due(NOW, 9)
        fed.begin(person, attempt(person))
        fed.record(Changes(at=NOW, people=[PersonChange(person=1, outcome="busy")]))
        ended: list[int] = []

        jobs.receive(1, lambda: ended.append(1))

        assert fed.due(NOW, 9) == []
        assert ended == [1]

    def test_people_whose_jobs_were_lost_are_queued_again(self, fed: BatchStore, database: str) -> None:
        fed.renew_lease(NOW)
        execute(database, "DELETE FROM procrastinate_jobs WHERE (args ->> 'person')::bigint < 3")
        execute(database, "UPDATE procrastinate_jobs SET status = 'doing'")

        fed.renew_lease(NOW)

        assert queued(database) == [1, 2, 3]

    def test_the_people_of_a_process_that_has_ended_are_queued_again_once(
        self, fed: BatchStore, database: str
    ) -> None:
        fed.renew_lease(NOW)
        execute(database, "INSERT INTO procrastinate_workers DEFAULT VALUES")
        engine = "(SELECT max(id) FROM procrastinate_workers)"
        execute(database, f"UPDATE procrastinate_jobs SET status = 'doing', worker_id = {engine}")
        gone = "SELECT 'gone', batch, host, boot, pid, 'before', seen_at FROM workers"
        execute(database, f"INSERT INTO workers SELECT *, {engine} FROM ({gone}) AS gone")

        for _ in range(2):
            fed.inherit()
            fed.renew_lease(NOW)

        assert queued(database) == [1, 2, 3]

    def test_a_process_that_receives_no_more_jobs_begins_again(self, fed: BatchStore, jobs: Jobs) -> None:
        jobs.end()

        with pytest.raises(StoreError) as lost:
            fed.renew_lease(NOW)
        assert lost.value.is_temporary


def queued(url: str) -> list[int]:
    """Return the people who have a job, a number for each job."""
    return [
        person
        for (person,) in fetch(url, "SELECT (args ->> 'person')::bigint FROM procrastinate_jobs ORDER BY 1")
    ]


def settle(store: BatchStore, person: WaitingPerson) -> None:
    """Let a person have been called."""
    store.begin(person, attempt(person))
    over = attempt(person, state=AttemptState.OVER, outcome="busy")
    store.record(Changes(at=NOW, attempts=[over], people=[PersonChange(person=person.id, outcome="busy")]))


def test_tables_of_an_older_version_are_refused_until_they_are_upgraded(
    database: str, tmp_path: Path
) -> None:
    execute(database, f"CREATE SCHEMA {postgres_schema.SCHEMA}")
    execute(database, postgres_schema.TABLES)
    for path in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql")):
        if path.name < "03.04":
            execute(database, path.read_bytes())
    execute(database, "INSERT INTO schema_version VALUES (1, '03.03.00')")

    with closing(PostgresBatches(database, tmp_path, APPLICATION)) as batches:
        with pytest.raises(StoreError, match="older version"):
            batches.names()
        assert places.prepare(database, is_new=False)
        assert not places.prepare(database, is_new=False)
        assert batches.names() == []


@pytest.mark.parametrize("off", [-3600.0, 0.0, 3600.0])
def test_machines_whose_clocks_differ_agree_on_the_servers_time(
    database: str, tmp_path: Path, off: float
) -> None:
    clock = FakeClock(time.time() + off)

    place = places.shared(prepared(database), tmp_path, APPLICATION, clock)

    assert place.clock.time() == pytest.approx(place.batches.now(), abs=60)
    clock.sleep(100)
    assert place.clock.time() == pytest.approx(place.batches.now() + 100, abs=60)
    place.close()
