"""Scenario files in pytest, run as their users run them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.pytest_plugin.conftest import RunPytest
from tests.support.scenarios import APP, SALES, one_test, write

pytest_plugins = ["pytester"]

COUNTED = f"""\
[app]
run = ["sh", "-c", "echo $$ >> pids; exec {sys.executable} menu.py $PORT"]
answer_url = "/answer"
event_url = "/event"
"""
WRONG = one_test('{ hear = "welcome to nowhere" }', name="wrong")
GREETED = one_test('{ hear = "welcome" }', '{ hear = "{word}" }', "{ hangup = true }", name="greeted")
WORDS = 'each = [{ word = "acme" }, { word = "sales" }]\n'


def test_each_test_and_each_row_is_an_item_which_can_be_chosen(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    write(pytester.path, SALES, GREETED + WORDS)

    ids = ["menu.call.toml::sales", *(f"menu.call.toml::greeted [{row}]" for row in (1, 2))]
    found = run_pytest("-v", "-k", "greeted", *ids)

    found.assert_outcomes(passed=2, deselected=1)
    found.stdout.fnmatch_lines([f"menu.call.toml::greeted [[]{row}] PASSED*" for row in (1, 2)])


def test_a_failed_test_shows_what_was_expected_and_heard_the_calls_and_the_output(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    write(pytester.path, SALES, WRONG)
    write(pytester.path, SALES, app=APP + 'env = { FAULT = "start" }\n', name="stopped.call.toml")

    found = run_pytest()

    found.assert_outcomes(passed=1, failed=2)
    found.stdout.fnmatch_lines(
        [
            "*menu.call.toml:*: hear 'welcome to nowhere': not heard within 10 s.*",
            "Heard:",
            "*Welcome to ACME. For sales, press 1.*",
            "Calls:",
            "*1 answered (event)",
            "Output of the application:",
            "*/event completed",
            "The application ended with exit status 1 before it was ready.*",
            "*no database",
            "FAILED menu.call.toml::wrong - *",
        ]
    )
    found.stdout.no_fnmatch_line("*Traceback*")


def test_in_a_process_of_xdist_the_application_runs_for_the_tests_of_its_file_alone(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    write(pytester.path, SALES, WRONG, app=COUNTED)
    pytester.makepyfile("""
        import os, pytest

        def test_later():
            (pid,) = open("pids").read().split()
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid), 0)
    """)

    run_pytest("-n1").assert_outcomes(passed=2, failed=1)


def test_a_file_with_mistakes_is_a_collection_error_at_their_lines(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    write(pytester.path, one_test('{ heer = "welcome" }'), app=APP + "nope = 1\n")

    found = run_pytest()

    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(
        ["*ERROR collecting menu.call.toml*", "*menu.call.toml:5:1: Unknown key 'nope'.*", "*:11:5: *'heer'*"]
    )
    found.stdout.no_fnmatch_line("*Traceback*")


def test_an_interrupted_run_ends_the_application(
    pytester: pytest.Pytester, run_pytest: RunPytest, has_ended: Callable[[], bool]
) -> None:
    write(pytester.path, SALES, WRONG, app=COUNTED)
    pytester.makeconftest(
        "def pytest_runtest_logreport(report):\n    if report.when == 'call': raise KeyboardInterrupt"
    )

    found = run_pytest()

    assert found.ret == pytest.ExitCode.INTERRUPTED
    assert has_ended()


def test_without_scenarios_pytest_loads_the_hooks_alone(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeconftest(
        "import sys\ndef pytest_unconfigure():\n    print(*(name for name in sys.modules if 'voicectl' in name))"
    )

    found = run_pytest()

    assert found.outlines[-1].split() == [
        "voicectl",
        "voicectl.pytest_plugin",
        "voicectl.pytest_plugin.hooks",
    ]


def test_this_suite_itself_collects_no_scenarios(pytestconfig: pytest.Config) -> None:
    assert not pytestconfig.pluginmanager.hasplugin("voicectl")
