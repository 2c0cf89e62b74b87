"""Sessions: their turns at the rate limiter, the pauses between attempts, and signals just after an answer."""

from __future__ import annotations

import math
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.machines import Application, Unpaced, client
from tests.support.recordings import file_api
from tests.support.servers import LEG, Canned, reply
from tests.support.signals import installed, send
from voicectl.api.auth import Bearer
from voicectl.api.client import VoiceApi
from voicectl.api.files import FileApi
from voicectl.api.repetition import Repeat, Request
from voicectl.api.replies import Incoming, Reply
from voicectl.api.session import Session
from voicectl.api.wire import Wire
from voicectl.errors import (
    Interrupted,
    NoAnswer,
    NotSent,
    OutcomeUnknown,
    RateLimitedError,
    TransportError,
    VoicectlError,
)
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


# Time limits


class Recorder(Wire):
    """A wire that records the time limit of each attempt, and whether it needs a connection of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(url, environ={})
        self.timeouts: list[float] = []
        self.limits: list[float] = []
        self.fresh: list[bool] = []

    def exchange(self, *args: Any, **options: Any) -> Reply:
        self.timeouts.append(options["timeout"])
        self.fresh.append(options["fresh"])
        return super().exchange(*args, **options)

    def download(self, *args: Any, **options: Any) -> Any:
        self.timeouts.append(options["timeout"])
        self.limits.append(options["within"])
        return super().download(*args, **options)


def failing(application: Application, clock: FakeClock, act: Act) -> Recorder:
    """Return the wire on which *act* was tried and always got a 503."""
    with Canned(reply(503)) as server:
        wire = Recorder(server.url)
        with client(server.url, application, clock, wire=wire) as api, suppress(VoicectlError):
            act(api)
    return wire


def elapsed(clock: FakeClock) -> list[float]:
    """Return the time at which each attempt began, in seconds since the first."""
    return [0.0, *accumulate(clock.slept)]


def test_an_attempt_of_a_read_takes_no_longer_than_the_rest_of_its_time(
    application: Application, clock: FakeClock
) -> None:
    wire = failing(application, clock, lambda api: api.get_call(LEG, within=9))

    assert len(wire.timeouts) > 1
    assert wire.timeouts == pytest.approx([9 - since for since in elapsed(clock)])


def test_an_attempt_of_a_hang_up_may_take_the_usual_time(application: Application, clock: FakeClock) -> None:
    wire = failing(application, clock, lambda api: api.hangup(LEG, within=9))

    assert len(wire.timeouts) > 3
    assert set(wire.timeouts) == {10.0}


def test_all_attempts_of_a_download_share_its_time(application: Application, clock: FakeClock) -> None:
    wires: list[Recorder] = []

    def opened(origin: str) -> Session:
        wires.append(Recorder(origin))
        return Session(wires[0], bearer, Unpaced(), clock)

    identity, key = application
    bearer = Bearer(identity.application_id, lambda: key, clock)
    files = FileApi(opened, lambda origin, _: Wire(origin, environ={}), within=30, silence=5)
    with Canned(reply(503)) as server, pytest.raises(TransportError):
        files.get(server.url, "/v1/files/x", Incoming.whole, headers=dict)

    assert wires[0].timeouts == [10.0] * 3
    assert wires[0].limits == pytest.approx([30 - since for since in elapsed(clock)])


def test_a_file_without_content_is_not_a_recording(application: Application, clock: FakeClock) -> None:
    with Canned(DONE) as server, pytest.raises(TransportError, match="the response is empty"):
        file_api(application, clock).get(server.url, "/v1/files/x", Incoming.whole, headers=dict)


@pytest.mark.parametrize(
    ("act", "is_fresh"),
    [
        (lambda api: api.create_call({}), True),
        (lambda api: api.transfer(LEG, {}), True),
        (lambda api: api.send_dtmf(LEG, "1"), True),
        (lambda api: api.start_talk(LEG, {}), True),
        (lambda api: api.start_stream(LEG, {}), True),
        (lambda api: api.get_call(LEG), False),
        (lambda api: api.hangup(LEG), False),
        (lambda api: api.stop_talk(LEG), False),
    ],
    ids=["create", "transfer", "dtmf", "talk", "stream", "show", "hangup", "stop"],
)
def test_a_request_that_must_not_repeat_has_a_connection_of_its_own(
    application: Application, clock: FakeClock, act: Act, is_fresh: bool
) -> None:
    assert set(failing(application, clock, act).fresh) == {is_fresh}


@pytest.mark.parametrize(("begun", "pauses"), [(b"", 0), (b"H", 1), (b"HTTP/1.1 200 OK\r\nX", 1)])
def test_only_a_kept_connection_that_was_closed_silently_is_replaced_at_once(
    application: Application, clock: FakeClock, begun: bytes, pauses: int
) -> None:
    """If a reply has begun, the attempt has failed, and the next one follows after a pause."""
    with Canned(RECORD, begun, RECORD) as server, client(server.url, application, clock) as api:
        api.get_call(LEG)
        api.get_call(LEG)

        assert (len(server.requests), server.connections, len(clock.slept)) == (3, 2, pauses)


# Rate limits


class Crowded:
    """A rate limiter at which each request waits for the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.taken: list[tuple[int, int]] = []
        self.budgets: list[float] = []

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        self.taken.append((creates, others))
        self.budgets.append(budget)
        return self._seconds


