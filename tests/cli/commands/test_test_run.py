"""Options of ``test run``, settings of the application under test, and runs that end early."""

from __future__ import annotations

import signal
import subprocess
import sys
import wave
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.scenarios import APP, MENU, SALES, one_test, write
from tests.support.tty import Tty
from tests.support.waiting import eventually
from voicectl.cli.scenario_bench import open_bench
from voicectl.clock import SystemClock
from voicectl.core.scenarios.reading import read_all
from voicectl.core.scenarios.suite import Item, Suite

GREETED = one_test("{ hear = 'welcome' }", "{ hangup = true }", name="greeted")
WRONG = one_test("{ hear = 'goodbye', within = '2s' }", name="wrong")


@pytest.fixture
def room(bare: Room) -> Room:
    """A machine with the system's clock, which the application uses, too."""
    return Room(bare.home, SystemClock())  # type: ignore[arg-type]


def outcomes(room: Room, line: str) -> dict[str, str]:
    ran = room(f"test run {line}")
    assert ran.exit_code in (0, 13), ran.stderr
    return {row[2]: row[0] for row in ran.rows}


def test_tests_are_chosen_by_name(room: Room) -> None:
    path = write(room.home, SALES, GREETED, WRONG)

    assert outcomes(room, f"{path} -k GREET") == {"greeted": "passed"}
    assert room(f"test run {path} -k nothing").exit_code == 2


def test_a_directory_stands_for_its_scenario_files(room: Room) -> None:
    write(room.home, GREETED)
    write(room.home, SALES, name="sales.call.toml")
    write(room.home, "", app="nonsense", name="other.toml")

    assert outcomes(room, f"{room.home} --jobs 2") == {"greeted": "passed", "sales": "passed"}


def test_the_run_can_stop_at_the_first_failure(room: Room) -> None:
    path = write(room.home, GREETED, WRONG, SALES)

    ran = room(f"test run {path} -x")

    assert [row[0] for row in ran.rows] == ["passed", "failed"]
    assert ran.stderr.endswith("1 failed, 1 passed, 1 not run.\n")


def test_tests_are_repeated_and_shared_among_jobs(room: Room) -> None:
    path = write(room.home, GREETED, SALES)

    found = outcomes(room, f"{path} --repeat 3 --jobs 3")

    assert found == {f"{name} ({at}/3)": "passed" for at in (1, 2, 3) for name in ("greeted", "sales")}


def test_the_log_of_a_test_is_kept_only_for_the_details_of_its_failure(room: Room) -> None:
    (scenario,) = read_all([write(room.home, GREETED, WRONG)])
    items = [Item(scenario=scenario, test=test, name=test.name) for test in scenario.tests]
    opening = partial(open_bench, environ=room.environ, clock=room.clock)

    with Suite(items, opening).running() as results:
        kept = {result.name: bool(result.log) for result in results}

    assert kept == {"greeted": False, "wrong": True}


def test_the_ids_of_a_run_follow_from_its_seed(room: Room) -> None:
    path = write(room.home, one_test("{ hear = 'welcome' }", "{ run = 'echo {leg}', output = 'x' }"))

    runs = [room(f"test run {path} --seed {seed}").rows[0][5] for seed in (1, 1, 2)]

    assert runs[0] == runs[1] != runs[2]


def test_results_are_written_for_ci_systems(room: Room) -> None:
    path = write(room.home, SALES, WRONG, one_test("{ press = '9' }", name="<&>\\u0007"))
    report = room.home / "results.xml"

    room(f"test run {path} --junit {report}")

    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
    }
    failure = suite.find("testcase[@name='wrong']/failure")
    assert failure is not None
    assert "not heard within 2 s" in str(failure.get("message"))
    assert "Welcome to ACME" in str(failure.text)
    assert suite.find("testcase[@name='<&>?']") is not None


def test_what_was_heard_and_the_ladder_are_saved(room: Room) -> None:
    path = write(room.home, SALES)

    room(f"test run {path} --save {room.home}/out")

    with wave.open(str(room.home / "out/menu/sales-447700900001.wav")) as sound:
        assert 5 < sound.getnframes() / sound.getframerate() < 6
        assert any(sound.readframes(sound.getnframes()))
    assert ET.parse(room.home / "out/menu/sales.svg").getroot().tag.endswith("svg")


def test_a_terminal_shows_each_test_as_it_ends(room: Room) -> None:
    path = write(room.home, SALES, WRONG)

    shown = room(f"test run {path}", terminal=True, env={"NO_COLOR": "1"}).stdout

    assert f"1/2 passed  {path}: sales" in shown
    assert f"2/2 failed  {path}: wrong" in shown


def test_the_ladder_of_a_failed_test_fits_the_terminal(room: Room) -> None:
    path = write(room.home, one_test("{ hear = 'nothing', within = '3s' }"))

    with Tty(room, f"test run {path}", columns=70) as tty:
        text = tty.until("1 failed.")

    completed = next(line for line in text.splitlines() if "completed, duration" in line)
    assert "disconnected_by" in completed
    assert "sip_code 200 (event)" not in completed  # it is below, in the same column


