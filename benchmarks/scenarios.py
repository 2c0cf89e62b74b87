"""Measure tests of call flows: their speed, whether they are ever flaky, and how fast a menu is explored.

Run a part with ``python -m benchmarks.scenarios speed``, ``flaky --times 500`` or ``crawl``, in an environment for
development. Each prints its figures beside the goals.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.commands.test_test_crawl import TO
from tests.cli.commands.test_test_crawl import write as write_menu
from tests.flows.test_planted_faults import BANK, TESTS
from tests.support.scenarios import SALES, one_test, write

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS_OF_A_FILE = 20
STATES = 200
VOICECTL = [sys.executable, "-m", "voicectl"]


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """Keep processors busy for the duration of the ``with`` block."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in burners:
            each.kill()
            each.wait()


def run(home: Path, *words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a command, and return its duration in seconds and its result."""
    environ = {**os.environ, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    begun = time.monotonic()
    done = subprocess.run([*VOICECTL, *words], env=environ, capture_output=True, text=True)
    return time.monotonic() - begun, done


def twenty(home: Path) -> Path:
    """Write a file of 20 tests: all of the telephone bank, some of them several times with other callers."""
    (home / "bank.py").write_text(BANK)
    head, *tests = re.split(r"(?m)^(?=\[\[test\]\])", TESTS)
    chosen = (tests * 3)[:TESTS_OF_A_FILE]
    numbered = (re.sub(r'name = "', f'name = "{at} ', test, count=1) for at, test in enumerate(chosen))
    path = home / "bank.call.toml"
    path.write_text(head + "".join(numbered))
    return path


def speed(home: Path) -> None:
    """Time 100 tests, and the part of each that is not the first one's start."""
    path = write(home, SALES, *(one_test("{ hangup = true }", name=f"a call {n}") for n in range(99)))
    seconds, done = run(home, "test", "run", str(path))
    one, _ = run(home, "test", "run", str(path), "-k", "sales")
    passed = Counter(line.split("\t")[0] for line in done.stdout.splitlines())
    print(
        f"100 tests: {seconds:.1f} s (goal 10), {passed['passed']} passed;"
        f" {(seconds - one) / 99 * 1000:.0f} ms for each further test (goal 50)"
    )


def flaky(home: Path, times: int) -> None:
    """Run a file of 20 tests again and again, half of the runs beside processes that burn all processors."""
    path = twenty(home)
    outcomes: Counter[str] = Counter()
    for processes in (0, os.cpu_count() or 1):
        with burning(processes):
            _, done = run(home, "test", "run", str(path), "--repeat", str(times // 2), "-o", "jsonl")
        outcomes.update(json.loads(line)["outcome"] for line in done.stdout.splitlines())
        print(done.stderr[-2000:] if done.returncode else "", end="")
    print(
        f"{times} times {TESTS_OF_A_FILE} tests, half of them under load: {dict(outcomes)} (goal: all passed)"
    )


def crawl(home: Path) -> None:
    """Time the exploration of a menu whose application takes 2 ms for an answer."""
    path = write_menu(home, str(STATES))
    path.write_text(path.read_text().replace("[app]\n", '[app]\nenv = { ANSWER_SECONDS = "0.002" }\n'))
    seconds, done = run(home, "test", "crawl", str(path), "--to", TO, "-o", "json")
    found = json.loads(done.stdout)
    print(f"{found['state_count']} states, {found['walks']} calls: {seconds:.1f} s (goal 60)")


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["speed", "flaky", "crawl"])
    parser.add_argument("--times", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        match arguments.part:
            case "speed":
                speed(home)
            case "flaky":
                flaky(home, arguments.times)
            case _:
                crawl(home)


if __name__ == "__main__":
    main()
