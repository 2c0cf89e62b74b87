"""Faults of applications that ``test run`` finds without a step that looks for them."""

from __future__ import annotations

import pytest

from tests.support.room import Room
from tests.support.scenarios import APP, SALES, one_test, write
from voicectl.clock import SystemClock

HEAR = "{ hear = 'welcome' }"
KEY_4 = "{ press = '4' }"
FOUND = {
    "ncco": (["{ wait = '5s' }"], "The reply to answer to", "is not an NCCO"),
    "close": ([HEAR], "The webhook status to", "was not delivered"),
    "audio": ([KEY_4, "{ hear = 'goodbye' }"], "missing.wav?v=2", "404"),
    "loop": ([], "heard the same prompt 5 times with nothing pressed or said", "does not end"),
    "redial": (["{ wait = '5s' }"], "more than 100 NCCOs were given at the same moment", ""),
    "crash": (["{ press = '1' }", "{ wait = '2s' }"], "The application has ended with exit status 3.", ""),
}


def app(fault: str) -> str:
    return f'{APP}env = {{ FAULT = "{fault}" }}\n'


@pytest.mark.parametrize("fault", FOUND)
def test_a_fault_that_no_step_looks_for_is_found(bare: Room, fault: str) -> None:
    steps, *messages = FOUND[fault]
    path = write(bare.home, one_test(*steps), app=app(fault))

    ran = bare(f"test run {path}")

    assert ran.exit_code == 13
    for message in messages:
        assert message in ran.stderr


@pytest.mark.parametrize("fault", sorted(FOUND.keys() - {"ncco", "redial", "crash"}))
def test_the_checks_can_be_turned_off(bare: Room, fault: str) -> None:
    path = write(
        bare.home, one_test(*FOUND[fault][0]), app=f"{app(fault)}[defaults]\nchecks = false\nloops = 0\n"
    )

    assert bare(f"test run {path}").exit_code == 0


def test_webhooks_that_fail_may_be_expected(bare: Room) -> None:
    path = write(bare.home, one_test(HEAR, more="expect = { webhooks_failed = '>=1' }"), app=app("close"))

    assert bare(f"test run {path}").exit_code == 0


def test_more_than_three_calls_in_a_second_are_found(bare: Room) -> None:
    room = Room(bare.home, SystemClock())  # type: ignore[arg-type] # the application uses it, too
    create = "create = {{ path = '/call', json = {{ to = '447700900003', name = 'Ann', times = {} }} }}"
    path = write(
        bare.home,
        one_test(name="three", call=create.format(3)),
        one_test(name="four", call=create.format(4)),
    )

    ran = room(f"test run {path}")

    assert [row[0] for row in ran.rows] == ["passed", "failed"]
    assert "More than 3 calls were placed within one second" in ran.stderr


def test_an_application_that_ended_is_started_again_for_the_next_test(bare: Room) -> None:
    crash = one_test("{ press = '1' }", "{ wait = '2s' }", name="crash")
    path = write(
        bare.home,
        crash,
        one_test("{ hear = 'press 2' }", "{ hangup = true }", name="after"),
        app=app("crash"),
    )

    ran = bare(f"test run {path}")

    assert [row[0] for row in ran.rows] == ["error", "passed"]


def test_a_flow_that_repeats_itself_at_the_caller_s_wish_is_no_loop(bare: Room) -> None:
    steps = ["{ press = '9' }", "{ hear = 'sorry' }"] * 6
    path = write(bare.home, one_test(*steps), SALES)

    assert bare(f"test run {path}").exit_code == 0
