"""The shared rate limiter: the platform's own limiter accepts all that it lets through."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from voicectl.errors import RateLimitedError
from voicectl.sandbox.limits import Limits
from voicectl.store import files
from voicectl.store.rate_limiter import RateLimiter

about = partial(pytest.approx, abs=1e-4)  # the file holds microseconds
Take = Callable[..., float]
INFINITE = float("inf")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def remarks() -> list[str]:
    return []


@pytest.fixture
def take(tmp_path: Path, clock: FakeClock, remarks: list[str]) -> Take:
    """Return a function that takes a turn, each time as a new process would."""

    def take(*, creates: int = 0, others: int = 0, urgent: bool = False, budget: float = 60.0) -> float:
        rate_limiter = RateLimiter(tmp_path / "pace", clock, remarks.append)
        return rate_limiter.take(creates=creates, others=others, urgent=urgent, budget=budget)

    return take


def test_calls_are_spaced_evenly(take: Take, clock: FakeClock) -> None:
    started = clock.monotonic()
    moments = []
    for _ in range(7):
        take(creates=1)
        moments.append(clock.monotonic() - started)
    assert moments == about([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2])


def test_other_requests_may_come_in_a_burst_of_one_second(take: Take, clock: FakeClock) -> None:
    started = clock.monotonic()
    for _ in range(15):
        assert take(others=1) == about(0)
    assert take(others=1) > 0.05
    for _ in range(14):
        take(others=1)
    assert clock.monotonic() - started == about(1)


def test_every_phone_that_a_request_rings_counts_as_a_call(take: Take) -> None:
    take(creates=3)
    assert take(creates=1) == about(1)
    assert take(creates=2, others=1) == about(1 / 3)
    assert take(creates=1) == about(2 / 3)


def test_calls_and_other_requests_do_not_wait_for_each_other(take: Take) -> None:
    take(creates=9)
    assert take(others=1) == 0
    for _ in range(14):
        take(others=1)
    assert take(creates=1) == about(3)


def test_an_urgent_request_goes_first_and_counts(take: Take) -> None:
    for _ in range(15):
        take(others=1)
    assert take(others=1, urgent=True, budget=0) == 0
    assert take(others=1) == about(2 / 15)


def test_a_turn_beyond_the_budget_is_refused_and_not_taken(take: Take) -> None:
    take(creates=30)
    with pytest.raises(RateLimitedError) as refused:
        take(creates=1, budget=5)
    assert refused.value.status == 429
    assert "Nothing was sent" in str(refused.value.hint)
    assert take(creates=1, budget=10) == about(10)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"1 2 3", b"nan nan", b"inf inf", b"-inf -inf", b"1e300 1e300", b"\xff" * 100, b"9" * 5000],
)
def test_a_file_with_invalid_content_is_replaced(
    tmp_path: Path, take: Take, remarks: list[str], content: bytes
) -> None:
    (tmp_path / "pace").write_bytes(content)
    assert take(creates=1, others=1) == 0
    assert take(creates=1) == about(1 / 3)
    assert remarks == []


def test_a_restart_of_the_machine_is_not_taken_for_a_queue(
    tmp_path: Path, take: Take, clock: FakeClock
) -> None:
    """The monotonic clock starts again, so times written before lie far in the future."""
    later = clock.monotonic() + 1_000_000
    (tmp_path / "pace").write_text(f"{later:20.6f} {later:20.6f}\n")
    assert take(creates=1, others=1) == 0


@pytest.mark.parametrize("kind", ["directory", "link", "missing"])
def test_without_its_file_requests_continue_and_a_warning_is_shown_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pace"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "victim")
    else:
        path = tmp_path / "nowhere" / "pace"
    remarks: list[str] = []
    rate_limiter = RateLimiter(path, FakeClock(), remarks.append)

    assert [rate_limiter.take(creates=1, others=0, urgent=False, budget=60) for _ in range(3)] == [0, 0, 0]
    assert len(remarks) == 1
    assert str(path) in remarks[0]
    assert not (tmp_path / "victim").exists()


def test_a_check_takes_no_turn_and_waits_for_nobody(tmp_path: Path, take: Take) -> None:
    limiter = RateLimiter(tmp_path / "pace", FakeClock(), pytest.fail)
    take(creates=1, others=15)
    before = (tmp_path / "pace").read_bytes()
    limiter.check()
    assert (tmp_path / "pace").read_bytes() == before
    with files.opened(tmp_path / "pace", files.OWN) as handle:
        assert files.try_lock(handle)
        limiter.check()
        assert limiter.take(creates=1, others=0, urgent=True, budget=0) == 0
        with pytest.raises(RateLimitedError, match="holds the lock"):
            limiter.take(creates=1, others=0, urgent=False, budget=0.01)
    assert (tmp_path / "pace").read_bytes() == before
    (tmp_path / "pace").unlink()
    (tmp_path / "pace").mkdir()
    with pytest.raises(OSError, match="directory"):
        limiter.check()


def test_a_limiter_in_a_hurry_lets_each_request_go_first(tmp_path: Path) -> None:
    limiter = RateLimiter(tmp_path / "pace", FakeClock(), pytest.fail)
    limiter.take(creates=0, others=150, urgent=False, budget=INFINITE)
    limiter.hurry()
    assert limiter.take(creates=0, others=1, urgent=False, budget=0) == 0


@pytest.mark.parametrize(
    ("ahead", "boots", "waits"),
    [(299, 0, 299), (301, 0, 0), (200, 59, 200), (200, -59, 200), (200, 62, 0), (200, -62, 0)],
)
def test_times_of_another_boot_or_too_far_ahead_are_ignored(
    tmp_path: Path, take: Take, clock: FakeClock, ahead: float, boots: int, waits: float
) -> None:
    """A correction of the machine's clock shifts the calculated time of the boot, too."""
    boot = round(clock.time() - clock.monotonic()) + boots
    later = clock.monotonic() + ahead
    (tmp_path / "pace").write_text(f"{later:20.6f} {clock.monotonic():20.6f} {boot}\n")

    assert take(creates=1, budget=INFINITE) == about(waits)


Step = tuple[int, int, bool, float]
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.booleans(), st.floats(0, 2)).filter(
        lambda step: step[0] or step[1]
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_platform_accepts_every_request_that_it_lets_through(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    """For any order and any pauses. An urgent request passes at once, so it does not count."""
    clock = FakeClock()
    path = tmp_path_factory.mktemp("pace") / "pace"
    limits = Limits(clock.monotonic, enabled=True)
    for creates, others, urgent, pause in steps:
        clock.sleep(pause)
        RateLimiter(path, clock, pytest.fail).take(
            creates=creates, others=others, urgent=urgent and not creates, budget=INFINITE
        )
        if not urgent or creates:
            assert all(limits.allow_create() for _ in range(creates))
            assert all(limits.allow_other() for _ in range(others))


def test_no_two_requests_take_the_same_turn(tmp_path: Path) -> None:
    class Still(FakeClock):
        """Time does not pass, so each wait shows which turn it was."""

        def sleep(self, seconds: float) -> None:
            pass

    clock = Still()
    waits: list[float] = []

    def run() -> None:
        rate_limiter = RateLimiter(tmp_path / "pace", clock, pytest.fail)
        waits.extend(rate_limiter.take(creates=1, others=0, urgent=False, budget=INFINITE) for _ in range(50))

    threads = [threading.Thread(target=run) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert sorted(waits) == pytest.approx([turn / 3 for turn in range(400)], abs=1e-3)
