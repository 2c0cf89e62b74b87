"""Scenario files as pytest sees them: an item for each test, and one sandbox for each file."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from voicectl.cli.output.test_details import details
from voicectl.cli.output.text import clean
from voicectl.core.scenarios import reading
from voicectl.core.scenarios.reading import ScenarioError
from voicectl.errors import VoicectlError
from voicectl.pytest_plugin.failing import failure, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.core.scenarios.model import Scenario, Test


class ScenarioFile(pytest.File):
    """A scenario file. Its sandbox and application run from its first test until its last test is over."""

    _scenario: Scenario

    def collect(self) -> Iterator[ScenarioTest]:
        """Yield the tests of the file.

        Raises:
            CollectError: The file contains mistakes, or cannot be read.
        """
        try:
            self._scenario = reading.read(self.path)
        except ScenarioError as exc:
            raise self.CollectError(printable(exc.mistakes)) from exc
        except VoicectlError as exc:
            raise self.CollectError(printable([exc.message])) from exc
        for test in self._scenario.tests:
            yield ScenarioTest.from_parent(self, name=clean(test.name), test=test)

    def setup(self) -> None:
        """Start the sandbox."""
        # The sandbox is slow to load, and is not needed to collect tests.
        from voicectl.core.scenarios.suite import Station  # noqa: PLC0415
        from voicectl.pytest_plugin.benches import open_bench  # noqa: PLC0415

        self._running = ExitStack()
        try:
            bench = self._running.enter_context(open_bench(self._scenario, self.config))
        except VoicectlError as exc:
            raise failure(exc.message) from None
        self.station = Station(self._scenario, bench, threading.Event())
        self._running.callback(self.station.close)

    def teardown(self) -> None:
        """End the application and the sandbox."""
        self._running.close()


class ScenarioTest(pytest.Item):
    """A test of a scenario file."""

    parent: ScenarioFile

    def __init__(self, *, test: Test, **given: object) -> None:
        super().__init__(**given)  # type: ignore[arg-type]  # pytest's own arguments
        self._test = test

    def runtest(self) -> None:
        """Run the test, and fail with everything that explains a failure."""
        result = self.parent.station.run(self._test, self.name)
        if result.has_failed:
            raise failure("\n".join(details(result)))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the file and the name of the test, for reports."""
        return self.path, None, self.name
