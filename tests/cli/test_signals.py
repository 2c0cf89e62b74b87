"""Signals to real processes on the machine's clock: no new work starts, and work done is reported."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from tests.conftest import StartRoom
from tests.support.fault_proxy import Fault, FaultProxy, Side, What, cut
from tests.support.machines import Application, machine
from tests.support.room import BY_HAND, PERSON, Room
from tests.support.servers import Listener, Request, read_request
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock

SEED = 20_260_203
POINTS = 32
CALLS = 4
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Silent(Listener):
    """Reads a request and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.asked = threading.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if request is not None:
            self.requests.append(request)
            self.asked.set()
            await reader.read()


@dataclass
class Stuck:
    """A create whose reply does not come, and that was sent one signal."""

    room: Room
    server: Silent
    child: subprocess.Popen[bytes]
    signalled: float


@pytest.fixture(scope="module", autouse=True)
def stuck(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Stuck]:
    """A process started before the other tests, since it takes five seconds; the last test checks its end."""
    with Silent() as server:
        room = machine(tmp_path_factory.mktemp("stuck"), application, server.url)
        line = f"call create --to {PERSON} --to 447700900002 --talk Hello -o json --request-timeout 30"
        with room.spawn(line) as child:
            assert server.asked.wait(PATIENCE_SECONDS)
            child.terminate()
            yield Stuck(room, server, child, time.monotonic())
            child.kill()


@pytest.fixture
def room(start_room: StartRoom) -> Room:
    return start_room(clock=SystemClock())


@pytest.fixture
def line(room: Room) -> Iterator[FaultProxy]:
    with FaultProxy(room.url) as proxy:
        room.environ["VOICECTL_BASE_URL"] = proxy.url
        yield proxy


def rows(room: Room) -> list[tuple[str, str]]:
    """Return the number and the state of each intent in the journal."""
    (path,) = room.state.rglob("journal.db")
    with sqlite3.connect(path) as db:
        found = db.execute('SELECT "to", state FROM calls ORDER BY rowid').fetchall()
    db.close()
    return found


def legs_to(room: Room, numbers: list[str]) -> list[str]:
    assert room.sandbox is not None
    legs = list(room.sandbox.exchange.legs.values())
    return [leg.uuid for leg in legs if leg.to.get("number") in numbers]


def when(line: FaultProxy, act: Callable[[Request], None], *, method: str = "POST", nth: int = 1) -> None:
    """Call *act* when the *nth* request of *method* is at the proxy, before it is forwarded."""
    count = 0

    def on_request(request: Request) -> None:
        nonlocal count
        count += request.method == method
        if request.method == method and count == nth:
            act(request)

    line.on_request = on_request


# Signals at any moment


@dataclass
class Point:
    """A moment at which a create of several people is interrupted."""

    index: int
    signum: int
    nth: int  # the POST that it follows; 0: the start of the process
    delay: float
    sent_at: int = -1  # POSTs that were at the proxy by then
    posts: list[Request] = field(default_factory=list)

    @property
    def numbers(self) -> list[str]:
        return [f"44770{self.index:03}{call:04}" for call in range(CALLS)]


def points() -> list[Point]:
    chance = random.Random(SEED)
    return [
        Point(
            index,
            signum=chance.choice(SIGNALS),
            nth=chance.randint(0, CALLS),
            delay=chance.choice([0.0, chance.uniform(0, 0.05), chance.uniform(0, 0.4)]),
        )
        for index in range(POINTS)
    ]