@pytest.mark.parametrize(
    ("act", "waits"),
    [
        (lambda api: api.get_call(LEG, within=30), []),
        (lambda api: api.get_call(LEG, within=40), [40]),
        (lambda api: api.get_call(LEG), [40]),
        (lambda api: api.hangup(LEG, within=30), [40]),
        (lambda api: api.create_call({}), [40]),
    ],
    ids=["a short read", "a long read", "a read", "a hang-up", "a create"],
)
def test_a_read_waits_for_a_rate_limit_only_within_its_time(
    application: Application, clock: FakeClock, act: Act, waits: list[float]
) -> None:
    answer = reply(429, retry_after="40")
    with Canned(answer) as server, client(server.url, application, clock) as api:
        with pytest.raises(RateLimitedError):
            act(api)
        assert len(server.requests) == len(waits) + 1
    assert clock.slept == waits


def test_waits_at_the_limiter_and_for_the_platform_are_a_minute_together(
    application: Application, clock: FakeClock
) -> None:
    limiter = Crowded(11)
    with Canned(reply(429, retry_after="20")) as server:
        with client(server.url, application, clock, limiter=limiter) as api, pytest.raises(RateLimitedError):
            api.create_call({}, dials=3)
        assert len(server.requests) == 2, "11 + 20 + 11, and 20 more would be too much"
    assert limiter.taken == [(3, 0), (3, 0)]
    assert limiter.budgets == [60, 29]


@pytest.mark.parametrize("dials", [1, 2])
def test_a_change_that_rings_phones_counts_as_another_request_too(
    application: Application, clock: FakeClock, dials: int
) -> None:
    limiter = Crowded(0)
    with Canned(DONE) as server, client(server.url, application, clock, limiter=limiter) as api:
        api.transfer(LEG, {}, dials=dials)
        api.stop_talk(LEG)
    assert limiter.taken == [(dials, 1), (0, 1)]


# Messages


def test_each_attempt_is_logged_with_its_outcome(application: Application, clock: FakeClock) -> None:
    lines: list[str] = []

    def after_a_quarter_second(_: object) -> bytes:
        clock.sleep(0.25)
        return RECORD

    with Canned(b"?\r\n", reply(503), after_a_quarter_second) as server:
        with client(server.url, application, clock, debug=lines.append) as api:
            api.get_call(LEG)
        request = f"GET {server.url}/v1/calls/{LEG}: "

    assert [line.removeprefix(request) for line in lines] == [
        "the response is not valid HTTP",
        "503 after 0 ms",
        "200 after 250 ms",
    ]


def test_the_first_request_is_prepared_once(application: Application, clock: FakeClock) -> None:
    prepared: list[int] = []
    with Canned(reply(503), RECORD) as server:
        before = partial(prepared.append, 1)
        with client(server.url, application, clock, before_first=before) as api:
            api.get_call(LEG)
            api.get_call(LEG)
        assert prepared == [1]
        with (
            client(server.url, application, clock, before_first=partial(pytest.fail, "no")) as api,
            pytest.raises(pytest.fail.Exception),
        ):
            api.get_call(LEG)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answers", "act", "hint"),
    [
        (True, lambda api: api.get_call(LEG), "voicectl doctor"),
        (False, lambda api: api.get_call(LEG), "Start it."),
        (
            True,
            lambda api: api.send_dtmf(LEG, "1"),
            f"not sent again. Check the leg before you repeat the request: 'voicectl call show {LEG}'.",
        ),
        (False, lambda api: api.send_dtmf(LEG, "1"), "Start it."),
    ],
    ids=["a lost read", "an unsent read", "a lost change", "an unsent change"],
)
def test_a_failure_says_what_to_do(
    application: Application, clock: FakeClock, answers: bool, act: Act, hint: str
) -> None:
    with Canned(reply(503)) as server:
        url = server.url
        if answers:
            with client(url, application, clock, absence_hint="Start it.") as api:
                failure = failed(lambda: act(api))
    if not answers:
        with client(url, application, clock, absence_hint="Start it.") as api:
            failure = failed(lambda: act(api))

    assert failure.message.startswith("No usable response from 127.0.0.1: ")
    assert hint in (failure.hint or "")


def failed(act: Callable[[], object]) -> VoicectlError:
    with pytest.raises((TransportError, OutcomeUnknown)) as caught:
        act()
    return caught.value


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
