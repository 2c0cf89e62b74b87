"""Sessions: their turns at the rate limiter, the pauses between attempts, and signals just after an answer."""

from __future__ import annotations

import math
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.machines import Application, client
from tests.support.servers import LEG, Canned, reply
from tests.support.signals import installed, send
from voicectl.api.client import VoiceApi
from voicectl.api.repetition import Repeat, Request
from voicectl.api.replies import Reply
from voicectl.api.wire import Wire
from voicectl.errors import Interrupted, NoAnswer, NotSent, OutcomeUnknown, TransportError
from voicectl.interrupts import Interrupts
from voicectl.store.rate_limiter import RateLimiter

SEED = 20_261_201
CREATED = reply(201, {"uuid": LEG})
RECORD = reply(body={"uuid": LEG, "status": "answered"})
DONE = reply(204)

Act = Callable[[VoiceApi], object]


# Turns


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(tmp_path: Path, clock: FakeClock) -> RateLimiter:
    return RateLimiter(tmp_path / "pace", clock, pytest.fail)


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        (lambda api: api.hangup(LEG), DONE),
        (lambda api: api.get_call(LEG, urgent=True), RECORD),
    ],
    ids=["a hang-up", "a look at the leg that is hung up"],
)
def test_a_hang_up_goes_before_a_full_queue(
    application: Application, clock: FakeClock, limiter: RateLimiter, act: Act, answer: bytes
) -> None:
    limiter.take(creates=90, others=450, urgent=False, budget=math.inf)  # 30 seconds of each kind
    with Canned(answer) as server, client(server.url, application, clock, limiter=limiter) as api:
        act(api)
        assert clock.slept == []
        api.get_call(LEG) if answer is RECORD else api.stop_talk(LEG)
        assert 28 < sum(clock.slept) < 31


def test_a_create_takes_one_turn_of_the_creates_and_none_of_the_others(
    application: Application, clock: FakeClock, limiter: RateLimiter
) -> None:
    def answer(request: Any) -> bytes:
        return CREATED if request.method == "POST" else RECORD

    with Canned(answer) as server, client(server.url, application, clock, limiter=limiter) as api:
        api.create_call({})
        for _ in range(15):
            api.get_call(LEG)
        assert sum(clock.slept) < 0.01, "as many others as go in a second"
        api.create_call({})
        assert sum(clock.slept) == pytest.approx(1 / 3, abs=0.01)


# Pauses


@pytest.mark.parametrize(
    ("repeat", "failure", "failures", "low", "high"),
    [
        (Repeat.HANGUP, NoAnswer, 1, 0.5, 2.0),
        (Repeat.HANGUP, NotSent, 9, 0.5, 2.0),
        (Repeat.HARMLESS, NoAnswer, 1, 0.2, 1.0),
        (Repeat.HARMLESS, NoAnswer, 2, 0.2, 1.0),
        (Repeat.READ, NoAnswer, 1, 0.5, 2.0),
        (Repeat.READ, NoAnswer, 2, 0.5, 4.0),
        (Repeat.NEVER, NotSent, 1, 0.5, 2.0),
        (Repeat.NEVER, NotSent, 2, 0.5, 4.0),
    ],
)
def test_a_pause_is_between_its_bounds_which_grow_in_a_back_off(
    repeat: Repeat, failure: type[TransportError], failures: int, low: float, high: float
) -> None:
    chance = random.Random(SEED)
    request: Request[None] = Request(repeat, "GET", "/", lambda _: None)
    pauses = [request.pause_after(failure(""), failures, 0.0, chance) for _ in range(1000)]

    found = [pause for pause in pauses if pause is not None]
    assert len(found) == 1000
    assert low <= min(found) < low + 0.05
    assert high - 0.05 < max(found) <= high


@pytest.mark.parametrize(
    ("repeat", "failures", "within", "last", "first_too_late"),
    [
        (Repeat.HARMLESS, 1, math.inf, 1.99, 2.8),
        (Repeat.HANGUP, 1, 20.0, 17.99, 19.5),
        (Repeat.READ, 1, 8.0, 5.99, 7.5),
        (Repeat.READ, 2, 8.0, 3.99, 7.5),
    ],
)
def test_an_attempt_starts_if_it_fits_into_the_total_time(
    repeat: Repeat, failures: int, within: float, last: float, first_too_late: float
) -> None:
    chance = random.Random(SEED)
    request: Request[None] = Request(repeat, "GET", "/", lambda _: None, within=within)

    def pauses(elapsed: float) -> list[float | None]:
        return [request.pause_after(NoAnswer(""), failures, elapsed, chance) for _ in range(100)]

    assert None not in pauses(last)
    assert pauses(first_too_late) == [None] * 100


def test_a_hang_up_is_tried_for_twenty_seconds_with_pauses_of_a_half_to_two(
    application: Application, clock: FakeClock
) -> None:
    started = clock.monotonic()
    with Canned(reply(503)) as server, client(server.url, application, clock) as api:
        with pytest.raises(TransportError):
            api.hangup(LEG)
        assert len(server.requests) == len(clock.slept) + 1

    assert 18 <= clock.monotonic() - started <= 20
    assert all(0.5 <= pause <= 2 for pause in clock.slept)


# Signals


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    with installed(finish_seconds=600) as handler:
        yield handler


class Late(Wire):
    """A wire on which a signal arrives during each request, and the time that it leaves is up at the answer."""

    def exchange(self, *args: Any, **options: Any) -> Reply:
        send(signal.SIGTERM)
        super().exchange(*args, **options)
        send(signal.SIGALRM)
        pytest.fail("the time was not up")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda api: api.create_call({}), OutcomeUnknown),
        (lambda api: api.send_dtmf(LEG, "1"), OutcomeUnknown),
        (lambda api: api.start_talk(LEG, {}), OutcomeUnknown),
        (lambda api: api.start_stream(LEG, {}), OutcomeUnknown),
        (lambda api: api.transfer(LEG, {}), OutcomeUnknown),
        (lambda api: api.stop_talk(LEG), Interrupted),
        (lambda api: api.hangup(LEG), Interrupted),
    ],
    ids=["create", "dtmf", "talk", "stream", "transfer", "stop", "hangup"],
)
def test_a_time_limit_in_the_instant_after_the_reply_leaves_the_outcome_unknown(
    application: Application, clock: FakeClock, interrupts: Interrupts, act: Act, expected: type[Exception]
) -> None:
    with Canned(CREATED) as server:
        wire = Late(server.url, environ={})
        with client(server.url, application, clock, wire=wire, interrupts=interrupts) as api:
            with pytest.raises(expected):
                act(api)
            assert len(server.requests) == 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