def test_a_signal_at_any_time_starts_no_new_call_and_every_id_is_printed(
    room: Room, line: FaultProxy
) -> None:
    interrupted = points()
    by_number = {number: point for point in interrupted for number in point.numbers}
    children: dict[int, Future[subprocess.Popen[bytes]]] = {point.index: Future() for point in interrupted}
    timers: list[threading.Timer] = []

    def interrupt(point: Point) -> None:
        point.sent_at = len(point.posts)
        children[point.index].result(PATIENCE_SECONDS).send_signal(point.signum)

    def on_request(request: Request) -> None:
        if request.method != "POST":
            return
        point = by_number[request.json["to"][0]["number"]]
        point.posts.append(request)
        if point.nth == len(point.posts):
            later(point)

    def later(point: Point) -> None:
        if point.delay:
            timers.append(threading.Timer(point.delay, interrupt, [point]))
            timers[-1].start()
        else:
            interrupt(point)

    def run(point: Point) -> tuple[Point, int, str, str]:
        to = [word for number in point.numbers for word in ("--to", number)]
        child = room.spawn(
            ["call", "create", *to, "--talk", "Hello", "-q"],
            env={"VOICECTL_STATE_DIR": str(room.home / f"state-{point.index}")},
        )
        with child:
            children[point.index].set_result(child)
            if point.nth == 0:
                later(point)
            out, err = child.communicate(timeout=PATIENCE_SECONDS)
        return point, child.returncode, out.decode(), err.decode()

    line.fault = Fault(What.DELAY, Side.REPLY, 0, seconds=0.02)
    line.on_request = on_request
    with ThreadPoolExecutor(8) as pool:
        ran = list(pool.map(run, interrupted))
    for timer in timers:
        timer.join()

    for point, code, out, err in ran:
        about = f"seed {SEED}, {point}: exit {code}\n{out}{err}"
        created = legs_to(room, point.numbers)
        assert out.split() == created, about
        assert len(point.posts) == len(created), about
        if len(created) == CALLS:
            assert code in (0, 128 + point.signum), about
        elif created:
            assert code == 128 + point.signum, about
        elif point.nth == 0:  # perhaps before voicectl was loaded: then Python itself handles the signal
            assert code in (128 + point.signum, -point.signum, 1), about
        else:
            assert code == 128 + point.signum, about
        if point.nth and not point.delay:
            assert len(point.posts) == point.sent_at, f"a call was begun after the signal: {about}"
        elif point.sent_at >= 0:
            assert len(point.posts) <= point.sent_at + 1, about
        if created or point.nth:
            assert err == "", about


# A request in flight


def test_a_call_in_flight_is_finished_and_printed_then_it_exits_with_the_signal_s_status(
    room: Room, line: FaultProxy
) -> None:
    line.fault = Fault(What.DELAY, Side.REPLY, 0, seconds=0.3)
    started: Future[subprocess.Popen[bytes]] = Future()
    when(line, lambda _: started.result(PATIENCE_SECONDS).terminate(), nth=2)
    numbers = [PERSON, "447700900002", "447700900003"]
    with room.spawn(["call", "create", *to(numbers), "--talk", "Hi", "-o", "json"]) as child:
        started.set_result(child)
        out, err = child.communicate(timeout=PATIENCE_SECONDS)

    assert (child.returncode, err) == (143, b"")
    assert [leg in out.decode() for leg in legs_to(room, numbers)] == [True, True]
    assert out.startswith(b"[")
    assert out.endswith(b"]\n")
    assert rows(room) == [(PERSON, "created"), ("447700900002", "created")]


def test_a_call_in_flight_that_stays_unresolved_is_12_and_no_request_follows_the_signal(
    room: Room, line: FaultProxy
) -> None:
    started: Future[subprocess.Popen[bytes]] = Future()
    numbers = [PERSON, "447700900002", "447700900003"]

    def on_request(_: Request) -> None:
        if len(line.requests) == 1:
            line.fault = cut(Side.REQUEST, 0)
        else:
            started.result(PATIENCE_SECONDS).send_signal(signal.SIGINT)

    line.on_request = on_request
    with room.spawn(["call", "create", *to(numbers), "--talk", "Hi", "-o", "json"]) as child:
        started.set_result(child)
        out, err = child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 12, err
    assert len(line.requests) == 2, "neither a third call nor a look-up"
    assert [leg.encode() in out for leg in legs_to(room, numbers)] == [True]
    assert b"call reconcile vc-" in err
    assert rows(room) == [(PERSON, "created"), ("447700900002", "in-doubt")]


def test_a_second_signal_exits_at_once_and_the_row_stays_an_intent(room: Room, line: FaultProxy) -> None:
    line.fault = Fault(What.STALL, Side.REPLY)
    with room.spawn(f"call create --to {PERSON} --talk Hi -q --request-timeout 60") as child:
        eventually(lambda: line.forwarded_posts)
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=PATIENCE_SECONDS)

    assert (child.returncode, out) == (12, b"")
    assert rows(room) == [(PERSON, "intent")], "five seconds after the first it would be in doubt"
    line.fault = None
    assert room("call reconcile -o json").json[0]["to"] == PERSON


