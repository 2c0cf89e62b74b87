"""The sandbox that the tests of a session share, and the application under test."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.core.scenarios.application import Running
from voicectl.core.scenarios.driver import Surroundings
from voicectl.core.scenarios.kinds import Table
from voicectl.core.scenarios.model import Application, Defaults, Scenario, Test
from voicectl.core.scenarios.stage import Stage
from voicectl.core.scenarios.steps import option
from voicectl.errors import VoicectlError
from voicectl.pytest_plugin.benches import open_bench
from voicectl.pytest_plugin.calls import VoiceSandbox
from voicectl.pytest_plugin.failing import failure, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest

    from voicectl.core.scenarios.suite import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings that the tests of a session share."""

    app: Application = option(
        Table(record=Application), "The application under test.", default_factory=Application
    )
    defaults: Defaults = option(Table(record=Defaults), "Settings for all tests.", default_factory=Defaults)


@contextmanager
def platform(given: Mapping[str, Any], config: pytest.Config) -> Iterator[VoicePlatform]:
    """Run a sandbox for the duration of the ``with`` block, and the application if *given* says how to start it."""
    settings: Settings = read(Table(record=Settings), dict(given))
    scenario = Scenario(path=config.rootpath / "pytest", app=settings.app, tests=())
    with ExitStack() as running:
        try:
            bench = running.enter_context(open_bench(scenario, config))
            is_known = settings.app.run is not None or settings.app.url is not None
            application = running.enter_context(bench.start()) if is_known else Running("", None)
        except VoicectlError as exc:
            raise failure(exc.message) from None
        yield VoicePlatform(bench, settings, application, config.rootpath)


class VoicePlatform:
    """A sandbox in place of the Voice API. Its clock moves only while a test waits for something.

    Attributes:
        url: The base URL of its APIs.
        environ: The environment variables for the application, with the sandbox's address and credentials.
    """

    def __init__(self, bench: Bench, settings: Settings, application: Running, directory: Path) -> None:
        self.url = bench.control.url
        self.environ = dict(bench.environ)
        self._bench = bench
        self._settings = settings
        self._application = application
        self._directory = directory

    def register(
        self, url: str, *, answer_url: str = "/answer", event_url: str = "/event", **more: Any
    ) -> None:
        """Let the sandbox send its webhooks to an application that runs.

        Args:
            url: The base URL of the application.
            more: Other keys that say where webhooks go, as in the table ``app`` of a scenario file.
        """
        __tracebackhide__ = True
        keys = {"url": url, "answer_url": answer_url, "event_url": event_url, **more}
        app: Application = read(Table(record=Application), keys)
        self._bench.register(app, url.rstrip("/"))

    def sandbox(self, name: str) -> VoiceSandbox:
        """Return the sandbox for the test *name*, without the calls of earlier tests."""
        surroundings = Surroundings(self._application, self._directory, self.environ, threading.Event())
        stage = Stage(self._bench.control, settle=self._settings.app.settle)
        return VoiceSandbox(Test(name=name, defaults=self._settings.defaults), stage, surroundings)
