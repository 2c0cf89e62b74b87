"""Nobody is called twice, wherever a batch is killed and however many processes run it; a control does call twice."""

from __future__ import annotations

import random
import signal
import time
from contextlib import closing

from tests.conftest import StartRoom
from tests.support.batch_runs import processes
from tests.support.batches import called, crowd, open_batch, outcomes, state
from tests.support.room import Room
from tests.support.small_disk import small_disk
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock
from voicectl.store.batches.records import AttemptState
from voicectl.store.journal import Journal

SEED = 20_260_202
KILLS = 50
PEOPLE = 300
RATE = 200


def unjournalled(room: Room) -> set[str]:
    """The calls of the sandbox that no intent in the journal has claimed."""
    assert room.sandbox is not None
    uuids = list(room.sandbox.exchange.legs)
    with closing(Journal(state(room), SystemClock())) as journal:
        return set(uuids) - journal.claimed(uuids)


def test_after_many_kills_nobody_was_called_twice_and_nobody_is_forgotten(start_room: StartRoom) -> None:
    room, command = crowd(start_room, PEOPLE, rate=RATE)
    chance = random.Random(SEED)

    with processes(room) as run:
        for _ in range(KILLS):
            run(f"kill {chance.randrange(30, 200)} {command}")
        (status,) = run(f"run {command}")

    rung = called(room)
    assert max(rung.values()) == 1
    found = outcomes(room, "a")
    doubtful = {to for to, outcome in found.items() if outcome == "in-doubt"}
    assert status == (10 if doubtful else 0)
    assert set(found) - set(rung) <= doubtful
    assert {to for to, outcome in found.items() if outcome == "answered"} == set(found) - doubtful
    assert len(doubtful) <= KILLS
    assert len(unjournalled(room)) <= len(doubtful)


def test_the_control_calls_people_twice(start_room: StartRoom) -> None:
    room, command = crowd(start_room, PEOPLE, rate=RATE)
    chance = random.Random(SEED)

    with processes(room, "--naive") as run:
        kills = 0
        while kills < KILLS and max(called(room).values(), default=0) < 2:
            run(f"kill {chance.randrange(30, 200)} {command}")
            kills += 1

    assert max(called(room).values()) == 2, f"not seen in {kills} kills"


def test_of_eight_rivals_one_runs_the_batch(start_room: StartRoom) -> None:
    room, command = crowd(start_room, 40, rate=RATE, lost=0.0)
    with processes(room) as run:
        statuses = run(f"race 8 {command}")
        run(f"run {command}")

    assert 9 in statuses or 1 in statuses
    assert set(called(room).values()) == {1}
    with closing(open_batch(room, "a")) as store:
        assert store.totals().waiting == 0


def test_a_full_disk_stops_the_batch_and_nobody_is_called_twice(start_room: StartRoom) -> None:
    room, command = crowd(start_room, 200, rate=RATE, lost=0.0)
    directory = state(room)
    directory.mkdir(parents=True)

    with small_disk(directory, left=400 * 1024) as filling:
        ran = room.process(command)
        before = called(room)
        filling.unlink()
        again = room.process("batch resume a")

    assert ran.exit_code == 1, ran.stderr
    assert "no space left on the disk" in ran.stderr
    assert 0 < len(before) < 200
    assert again.exit_code in (0, 1), again.stderr
    assert len(called(room)) > len(before)
    assert max(called(room).values()) == 1


def test_a_signal_ends_the_run_at_once_and_nothing_is_lost(start_room: StartRoom) -> None:
    room, command = crowd(start_room, 100, rate=RATE, lost=0.0)

    with room.spawn(command) as child:
        eventually(lambda: len(called(room)) > 5)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=PATIENCE_SECONDS)
    after = len(called(room))

    assert child.returncode == 128 + signal.SIGTERM
    assert b"voicectl batch resume a" in said
    with closing(open_batch(room, "a")) as store:
        assert store.info().holder is None
        assert [each for each in store.open_attempts() if each.state is AttemptState.INTENT] == []
    assert room("batch resume a").exit_code == 0
    assert 5 < after < 100
    assert called(room) == dict.fromkeys(called(room), 1)
    assert len(called(room)) == 100


def test_after_a_stop_no_call_begins_later_than_a_second(start_room: StartRoom) -> None:
    room, command = crowd(start_room, 400, rate=RATE, lost=0.0)

    with room.spawn(command.replace(f"--rate {RATE}", "--rate 20")) as child:
        eventually(lambda: len(called(room)) > 5)
        assert room("batch stop a").exit_code == 0
        stopped = time.time()
        child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 10
    with closing(open_batch(room, "a")) as store:
        asked = [each.asked_at for person in store.people() for each in person.attempts]
        assert max(asked) < stopped + 1
        assert store.totals().waiting == 400 - len(asked)