def test_an_application_that_runs_already_is_used(room: Room) -> None:
    port = free_block(1)
    with subprocess.Popen([sys.executable, MENU, str(port)]) as menu:
        app = f'[app]\nurl = "http://127.0.0.1:{port}"\nanswer_url = "/answer"\nevent_url = "/event"\n'
        found = outcomes(room, f"{write(room.home, SALES, app=app)}")
        menu.terminate()

    assert found == {"sales": "passed"}


def test_an_application_is_started_anew_for_each_test_if_wanted(room: Room) -> None:
    counting = f'run = ["sh", "-c", "echo x >> starts; exec {sys.executable} menu.py $PORT"]'

    def starts(more: str) -> int:
        (room.home / "starts").write_text("")
        app = f'[app]\n{counting}\nanswer_url = "/answer"\nevent_url = "/event"\n{more}'
        found = outcomes(room, f"{write(room.home, SALES, GREETED, app=app)}")
        assert found == {"sales": "passed", "greeted": "passed"}
        return len((room.home / "starts").read_text().split())

    assert starts("") == 1
    assert starts("restart = true\n") == 2


def test_an_application_that_acts_after_its_reply_is_waited_for(room: Room) -> None:
    late = one_test("{ hear = 'welcome' }", "{ muted = true, within = 0 }")

    def run(settle: str) -> list[str]:
        path = write(room.home, late, app=f'{APP}env = {{ LATE = "1" }}\nsettle = "{settle}"\n')
        ran = room(f"test run {path}")
        return [ran.rows[0][0], ran.stderr.splitlines()[-1]]

    assert run("700ms") == [
        "passed",
        "1 passed. Requests that the application sent after it had answered all webhooks: 1.",
    ]


def test_other_parties_behave_as_the_file_says(room: Room) -> None:
    steps = "{ press = '1' }", "{ event = { status = 'busy' } }"

    path = write(room.home, one_test(*steps), app=f'{APP}far_ends = {{ "447700900002" = "200" }}\n')

    assert outcomes(room, f"{path}") == {"a test": "passed"}


def test_the_application_has_further_numbers_and_a_region(room: Room) -> None:
    call = 'call = { to = "15551230001", from = "447700900001" }'
    check = "{ run = 'voicectl call show {leg} --fields to.number', output = '15551230001' }"
    numbers = "{ run = 'voicectl number list', output = '15551230001' }"
    region = "{ run = 'voicectl app show --fields capabilities.voice.region', output = 'eu-west' }"
    app = f'{APP}numbers = ["15551230001"]\nregion = "eu-west"\n'

    path = write(room.home, one_test("{ hear = 'welcome' }", check, numbers, region, call=call), app=app)

    ran = room(f"test run {path}")
    assert (ran.exit_code, ran.stderr) == (0, "1 passed.\n")


def test_an_application_that_names_the_platform_s_hosts_reaches_the_sandbox(room: Room) -> None:
    create = "create = { path = '/call', json = { to = '447700900003', name = 'Ann' } }"
    app = f'{APP}intercept = true\nenv = {{ API_HOST = "https://api.nexmo.com" }}\n'

    path = write(room.home, one_test("{ hear = 'hello ann' }", call=create), app=app)

    assert outcomes(room, f"{path}") == {"a test": "passed"}


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (APP.replace("menu.py", "missing.py"), "before it was ready"),
        (APP.replace(sys.executable, "no-such-program"), "no-such-program cannot be run"),
        (f'{APP}ready = "/missing"\nstart_within = "300ms"\n', "/missing did not answer with 2xx"),
        ('[app]\nurl = "http://127.0.0.1:9"\nstart_within = 0\n', "nothing answered at http://127.0.0.1:9"),
        (f'{APP}cwd = "missing"\n', "cannot be run in"),
    ],
)
def test_an_application_that_is_not_ready_is_an_error_of_all_its_tests(
    room: Room, app: str, message: str
) -> None:
    path = write(room.home, SALES, GREETED, app=app)

    ran = room(f"test run {path}")

    assert ran.exit_code == 13
    assert [row[0] for row in ran.rows] == ["error", "error"]
    assert message in ran.stderr


def test_an_interrupted_run_ends_what_it_started_and_says_what_ran(room: Room) -> None:
    stuck = one_test("{ run = ['sh', '-c', 'echo $$ > pid; exec sleep 1000'] }", name="stuck")
    path = write(room.home, GREETED, stuck, SALES)
    child = room.spawn(f"test run {path} --junit results.xml")
    eventually((room.home / "pid").exists)
    eventually(lambda: (room.home / "pid").read_text().strip())

    child.send_signal(signal.SIGINT)
    out, err = child.communicate()

    assert child.returncode == 130
    assert out.decode().count("passed") == 1
    assert "1 passed, 2 not run." in err.decode()
    assert (room.home / "results.xml").read_text().count("<skipped") == 2
    assert not Path(f"/proc/{(room.home / 'pid').read_text().strip()}").exists()
