"""Rate limits: 3 new calls and 15 other requests a second, on the host clock."""

import pytest

from tests.support.clock import FakeClock
from voicectl.sandbox.limits import TokenBucket

from .conftest import Start
from .parts import BUSY


def taken(bucket: TokenBucket, tries: int) -> int:
    return sum(bucket.take() for _ in range(tries))


@pytest.mark.parametrize("per_second", [3, 15])
def test_a_bucket_holds_the_requests_of_one_second(clock: FakeClock, per_second):
    bucket = TokenBucket(per_second, clock.monotonic)
    clock.sleep(100)

    # 100 ms of grace are worth a token more where tokens come that often.
    assert taken(bucket, 100) == per_second + int(0.1 * per_second)


def test_it_fills_as_time_passes(clock: FakeClock):
    bucket = TokenBucket(3, clock.monotonic)
    assert taken(bucket, 10) == 3

    clock.sleep(0.22)
    assert taken(bucket, 10) == 0
    clock.sleep(0.02)
    assert taken(bucket, 10) == 1
    clock.sleep(10)
    assert taken(bucket, 10) == 3


@pytest.mark.parametrize(("per_second", "jitter"), [(3, 0.09), (15, 0.09)])
def test_a_client_at_the_allowed_rate_is_never_refused_for_jitter(clock: FakeClock, per_second, jitter):
    bucket = TokenBucket(per_second, clock.monotonic)

    for n in range(1000):
        late = jitter if n % 2 else 0
        target = 1_000_000 + n / per_second + late
        clock.sleep(target - clock.monotonic())
        assert bucket.take()


def test_creates_and_other_requests_are_counted_separately(start: Start):
    client = start(limits=True)

    creates = [client.create().status_code for _ in range(4)]
    others = [client.get("/v1/calls").status_code for _ in range(17)]

    assert creates == [201, 201, 201, 429]
    assert others == [200] * 16 + [429]

    client.clock.sleep(1)
    assert client.create().status_code == 201
    assert client.get("/v1/calls").status_code == 200


def test_a_refused_request_does_nothing(start: Start):
    client = start(limits=True)
    for _ in range(10):
        client.create()

    assert client.get("/v1/calls").json()["count"] == 3


def test_control_routes_and_requests_without_a_token_are_not_counted(start: Start):
    client = start(limits=True)

    for _ in range(30):
        assert client.http.get("/sandbox/status").status_code == 200
        assert client.http.get("/v1/calls").status_code == 401

    assert client.get("/v1/calls").status_code == 200


def test_connect_counts_as_a_new_call(start: Start):
    client = start(limits=True)
    connect = {"action": "connect", "endpoint": [{"type": "phone", "number": BUSY}]}
    client.call("447700900001", *[connect] * 5)  # one token
    client.advance(2.5)  # the first connect: another
    client.advance(5)  # a third, and then none is left

    assert client.get("/v1/calls").json()["count"] == 3
    assert [each["reason"] for each in client.log() if each["kind"] == "error"] == [
        "connect: over the limit of new calls per second"
    ] * 3
    assert client.create().status_code == 429
