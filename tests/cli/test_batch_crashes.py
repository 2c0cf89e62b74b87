"""Nobody is called twice, wherever a batch is killed and however many processes run it; a control does call twice."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing

from tests.conftest import StartRoom
from tests.support.batch_runs import processes
from tests.support.batches import open_batch, outcomes, state, write_list
from tests.support.room import Room
from voicectl.clock import SystemClock
from voicectl.store.journal import Journal

SEED = 20_260_202
KILLS = 50
PEOPLE = 400
RATE = "--rate 200 --no-machine-detection --max 9999 --yes"


def crowd(start_room: StartRoom, people: int = PEOPLE, *, lost: float = 0.02) -> tuple[Room, str]:
    """Return a room whose sandbox loses some replies, and the command that calls *people* people there."""
    room = start_room(clock=SystemClock(), speed=100)
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "lost-reply", "on": "createCall", "probability": lost})
    path = write_list(room, *(f"4479{number:08}" for number in range(people)))
    return room, f"batch run {path} --id a --talk Hi {RATE}"


def called(room: Room) -> Counter[str]:
    """How often each person's phone rang."""
    assert room.sandbox is not None
    return Counter(leg.to["number"] for leg in room.sandbox.exchange.legs.values())


def unjournalled(room: Room) -> set[str]:
    """The calls of the sandbox that no intent in the journal has claimed."""
    assert room.sandbox is not None
    uuids = list(room.sandbox.exchange.legs)
    with closing(Journal(state(room), SystemClock())) as journal:
        return set(uuids) - journal.claimed(uuids)


def test_after_many_kills_nobody_was_called_twice_and_nobody_is_forgotten(start_room: StartRoom) -> None:
    room, command = crowd(start_room)
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
    room, command = crowd(start_room)
    chance = random.Random(SEED)

    with processes(room, "--naive") as run:
        kills = 0
        while kills < KILLS and max(called(room).values(), default=0) < 2:
            run(f"kill {chance.randrange(30, 200)} {command}")
            kills += 1

    assert max(called(room).values()) == 2, f"not seen in {kills} kills"


def test_of_eight_rivals_one_runs_the_batch(start_room: StartRoom) -> None:
    room, command = crowd(start_room, people=40, lost=0.0)
    with processes(room) as run:
        statuses = run(f"race 8 {command}")
        run(f"run {command}")

    assert 9 in statuses or 1 in statuses
    assert set(called(room).values()) == {1}
    with closing(open_batch(room, "a")) as store:
        assert store.totals().waiting == 0
