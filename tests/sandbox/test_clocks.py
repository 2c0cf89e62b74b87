"""Two clocks: the call clock (running, sped up, frozen or advanced) and the host clock."""

import json
import math
import re

import pytest

from tests.support.clock import FakeClock
from voicectl.sandbox.call_clock import CallClock
from voicectl.sandbox.parsing.fields import unix_seconds
from voicectl.sandbox.telephony.agenda import Agenda
from voicectl.times import rfc3339

from .conftest import Start
from .parts import HELLO, MACHINE, ROOM, Client


class TestCallClock:
    def test_it_runs_with_the_host_clock(self, clock: FakeClock):
        call_clock = CallClock(clock, speed=1, frozen=False)
        assert call_clock.now() == clock.time() * 1000

        clock.sleep(1.5)

        assert call_clock.now() == clock.time() * 1000

    def test_it_can_run_faster(self, clock: FakeClock):
        call_clock = CallClock(clock, speed=60, frozen=False)
        before = call_clock.now()

        clock.sleep(2)

        assert call_clock.now() - before == 120_000
        assert call_clock.host_seconds_until(before + 180_000) == 1

    def test_it_stands_still_when_frozen(self, clock: FakeClock):
        call_clock = CallClock(clock, speed=60, frozen=True)
        before = call_clock.now()
        clock.sleep(1000)
        assert call_clock.now() == before
        assert call_clock.host_seconds_until(before + 1) is None

        call_clock.skip_to(before + 5)

        assert call_clock.now() == before + 5

    @pytest.mark.parametrize("frozen", [False, True])
    def test_it_never_goes_back(self, clock: FakeClock, frozen):
        call_clock = CallClock(clock, speed=1, frozen=frozen)
        before = call_clock.now()

        call_clock.skip_to(before - 1000)

        assert call_clock.now() == before


class TestAgenda:
    def test_due_tasks_run_in_order_each_at_its_time(self):
        agenda, done = Agenda(0), []
        for seconds in (3, 1, 2, 1):
            agenda.after(seconds, lambda seconds=seconds: done.append((agenda.now, seconds)))

        agenda.run(2000)

        assert done == [(1000, 1), (1000, 1), (2000, 2)]
        assert (agenda.now, agenda.next_due) == (2000, 3000)

    def test_tasks_that_become_due_on_the_way_run_too(self):
        agenda, done = Agenda(0), []
        agenda.after(1, lambda: agenda.after(1, lambda: done.append(agenda.now)))

        agenda.run(5000)

        assert done == [2000]

    def test_cancelled_tasks_do_not_run(self):
        agenda, done = Agenda(0), []
        timer = agenda.after(1, lambda: done.append(1))

        timer.cancel()
        timer.cancel()

        assert agenda.next_due is None
        agenda.run(5000)
        assert done == []

    def test_tenths_of_seconds_add_up(self):
        agenda = Agenda(1_767_225_600_000)
        for _ in range(3):
            agenda.run(agenda.now + round(0.1 * 1000))
        assert agenda.now == 1_767_225_600_300


class TestTimes:
    def test_times_are_written_as_the_platform_writes_them(self):
        assert rfc3339(1_770_110_100_120) == "2026-02-03T09:15:00.120Z"
        assert rfc3339(0) == "1970-01-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        "text", ["2026-02-03T09:15:00Z", "2026-02-03t09:15:00.0z", "2026-02-03T11:15:00+02:00"]
    )
    def test_valid_times_are_read(self, text):
        assert unix_seconds(text) == 1_770_110_100

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2026-02-03",
            "2026-02-03T09:15:00",
            "2026-02-03T25:15:00Z",
            "0001-01-01T00:00:00+23:59x",
            "٢٠٢٦-02-03T09:15:00Z",
        ],
    )
    def test_invalid_times_are_refused(self, text):
        with pytest.raises(ValueError, match="date-time"):
            unix_seconds(text)

    def test_the_earliest_and_latest_times_can_be_read(self):
        assert unix_seconds("0001-01-01T00:00:00+23:59") < unix_seconds("9999-12-31T23:59:59-23:59")


class TestRunning:
    """A sandbox whose call clock runs from the host clock, on which ``sleep`` moves time."""

    def test_due_tasks_have_run_when_a_request_arrives(self, start: Start):
        client = start(frozen=False)
        uuid = client.call()
        assert client.status(uuid) == "started"

        for seconds, status in ((0.5, "ringing"), (1.9, "ringing"), (0.1, "answered")):
            client.clock.sleep(seconds)
            assert client.status(uuid) == status

    def test_each_task_runs_at_its_own_time(self, start: Start):
        client = start(frozen=False)
        uuid = client.call("447700900507")

        client.clock.sleep(1000)

        record = client.record(uuid)
        start_time, end_time = (unix_seconds(record[name]) for name in ("start_time", "end_time"))
        assert math.isclose(end_time - start_time, 7)
        assert math.isclose(start_time, 1_770_000_002.5)

    def test_a_higher_speed_shortens_the_wait(self, start: Start):
        client = start(frozen=False, speed=10)
        uuid = client.call()

        client.clock.sleep(0.25)

        assert client.status(uuid) == "answered"

    def test_advance_jumps_forward_too(self, start: Start):
        client = start(frozen=False)
        uuid = client.call()

        reply = client.control("advance", seconds=10)

        assert client.status(uuid) == "answered"
        assert unix_seconds(reply.json()["call_time"]) == client.clock.time() + 10


class TestFrozen:
    def test_host_time_does_not_move_a_frozen_clock(self, client: Client):
        uuid = client.call()

        client.clock.sleep(100)

        assert client.status(uuid) == "started"

    def test_advance_returns_the_new_time(self, client: Client):
        assert client.control("advance", seconds=0.5).json() == {"call_time": "2026-01-01T00:00:00.500Z"}
        assert client.control("advance", seconds=45).json() == {"call_time": "2026-01-01T00:00:45.500Z"}

    @pytest.mark.parametrize("seconds", [0, -1, "45s", None, True, 1e300, 2_678_401, [1]])
    def test_advance_takes_positive_seconds(self, client: Client, seconds):
        reply = client.http.post("/sandbox/advance", json={"seconds": seconds})

        assert reply.status_code == 400
        assert client.http.get("/sandbox/status").json()["call_time"] == "2026-01-01T00:00:00.000Z"

    def test_the_same_seed_and_requests_give_the_same_log(self, start: Start):
        logs = []
        for seed in (11, 11, 12):
            client = start(seed=seed)
            client.fault("status", code=500, on="getCalls", probability=0.5)
            for _ in range(10):
                client.get("/v1/calls")
            legs = [client.call(number, HELLO, ROOM) for number in ("447700900001", MACHINE, "447700900200")]
            client.control("ring", to="442079460000")
            client.advance(4)
            client.change(legs[0], "mute")
            client.transfer(legs[0], ROOM | {"name": "other"})
            client.call(answer_url=["http://127.0.0.1:1/"])
            client.advance(100)
            client.clock.sleep(5)
            client.change(legs[0], "hangup")
            log = [{**entry, "host_time": ""} for entry in client.log()]
            logs.append(json.loads(re.sub(r"127\.0\.0\.1:\d\d+", "host", json.dumps(log))))  # any free ports

        assert logs[0] == logs[1]
        assert logs[0] != logs[2]
        assert len(logs[0]) > 30
        assert all(re.fullmatch("[0-9a-f]{32}", e["trace_id"]) for e in logs[0] if e["kind"] == "request")
