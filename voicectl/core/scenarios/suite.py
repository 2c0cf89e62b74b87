"""Running the tests of scenario files, each file against one application and one sandbox."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.scenarios.results import Failure, Outcome, Result
from voicectl.core.scenarios.run import Run
from voicectl.core.scenarios.stage import Stage
from voicectl.errors import VoicectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from voicectl.core.sandbox_control import SandboxControl
    from voicectl.core.scenarios.application import Running
    from voicectl.core.scenarios.model import Scenario, Test


class Bench(NamedTuple):
    """A frozen sandbox, and the application that it calls."""

    control: SandboxControl
    application: Running


class Suite:
    """The tests of several files.

    Args:
        open_bench: A function that starts a sandbox and an application for a file.
        chooses: A function that returns True for the name of a test that should run.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        open_bench: Callable[[Scenario], AbstractContextManager[Bench]],
        *,
        chooses: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._scenarios = scenarios
        self._open_bench = open_bench
        self._chooses = chooses

    def run(self) -> Iterator[Result]:
        """Run the tests, and yield the result of each."""
        for scenario in self._scenarios:
            chosen = [test for test in scenario.tests if self._chooses(test.name)]
            if chosen:
                yield from self._file(scenario, chosen)

    def _file(self, scenario: Scenario, tests: Sequence[Test]) -> Iterator[Result]:
        with ExitStack() as stack:
            try:
                bench = stack.enter_context(self._open_bench(scenario))
            except VoicectlError as exc:
                for test in tests:
                    yield _broken(scenario, test, exc)
                return
            for test in tests:
                yield run_test(scenario, test, bench)


def run_test(scenario: Scenario, test: Test, bench: Bench) -> Result:
    """Run one test on *bench*, and return its result."""
    result = Result(name=test.name, file=scenario.path)
    began = time.perf_counter()
    try:
        bench.application.check()
        bench.control.post("/sandbox/reset")
        Run(test, Stage(bench.control), result).run()
        bench.application.check()
    except VoicectlError as exc:
        result.add(Failure(kind="application", message=exc.message))
        result.outcome = Outcome.ERROR
    result.output = bench.application.output
    result.seconds = time.perf_counter() - began
    return result


def _broken(scenario: Scenario, test: Test, exc: VoicectlError) -> Result:
    result = Result(name=test.name, file=scenario.path)
    result.add(Failure(kind="application", message=exc.message))
    result.outcome = Outcome.ERROR
    return result
