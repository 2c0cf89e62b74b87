"""Signals that are held back or delivered, sent to the test process itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.signals import CAUGHT, installed, send
from voicectl.errors import Interrupted
from voicectl.interrupts import Interrupts

FINISH_SECONDS = 600.0


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    with installed(finish_seconds=FINISH_SECONDS) as handler:
        yield handler


@pytest.mark.parametrize("signum", CAUGHT[:3])
def test_with_nothing_in_flight_a_signal_is_raised_at_once(interrupts: Interrupts, signum: int) -> None:
    with pytest.raises(Interrupted) as caught:
        send(signum)
    assert caught.value.signum == signum


def test_a_request_in_flight_continues(interrupts: Interrupts) -> None:
    with interrupts.shield():
        send()
        is_finished = True
    assert is_finished
    with pytest.raises(Interrupted):
        interrupts.check()


def test_a_request_in_flight_has_a_few_seconds(interrupts: Interrupts) -> None:
    with interrupts.shield():
        send()
        assert FINISH_SECONDS / 2 < signal.getitimer(signal.ITIMER_REAL)[0] <= FINISH_SECONDS
        with pytest.raises(TimeoutError):
            send(signal.SIGALRM)


def test_a_finished_request_has_no_time_limit_any_longer(interrupts: Interrupts) -> None:
    with interrupts.shield():
        send()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_between_the_end_of_a_request_and_its_output_nothing_is_raised(interrupts: Interrupts) -> None:
    with interrupts.shield():
        pass
    send()
    printed = ["the id"]
    with pytest.raises(Interrupted):
        interrupts.check()
    assert printed


def test_after_the_output_a_signal_is_raised_at_once_again(interrupts: Interrupts) -> None:
    with interrupts.shield():
        pass
    interrupts.check()
    with pytest.raises(Interrupted):
        send()


def test_a_wait_within_a_shield_ends_at_once_and_the_shield_goes_on(interrupts: Interrupts) -> None:
    with interrupts.shield():
        with pytest.raises(Interrupted), interrupts.waiting():
            send()
        assert interrupts.pending == signal.SIGTERM
        is_recorded = True
    assert is_recorded


def test_no_wait_is_begun_after_a_signal(interrupts: Interrupts) -> None:
    with interrupts.shield():
        send()
        with pytest.raises(Interrupted), interrupts.waiting():
            pytest.fail("the wait was begun")


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("with interrupts.shield(in_doubt=True): send(SIGTERM); send(SIGINT)", 12),
        ("with interrupts.shield(): send(SIGTERM); send(SIGINT)", 130),
        ("with interrupts.shield(): send(SIGINT); send(SIGTERM)", 143),
        ("with suppress(OutcomeUnknown), interrupts.shield(in_doubt=True): raise OutcomeUnknown('')", 0),
        (
            "with suppress(OutcomeUnknown), interrupts.shield(in_doubt=True): raise OutcomeUnknown('')\n"
            "send(SIGTERM); send(SIGINT)",
            12,
        ),
    ],
)
def test_a_second_signal_exits_at_once_with_12_if_an_outcome_is_or_stays_unknown(
    program: str, status: int
) -> None:
    prelude = """
import os
from contextlib import suppress
from signal import SIGINT, SIGTERM
from voicectl.errors import OutcomeUnknown
from voicectl.interrupts import Interrupts

def send(signum): os.kill(os.getpid(), signum)
interrupts = Interrupts()
interrupts.install()
"""
    assert subprocess.run([sys.executable, "-c", prelude + program], check=False).returncode == status


def test_a_signal_that_arrives_twice_at_once_counts_once(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``timeout`` sends it to the process and to its group: a request in flight still continues."""
    monkeypatch.setattr("voicectl.interrupts.ECHO_SECONDS", 600)
    with interrupts.shield(in_doubt=True):
        send()
        send()
    with pytest.raises(Interrupted):
        interrupts.check()


def test_until_it_is_installed_nothing_is_caught() -> None:
    before = [signal.getsignal(signum) for signum in CAUGHT]
    Interrupts().check()
    assert [signal.getsignal(signum) for signum in CAUGHT] == before
