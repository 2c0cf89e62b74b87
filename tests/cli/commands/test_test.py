"""``test run``: scenario files against an application, over the real protocol."""

from __future__ import annotations

from tests.support.room import Room
from tests.support.scenarios import APP, SALES, one_test, write


def test_a_flow_that_does_what_the_file_says_passes(bare: Room) -> None:
    path = write(bare.home, SALES)

    ran = bare(f"test run {path}")

    assert (ran.exit_code, ran.stderr) == (0, "1 passed.\n")
    assert "sales" in ran.stdout


def test_a_flow_that_does_something_else_fails_and_says_what_was_heard(bare: Room) -> None:
    path = write(bare.home, SALES, one_test('{ press = "9" }', '{ hear = "connecting you" }'))

    ran = bare(f"test run {path}")

    assert ran.exit_code == 13
    assert "1 failed, 1 passed." in ran.stderr
    line = path.read_text().splitlines().index('  { hear = "connecting you" },', 20) + 1
    assert f"{path}:{line}: hear 'connecting you': not heard within 10 s." in ran.stderr
    assert "Sorry." in ran.stderr


def test_an_expectation_of_the_whole_call_that_does_not_hold_fails(bare: Room) -> None:
    path = write(bare.home, SALES.replace("<30s", "<1s").replace("recordings = 0", "recordings = 2"))

    ran = bare(f"test run {path}")

    assert ran.exit_code == 13
    assert "expected duration <1s" in ran.stderr
    assert "expected recordings 2, but it is 0" in ran.stderr


def test_all_mistakes_of_a_file_are_listed_with_their_places(bare: Room) -> None:
    steps = (
        '{ haer = "x" }',
        '{ press = "1x", within = "4 parsecs" }',
        '{ hear_matching = "(" }',
        '{ hear = "{y}" }',
    )
    path = write(bare.home, one_test(*steps), app=APP.replace("answer_url", "anser_url"))

    ran = bare(f"test run {path}")

    assert ran.exit_code == 2
    assert [line.removeprefix(f"{path}:").split(" ", 1)[0] for line in ran.stderr.splitlines()[:-2]] == [
        "3:1:",
        "10:5:",
        "11:5:",
        "11:19:",
        "12:5:",
        "13:5:",
    ]
    assert "There is no step 'haer'. Did you mean 'hear'?" in ran.stderr
    assert ran.stdout == ""


def test_an_application_that_does_not_start_is_an_error_with_its_output(bare: Room) -> None:
    path = write(bare.home, SALES, app=APP + 'env = { FAULT = "start" }\n')

    ran = bare(f"test run {path}")

    assert ran.exit_code == 13
    assert "ended with exit status 1 before it was ready" in ran.stdout
    assert "no database" in ran.stdout
