"""Running the tests of scenario files, several at once, each against one application and one sandbox."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from voicectl.core.scenarios.application import StartError
from voicectl.core.scenarios.driver import Stopped, Surroundings
from voicectl.core.scenarios.results import Failure, Outcome, Result
from voicectl.core.scenarios.run import Player
from voicectl.core.scenarios.stage import Stage
from voicectl.errors import VoicectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from voicectl.core.sandbox_control import SandboxControl
    from voicectl.core.scenarios.application import Running
    from voicectl.core.scenarios.model import Application, Scenario, Test

    Keep = Callable[[Result, Stage, "Bench"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A frozen sandbox for the application of one file.

    Attributes:
        environ: The environment variables for commands, which select the sandbox.
        start: A function that starts the application, and points the sandbox's webhooks to it.
        register: A function that points the sandbox's webhooks to an application that runs, by its settings and its
            base URL.
        save_sound: A function that takes the id of a leg and the path of a new file, and writes what the party on the
            leg heard, as WAV.
    """

    control: SandboxControl
    environ: Mapping[str, str]
    start: Callable[[], AbstractContextManager[Running]]
    register: Callable[[Application, str], None]
    save_sound: Callable[[str, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A test to run, with the name under which it is reported."""

    scenario: Scenario
    test: Test
    name: str


def _keep_nothing(_result: Result, _stage: Stage, _bench: Bench) -> None:
    pass


class Station:
    """A sandbox, and the application while it runs. An application that has ended is started anew.

    Args:
        stop: An event that ends a test early.
        keep: A function that is called after each test, before the sandbox forgets it.
    """

    def __init__(
        self, scenario: Scenario, bench: Bench, stop: threading.Event, keep: Keep = _keep_nothing
    ) -> None:
        self._scenario = scenario
        self._keep = keep
        self._bench = bench
        self._stop = stop
        self._running = ExitStack()
        self._application: Running | None = None

    def run(self, test: Test, name: str) -> Result:
        """Run one test, and return its result.

        Raises:
            Stopped: The event was set before the test was over.
        """
        result = Result(name=name, file=self._scenario.path)
        began = time.perf_counter()
        try:
            application = self._ready()
            mark = application.mark()
            directory = self._scenario.path.absolute().parent
            surroundings = Surroundings(application, directory, self._bench.environ, self._stop)
            stage = Stage(self._bench.control, settle=self._scenario.app.settle)
            Player(test, stage, surroundings, result).run()
            result.output = application.output_since(mark)
            self._keep(result, stage, self._bench)
            application.check(in_doubt=result.has_failed)
        except VoicectlError as exc:
            if self._stop.is_set():
                raise Stopped from exc
            result.add(Failure(kind="application", message=exc.message))
            result.outcome = Outcome.ERROR
        if not result.has_failed:
            result.log = []  # large, and shown for failures only
        result.seconds = round(time.perf_counter() - began, 3)
        return result

    def _ready(self) -> Running:
        """Return the application, which is started if it does not run or must start anew for each test."""
        if self._application is not None and (self._scenario.app.restart or self._application.has_ended):
            self.close()
        if self._application is None:
            self._application = self._running.enter_context(self._bench.start())
        return self._application

    def close(self) -> None:
        """End the application."""
        self._application = None
        self._running.close()

    def abandon(self) -> None:
        """Let a test that waits for the application go on at once, from another thread."""
        if (application := self._application) is not None:
            application.kill()


class Suite:
    """The tests of several files.

    Args:
        items: The tests, in order.
        open_bench: A function that starts a sandbox for a file.
        jobs: How many tests may run at once. Each job has its own sandbox and application.
        keep: A function that is called after each test, in the thread of its job.
    """

    def __init__(
        self,
        items: Sequence[Item],
        open_bench: Callable[[Scenario], AbstractContextManager[Bench]],
        *,
        jobs: int = 1,
        keep: Keep = _keep_nothing,
    ) -> None:
        self._keep = keep
        self._work = _Work(items)
        self._count = len(items)
        self._open_bench = open_bench
        self._jobs = max(1, min(jobs, len(items)))
        self._stop = threading.Event()
        self._stations: set[Station] = set()
        self._results: SimpleQueue[Result | BaseException | None] = SimpleQueue()

    @contextmanager
    def running(self) -> Iterator[Iterator[Result]]:
        """Run the tests for the duration of the ``with`` block, and yield their results as they come.

        At the end of the block, tests that are still running are given up, and everything that was started is ended.
        """
        threads = [threading.Thread(target=self._run_job, name=f"job {at}") for at in range(self._jobs)]
        for thread in threads:
            thread.start()
        try:
            yield self._take(len(threads))
        finally:
            self._stop.set()
            for station in list(self._stations):
                station.abandon()
            for thread in threads:
                thread.join()

    def _take(self, jobs: int) -> Iterator[Result]:
        while jobs:
            found = self._results.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                jobs -= 1
            else:
                yield found

    def _run_job(self) -> None:
        try:
            self._work_off()
        except Stopped:
            pass
        except BaseException as exc:  # noqa: BLE001 (raised in the main thread)
            self._results.put(exc)
        self._results.put(None)

    def _work_off(self) -> None:
        scenario: Scenario | None = None
        while not self._stop.is_set() and (scenario := self._work.next_file(scenario)) is not None:
            try:
                with self._station(scenario) as station:
                    while not self._stop.is_set() and (item := self._work.take(scenario)) is not None:
                        self._results.put(station.run(item.test, item.name))
            except StartError as exc:
                self._fail(scenario, exc)

    @contextmanager
    def _station(self, scenario: Scenario) -> Iterator[Station]:
        with self._open_bench(scenario) as bench:
            station = Station(scenario, bench, self._stop, self._keep)
            self._stations.add(station)
            try:
                yield station
            finally:
                self._stations.discard(station)
                station.close()

    def _fail(self, scenario: Scenario, exc: StartError) -> None:
        """Report the tests of a file whose sandbox cannot be started as errors."""
        while (item := self._work.take(scenario)) is not None:
            result = Result(name=item.name, file=scenario.path, outcome=Outcome.ERROR)
            result.failures.append(Failure(kind="application", message=exc.message))
            self._results.put(result)


class _Work:
    """The tests that have not begun. A job goes on with its file, then takes one that no other job has."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._lock = threading.Lock()
        self._items: dict[int, deque[Item]] = {}
        self._jobs: dict[int, int] = {}
        for item in items:
            self._items.setdefault(id(item.scenario), deque()).append(item)

    def take(self, scenario: Scenario) -> Item | None:
        """Return the next test of a file, or None if all have begun."""
        with self._lock:
            waiting = self._items[id(scenario)]
            return waiting.popleft() if waiting else None

    def next_file(self, last: Scenario | None) -> Scenario | None:
        """Return a file with tests that have not begun, or None. *last* is the file that the job is done with."""
        with self._lock:
            if last is not None:
                self._jobs[id(last)] -= 1
            waiting = [file for file, items in self._items.items() if items]
            if not waiting:
                return None
            chosen = min(waiting, key=lambda file: (self._jobs.get(file, 0), -len(self._items[file])))
            self._jobs[chosen] = self._jobs.get(chosen, 0) + 1
            return self._items[chosen][0].scenario
