"""Batches in PostgreSQL, which several processes run together: whole commands against the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.conftest import StartRoom
from tests.support.batch_runs import processes
from tests.support.batches import called, crowd, serving, statuses, write_list
from tests.support.ports import free_block
from tests.support.postgres import Postgres
from tests.support.postgres_batches import execute, prepared
from tests.support.room import PERSON, Room
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl import times
from voicectl.clock import SystemClock
from voicectl.store.batches.postgres_journal import PostgresJournal

PEOPLE = 200
KILLS = 10
RATE = 60


@pytest.fixture
def store(database: str) -> Iterator[str]:
    """The URL of a database with tables for batches."""
    return prepared(database)


def unjournalled(room: Room, store: str) -> set[str]:
    """The calls of the sandbox that no intent in the journal has claimed."""
    assert room.sandbox is not None
    uuids = list(room.sandbox.exchange.legs)
    with closing(PostgresJournal(store, room.sandbox.identity.application_id)) as journal:
        return set(uuids) - journal.claimed(uuids)


def outcomes(room: Room, store: str) -> dict[str, str]:
    found = room(f"batch report a --store {store} -o json --fields to,outcome").json
    return {each["to"]: each["outcome"] for each in found}


def test_when_workers_are_killed_nobody_is_called_twice_and_nobody_is_forgotten(
    start_room: StartRoom, store: str
) -> None:
    room, command = crowd(start_room, PEOPLE, rate=RATE)

    with processes(room) as run:
        run(f"kill 500 {command} --store {store}")
        statuses = run(f"crew 3 {KILLS} 500 batch work a --store {store}")

    rung = called(room)
    assert max(rung.values()) == 1
    found = outcomes(room, store)
    doubtful = {to for to, outcome in found.items() if outcome == "in-doubt"}
    assert set(statuses) == {10 if doubtful else 0}
    assert set(found) - set(rung) <= doubtful
    assert {to for to, outcome in found.items() if outcome == "answered"} == set(found) - doubtful
    assert len(doubtful) <= KILLS
    assert len(unjournalled(room, store)) <= len(doubtful)


def test_the_control_calls_people_twice(start_room: StartRoom, store: str) -> None:
    room, command = crowd(start_room, 100, rate=RATE, lost=0.2)
    execute(store, "DROP INDEX intents_once")  # it would refuse the second intent for an attempt

    with processes(room, "--naive") as run:
        run(f"kill 500 {command} --store {store}")
        run(f"crew 3 {KILLS} 300 batch work a --store {store}")

    assert max(called(room).values()) > 1


def test_the_database_refuses_a_second_intent_for_an_attempt(start_room: StartRoom, store: str) -> None:
    room, command = crowd(start_room, 100, rate=RATE, lost=0.2)

    with processes(room, "--naive") as run:
        run(f"kill 500 {command} --store {store}")
        run(f"crew 3 {KILLS} 300 batch work a --store {store}")

    assert max(called(room).values()) == 1


def test_of_eight_rivals_each_calls_other_people(start_room: StartRoom, store: str) -> None:
    room, command = crowd(start_room, 40, rate=RATE, lost=0.0)

    with processes(room) as run:
        first = run(f"race 8 {command} --store {store}")
        again = run(f"race 8 {command} --store {store}")

    assert set(called(room).values()) == {1}
    assert len(called(room)) == 40
    assert set(first) <= {0, 1}  # 1: another process had just created the batch
    assert 0 in first
    assert set(again) == {0}


def test_a_stop_reaches_all_workers_within_a_second(start_room: StartRoom, store: str) -> None:
    room, command = crowd(start_room, 400, rate=RATE, lost=0.0)
    words = command.replace(f"--rate {RATE}", "--rate 20")

    with room.spawn(f"{words} --store {store}") as first:
        eventually(lambda: len(called(room)) > 3)
        with room.spawn(f"batch work a --store {store}") as second:
            eventually(lambda: len(called(room)) > 30)
            assert room(f"batch stop a --store {store}").exit_code == 0
            stopped = time.time()
            for child in (first, second):
                child.communicate(timeout=PATIENCE_SECONDS)
                assert child.returncode == 10

    found = room(f"batch report a --store {store} -o json --fields calls").json
    asked = [call["called_at"] for each in found for call in each["calls"]]
    assert max(asked) <= times.utc(stopped + 1)
    assert room(f"batch status a --store {store} -o json").json["state"] == "stopped"
    late = room(f"batch work a --store {store}")
    assert late.exit_code == 9
    assert "batch resume a --store" in late.stderr


def test_a_worker_waits_for_a_database_that_is_away(
    start_room: StartRoom, store: str, postgres: Postgres
) -> None:
    room, command = crowd(start_room, 60, rate=RATE, lost=0.0)
    with processes(room) as run:
        run(f"kill 1000 {command} --store {store}")
    before = len(called(room))

    with room.spawn(f"batch work a --store {store}") as child:
        eventually(lambda: len(called(room)) > before)
        postgres.kill()
        assert child.stderr is not None
        next(line for line in child.stderr if b"Trying again" in line)
        postgres.start()
        child.communicate(timeout=2 * PATIENCE_SECONDS)

    assert child.returncode == 0
    assert set(called(room).values()) == {1}
    assert len(called(room)) == 60


def test_a_key_that_is_pressed_while_the_database_is_away_is_remembered(
    start_room: StartRoom, store: str, postgres: Postgres
) -> None:
    room = start_room(clock=SystemClock(), speed=5)
    person, port = "447700900190", free_block(1)  # presses 9
    keys = f"--confirm-key 1 --opt-out-key 9 --store {store} --yes"

    with serving(room, f"--port {port} --set-urls http://127.0.0.1:{port} --store {store}"):
        with room.spawn(f"batch run {write_list(room, person)} --id a --talk 'Press one' {keys}") as child:
            eventually(lambda: statuses(room) == {"answered"})
            postgres.kill()
            child.communicate(timeout=PATIENCE_SECONDS)
            assert child.returncode == 1
        eventually(lambda: statuses(room) == {"completed"})
        postgres.start()
        assert room.process(f"batch resume a --store {store}").exit_code == 0

    assert outcomes(room, store) == {person: "opted-out"}
    again = room.process(f"batch run {write_list(room, person)} --id b --talk Hi --store {store} --yes")
    assert again.rows == [["opted-out", "1"]], again.stderr
    assert called(room) == {person: 1}


def test_a_call_in_doubt_is_settled_in_the_database(start_room: StartRoom, store: str) -> None:
    room, command = crowd(start_room, 1, rate=RATE, lost=1.0)
    assert room.sandbox is not None
    room.sandbox.faults.clear()
    room.sandbox.faults.add({"what": "lost-request", "on": "createCall", "times": 1})

    assert room.process(f"{command} --store {store}").exit_code == 10
    (record,) = room(f"call reconcile --store {store} -o json").json
    settled = f"call reconcile {record['reference']} --assume not-created --reason 'no call' --store {store}"
    assert room(settled).exit_code == 0
    assert room.process(f"batch resume a --store {store}").exit_code == 0

    assert outcomes(room, store) == {"447900000000": "answered"}
    assert room("call reconcile").stdout == ""


def test_a_database_without_tables_is_refused_and_init_creates_them(
    start_room: StartRoom, database: str
) -> None:
    room = start_room()

    assert "batch store init" in room(f"batch list --store {database}").stderr
    assert room(f"batch store upgrade --store {database}").exit_code == 1
    assert room(f"batch store init --store {database}").rows == [["done"]]
    assert room(f"batch store init --store {database}").rows == [["already"]]
    assert room(f"batch store upgrade --store {database}").rows == [["already"]]
    assert room(f"batch list --store {database}").exit_code == 0


@pytest.mark.parametrize("change", ["version = 99", "jobs = '99.0.0'"])
def test_tables_of_a_newer_version_are_refused(start_room: StartRoom, store: str, change: str) -> None:
    room = start_room()
    execute(store, f"UPDATE schema_version SET {change}")

    for command in ("list", "store upgrade", f"run {write_list(room, PERSON)} --id a --talk Hi --yes"):
        ran = room(f"batch {command} --store {store}")
        assert ran.exit_code == 1
        assert "newer version" in ran.stderr


def test_a_password_on_the_command_line_is_refused(start_room: StartRoom) -> None:
    room = start_room()

    ran = room("batch list --store postgresql://me:secret@127.0.0.1/calls")

    assert ran.exit_code == 2
    assert "secret" not in ran.stderr


def test_a_rehearsal_uses_only_databases_of_this_machine(start_room: StartRoom) -> None:
    room = start_room()

    ran = room("batch list --store postgresql://db.example.org/calls", env={"VOICECTL_SANDBOX": room.url})

    assert ran.exit_code == 9
