"""Several processes at once, and processes that are killed: real ones, on the machine's own clock."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.conftest import StartRoom
from tests.support.fault_proxy import Fault, FaultProxy, Side, What
from tests.support.room import PERSON, Room
from tests.support.servers import Request
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock

SEED = 20_260_204
DEATHS = 16


@pytest.fixture
def room(start_room: StartRoom) -> Room:
    return start_room(clock=SystemClock())


@pytest.fixture
def line(room: Room) -> Iterator[FaultProxy]:
    with FaultProxy(room.url) as proxy:
        room.environ["VOICECTL_BASE_URL"] = proxy.url
        yield proxy


def intents(room: Room) -> dict[str, str]:
    """The state of each intent, by the number to be called."""
    found: dict[str, str] = {}
    for path in room.home.rglob("journal.db"):
        with closing(sqlite3.connect(path)) as db:
            found |= dict(db.execute('SELECT "to", state FROM calls').fetchall())
    return found


def called(room: Room) -> list[str]:
    assert room.sandbox is not None
    return [leg.to["number"] for leg in room.sandbox.exchange.legs.values()]


def test_four_processes_creating_thirty_calls_meet_no_rate_limit(start_room: StartRoom) -> None:
    """The only test that needs real time: ten seconds, for thirty calls at three a second."""
    room = start_room(clock=SystemClock(), limits=True)
    shares = [range(0, 8), range(8, 16), range(16, 23), range(23, 30)]

    def create(share: range) -> list[str]:
        to = [word for number in share for word in ("--to", f"4477009{number:05}")]
        ran = room.process(["call", "create", *to, "--talk", "Hello", "-q"])
        assert (ran.exit_code, ran.stderr) == (0, "")
        return ran.stdout.split()

    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        ids = [uuid for found in pool.map(create, shares) for uuid in found]
    took = time.monotonic() - started

    assert room.sandbox is not None
    assert len(ids) == 30
    assert set(ids) == set(room.sandbox.exchange.legs)
    assert [entry["status"] for entry in room.requests("createCall")] == [201] * 30
    assert took > 29 / 3 - 0.5, "they did not share a rate limiter"


def test_a_process_killed_between_intent_and_reply_leaves_a_call_in_doubt_that_nothing_dials_again(
    room: Room, line: FaultProxy
) -> None:
    line.fault = Fault(What.STALL, Side.REPLY)
    with room.spawn(f"call create --to {PERSON} --talk Hello --request-timeout 60 -q") as child:
        eventually(lambda: called(room))
        (reference,) = references(room)
        assert room("call reconcile -q").stdout == "", "it is being created"
        ran = room(f"call reconcile {reference} -o json")
        assert ran.exit_code == 12
        assert "still creating the call" in ran.error["message"]
        child.kill()
    line.fault = None

    ran = room("call reconcile -o json")
    assert [(row["reference"], row["state"]) for row in ran.json] == [(reference, "intent")]
    for command in ("call list", "call list --all", "call reconcile", "doctor"):
        room(command)
    ran = room(f"call reconcile {reference} -o json")
    assert ran.exit_code == 0
    assert ran.json["certainty"] == "matched"
    assert called(room) == [PERSON]
    assert len(line.posts) == 1


def test_a_process_killed_before_its_request_arrived_leaves_a_call_that_cannot_be_identified(
    room: Room, line: FaultProxy
) -> None:
    line.fault = Fault(What.STALL, Side.REQUEST)
    with room.spawn(f"call create --to {PERSON} --talk Hello --request-timeout 60 -q") as child:
        eventually(lambda: line.posts)
        child.kill()
    line.fault = None
    (reference,) = references(room)

    assert room(f"call reconcile {reference}").exit_code == 12
    assert intents(room) == {PERSON: "in-doubt"}
    assert room(f"call reconcile {reference} --assume not-created --reason 'it was killed'").exit_code == 0
    assert called(room) == []
    assert len(line.posts) == 1


def test_wherever_a_process_is_killed_every_existing_call_has_its_intent(
    room: Room, line: FaultProxy
) -> None:
    chance = random.Random(SEED)
    delays = [chance.choice([0.0, chance.uniform(0, 0.03), chance.uniform(0, 0.5)]) for _ in range(DEATHS)]
    children: dict[str, subprocess.Popen[bytes]] = {}
    timers: list[threading.Timer] = []
    lock = threading.Lock()

    def on_request(request: Request) -> None:
        number = request.json["to"][0]["number"] if request.method == "POST" else ""
        if number.endswith("000"):
            with lock:  # until it is known which process that is
                kill = children[number].kill
            timers.append(threading.Timer(delays[int(number[5:9])], kill))
            timers[-1].start()

    def run(index: int) -> None:
        numbers = [f"44770{index:04}{call:03}" for call in range(3)]
        to = [word for number in numbers for word in ("--to", number)]
        with lock:
            child = room.spawn(
                ["call", "create", *to, "--talk", "Hello", "-q"],
                env={"VOICECTL_STATE_DIR": str(room.home / f"state-{index}")},
            )
            children[numbers[0]] = child
        with child:
            child.communicate(timeout=PATIENCE_SECONDS)

    line.on_request = on_request
    line.fault = Fault(What.DELAY, Side.REPLY, 0, seconds=0.02)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(DEATHS)))
    for timer in timers:
        timer.join()

    on_disk, exist = intents(room), called(room)
    assert len(exist) >= DEATHS // 2, "most had got that far"
    assert len(exist) == len(set(exist)), f"seed {SEED}: somebody was called twice"
    assert set(exist) <= set(on_disk), f"seed {SEED}: a call without an intent"
    assert len(timers) == DEATHS


def references(room: Room) -> list[str]:
    (path,) = room.state.rglob("journal.db")
    with closing(sqlite3.connect(path)) as db:
        return [reference for (reference,) in db.execute("SELECT reference FROM calls")]
