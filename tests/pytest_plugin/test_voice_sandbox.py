"""The fixture ``voice_sandbox``, in tests of an application that their own fixture starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.pytest_plugin.conftest import RunPytest
from tests.support.scenarios import MENU

pytest_plugins = ["pytester"]

CONFTEST = """
import os, subprocess, sys, threading
from http.server import ThreadingHTTPServer
import pytest

@pytest.fixture(scope="session", autouse=True)
def ivr(voice_platform):
    os.environ.update(voice_platform.environ)
    sys.argv[1:] = ["0"]
    import menu
    server = ThreadingHTTPServer(("127.0.0.1", 0), menu.Handler)
    menu.BASE = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever).start()
    voice_platform.register(menu.BASE)
    yield menu
    server.shutdown()
    server.server_close()
"""


@pytest.fixture
def tested(pytester: pytest.Pytester, run_pytest: RunPytest) -> Callable[[str], pytest.RunResult]:
    """Return a function that runs tests of the application, and returns their outcome."""

    def run(source: str) -> pytest.RunResult:
        shutil.copy(MENU, pytester.path)
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(source)
        return run_pytest("-W", "error")

    return run


def test_a_test_in_python_calls_the_application(tested: Callable[[str], pytest.RunResult]) -> None:
    found = tested("""
        def test_sales(voice_sandbox):
            call = voice_sandbox.ring("442079460000", from_="447700900001")
            call.hears("welcome to acme", within="4s")
            call.press("1")
            call.hears("connecting you")
            call.connects_to("447700900002")
            agent = voice_sandbox.party("447700900002")
            assert agent.status == "answered"
            agent.hangup()
            call.ends()
            assert call.is_over
            assert call.heard[-1] == "Connecting you."
            assert [each["to"] for each in voice_sandbox.events if each.get("status") == "completed"]

        def test_support(voice_sandbox):
            call = voice_sandbox.ring("442079460000")
            assert not call.heard and voice_sandbox.now == 0
            call.press("2")
            call.say("my parcel")
            call.hears("you said my parcel")
            call.does_not_hear("connecting")

        def test_an_application_that_calls(voice_sandbox, ivr):
            ivr.call({"to": "447700900003", "name": "Ann"})
            voice_sandbox.party("447700900003").hears("hello ann")
    """)

    found.assert_outcomes(passed=3)


def test_a_failure_shows_the_line_of_the_test_and_the_calls(
    tested: Callable[[str], pytest.RunResult],
) -> None:
    found = tested("""
        def test_wrong_words(voice_sandbox):
            call = voice_sandbox.ring("442079460000")
            call.hears("welcome to nowhere")

        def test_unknown_step(voice_sandbox):
            voice_sandbox.ring("442079460000").step(heer="welcome")

        def test_a_sequence(voice_sandbox):
            voice_sandbox.ring("442079460000").step(include="log in")

        def test_a_mistake_of_the_application_that_no_line_looks_for(voice_sandbox, ivr, monkeypatch):
            monkeypatch.setattr(ivr, "FAULT", "audio")
            voice_sandbox.ring("442079460000").press("4")
    """)

    found.assert_outcomes(failed=4)
    found.stdout.fnmatch_lines(
        [
            '>       call.hears("welcome to nowhere")',
            "E       Failed: hear 'welcome to nowhere': not heard within 10 s.*",
            "*Calls on the sandbox*",
            "*Welcome to ACME.*",
            "*1 answered (event)",
            "*There is no step 'heer'. Did you mean 'hear'?",
            "*Sequences are only in scenario files.*",
            "*missing.wav*404*",
        ]
    )
    found.stdout.no_fnmatch_line("*pytest_plugin*.py:*")