def test_a_second_signal_before_the_reply_is_recorded_is_12(room: Room, line: FaultProxy) -> None:
    """The journal does not know the call yet: here, another process holds its database."""
    room("call reconcile")
    (path,) = room.state.rglob("journal.db")
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        line.on_request = lambda _: other.execute("BEGIN IMMEDIATE") and None
        with room.spawn(f"call create --to {PERSON} --talk Hi -q") as child:
            eventually(lambda: line.reply_sizes)
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGTERM)
            other.rollback()
            out, _ = child.communicate(timeout=PATIENCE_SECONDS)

    assert (child.returncode, out) == (12, b"")
    assert rows(room) in ([(PERSON, "intent")], [(PERSON, "created")])


def test_a_second_signal_while_nothing_is_in_doubt_exits_with_its_status(
    room: Room, line: FaultProxy
) -> None:
    leg = room.call(wait=None)
    line.fault = Fault(What.STALL, Side.REQUEST, method="PUT")
    with room.spawn(f"mute {leg} --request-timeout 60") as child:
        eventually(lambda: [request for request in line.requests if request.method == "PUT"])
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)  # by the higher number: of two at once it is the second in any case
        child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 143


@pytest.mark.parametrize("verb", ["dtmf {leg} 12", "talk {leg} Hi", "move {leg} room"])
def test_a_request_that_must_not_repeat_and_was_in_flight_gives_12(
    room: Room, line: FaultProxy, verb: str
) -> None:
    leg = room.call(wait=None)
    line.fault = Fault(What.STALL, Side.REQUEST, method="PUT")
    with room.spawn(verb.format(leg=leg)) as child:
        eventually(lambda: [request for request in line.requests if request.method == "PUT"])
        child.send_signal(signal.SIGINT)
        line.drop()
        out, err = child.communicate(timeout=PATIENCE_SECONDS)

    assert (child.returncode, out) == (12, b"")
    assert b"may or may not" in err


# Nothing in flight


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_wait_ends_at_once(room: Room, line: FaultProxy, signum: int) -> None:
    leg = room.call(BY_HAND, wait=None)
    with room.spawn(f"wait {leg} --for answered") as child:
        eventually(lambda: [request for request in line.requests if leg in request.path])
        asked = len(line.requests)
        child.send_signal(signum)
        _, err = child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 128 + signum
    assert len(line.requests) <= asked + 1, "it continued to poll"
    assert b"Traceback" not in err


@pytest.mark.parametrize(("option", "status"), [("", "ringing"), ("--hangup-on-timeout", "cancelled")])
def test_an_interrupted_create_with_wait_prints_its_record_and_leaves_the_call_up_by_default(
    room: Room, line: FaultProxy, option: str, status: str
) -> None:
    with room.spawn(
        f"call create --to {BY_HAND} --talk Hi --wait answered --timeout 60 -o json {option}"
    ) as child:
        eventually(lambda: b"ringing" in os.read(child.stderr.fileno(), 1000) if child.stderr else True)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=PATIENCE_SECONDS)

    (leg,) = legs_to(room, [BY_HAND])
    assert child.returncode == 130
    assert leg.encode() in out
    assert room(f"call show {leg} -o json").json["status"] == status


def test_a_signal_that_was_ignored_at_the_start_is_ignored(room: Room, line: FaultProxy) -> None:
    """As under nohup."""
    leg = room.call(wait=None)
    line.fault = Fault(What.DELAY, Side.REPLY, 0, seconds=0.3, method="PUT")
    with room.spawn(
        f"hangup {leg}", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ) as child:
        eventually(lambda: [request for request in line.requests if request.method == "PUT"])
        child.send_signal(signal.SIGHUP)
        child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 0


def test_a_request_in_flight_has_five_seconds_after_the_signal(stuck: Stuck) -> None:
    out, err = stuck.child.communicate(timeout=PATIENCE_SECONDS)
    took = time.monotonic() - stuck.signalled

    assert (stuck.child.returncode, out) == (12, b""), err
    assert b"call reconcile vc-" in err
    assert took > 4.5
    assert len(stuck.server.requests) == 1
    assert rows(stuck.room) == [(PERSON, "in-doubt")]


def to(numbers: list[str]) -> list[str]:
    return [word for number in numbers for word in ("--to", number)]
