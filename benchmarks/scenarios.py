"""Measure ``test run`` and ``test crawl``: the same tests again and again, 100 tests, and a menu of 200 states.

Run a part with ``python -m benchmarks.scenarios flaky``, ``speed`` or ``crawl``, in an environment for development.
Each prints its figures beside the goals.

``flaky`` runs a file of 20 tests 1,000 times, half of them beside processes that use up every processor. Its control
is an application that acts after its reply, and that is waited for just long enough on an idle machine: on a busy one
it must fail more often, or the measurement could not tell that a result depends on time. The control of ``speed``
sends the application the requests of one call without a sandbox; the rest of a test's time is its own overhead.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cli.commands.test_test_crawl import TO
from tests.cli.commands.test_test_crawl import write as write_menu
from tests.flows.test_repeated_runs import FILE, TESTS
from tests.support.busy import busy_machine
from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.scenarios import APP, MENU, one_test, write
from tests.support.waiting import eventually
from voicectl.clock import SystemClock

if TYPE_CHECKING:
    Results = list[dict[str, Any]]

SUITE = 100
SHORTEST = "a caller who leaves at once"
CONTROL_SETTLE = "60ms"
STATES = 200
ANSWER_SECONDS = 0.002


class Machine(Room):
    """A user's machine, on which the applications' ``python`` is that of this environment."""

    def __init__(self, home: Path) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        super().__init__(home, SystemClock(), environ={"PATH": path})  # type: ignore[arg-type]

    def run(self, path: Path, *options: str, times: int) -> Results:
        """Run the tests of a file several times, and return the results."""
        words = ["test", "run", "-o", "jsonl", str(path), "--repeat", str(times), *options]
        with self.spawn(words, stderr=subprocess.DEVNULL, text=True) as child:
            assert child.stdout is not None
            found = [json.loads(line) for line in child.stdout]
        return [{**each, "name": each["name"].partition(" (")[0]} for each in found]


class Stopwatch:
    """Measures the time in a ``with`` block, and that of the processors for processes that ended in it."""

    def __enter__(self) -> Stopwatch:
        self._cpu, self._began = self._cpu_seconds(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu_seconds = self._cpu_seconds() - self._cpu

    def _cpu_seconds(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime


def failed(results: Results) -> int:
    return sum(each["outcome"] != "passed" for each in results)


def flaky(machine: Machine, times: int) -> None:
    """Repeat the tests, half of the time beside processes that use up every processor, and count failures."""
    results: Results = []
    for is_busy in (False, True):
        with Stopwatch() as taken, busy_machine() if is_busy else nullcontext():
            results += machine.run(FILE, times=times // 2)
        print(f"{'busy' if is_busy else 'idle'}: {times // 2} times in {taken.seconds:.0f} s", flush=True)
    assert len(results) == TESTS * (times // 2) * 2
    reasons = Counter(f"{each['name']}: {each['message']}" for each in results if each["message"])
    for reason, count in reasons.items():
        print(f"  {count} times: {reason}")
    lengths = {(each["name"], each["call_seconds"]) for each in results}
    print(
        f"{len(results)} tests: {failed(results)} failed (goal 0),"
        f" {len(lengths) - TESTS} took another time on the call clock (goal 0)"
    )
    control(machine)


def control(machine: Machine) -> None:
    """Count the failures of a test whose application acts after its reply, and is hardly waited for."""
    test = one_test("{ hear = 'welcome' }", "{ muted = true, within = 0 }")
    app = f'{APP}env = {{ LATE = "1" }}\nsettle = "{CONTROL_SETTLE}"\n'
    path = write(machine.home, test, app=app)
    idle = failed(machine.run(path, times=TESTS))
    with busy_machine():
        busy = failed(machine.run(path, times=TESTS))
    print(f"control: {idle} of {TESTS} failed when idle, {busy} when busy (goal: more)")


def speed(machine: Machine) -> None:
    """Measure 100 tests, and the overhead of one."""
    for jobs in ("1", "2"):
        with Stopwatch() as taken:
            found = machine.run(FILE, "--jobs", jobs, times=SUITE // TESTS)
        assert (len(found), failed(found)) == (SUITE, 0)
        print(
            f"{SUITE} tests, {jobs} at once: {taken.seconds:.1f} s (goal 10),"
            f" {taken.cpu_seconds:.1f} s of processor time"
        )
    found = machine.run(FILE, "-k", SHORTEST, times=SUITE)
    assert (len(found), failed(found)) == (SUITE, 0)
    test = statistics.median(each["seconds"] * 1000 for each in found)
    alone = _application_alone()
    print(
        f"the shortest test: median {test:.1f} ms, its application alone {alone:.1f} ms,"
        f" own overhead {test - alone:.1f} ms (goal 50)"
    )


def _application_alone() -> float:
    """Return the median milliseconds in which the application replies to the webhooks of one call."""
    port = free_block(1)
    with subprocess.Popen([sys.executable, MENU, str(port)], stdout=subprocess.DEVNULL) as child:
        eventually(lambda: _responds(port))
        taken = []
        for _ in range(SUITE):
            began = time.perf_counter()
            _ask(port, "GET", "/answer")
            for status in ("started", "ringing", "answered", "completed"):
                _ask(port, "POST", "/event", {"status": status})
            taken.append((time.perf_counter() - began) * 1000)
        child.terminate()
    return statistics.median(taken)


def _responds(port: int) -> bool:
    try:
        _ask(port, "GET", "/answer")
    except OSError:
        return False
    return True


def _ask(port: int, method: str, path: str, body: object = None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, json.dumps(body))
    connection.getresponse().read()
    connection.close()


def crawl(machine: Machine) -> None:
    """Explore a menu whose application takes 2 ms for each reply."""
    path = write_menu(machine.home, str(STATES))
    path.write_text(
        path.read_text().replace("[app]\n", f'[app]\nenv = {{ ANSWER_SECONDS = "{ANSWER_SECONDS}" }}\n')
    )
    with Stopwatch() as taken:
        ran = machine.process(["test", "crawl", str(path), "--to", TO, "-o", "json"], timeout=3600)
    found = json.loads(ran.stdout)
    print(
        f"{found['state_count']} states in {found['walks']} calls: {taken.seconds:.1f} s (goal 60),"
        f" {taken.cpu_seconds:.1f} s of processor time, {found['finding_count']} findings (goal 0)"
    )


def main() -> None:
    """Run the part that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("flaky", "speed", "crawl"))
    parser.add_argument("--times", type=int, default=1000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        machine = Machine(Path(home))
        match chosen.part:
            case "flaky":
                flaky(machine, chosen.times)
            case "speed":
                speed(machine)
            case "crawl":
                crawl(machine)


if __name__ == "__main__":
    main()
