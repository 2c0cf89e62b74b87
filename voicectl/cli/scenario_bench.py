"""A sandbox and an application for the tests of one scenario file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from voicectl.cli.private_sandbox import private_sandbox
from voicectl.clock import Clock
from voicectl.core.sandbox_control import SandboxControl
from voicectl.core.scenarios import application
from voicectl.core.scenarios.model import Application, Scenario
from voicectl.core.scenarios.suite import Bench
from voicectl.sandbox.account.application_body import read_application
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.platform import Sandbox


@contextmanager
def open_bench(
    scenario: Scenario, environ: Mapping[str, str], clock: Clock, *, seed: int = 1
) -> Iterator[Bench]:
    """Run a frozen sandbox and the application of *scenario* for the duration of the ``with`` block.

    Args:
        environ: The environment variables, which the application gets with the sandbox's credentials.

    Raises:
        StartError: The application did not become ready.
    """
    app = scenario.app
    options = Options(seed=seed, frozen=True, limits=False)
    made: list[Sandbox] = []
    with (
        private_sandbox(environ, clock, options, intercept=app.intercept, prepare=made.append) as variables,
        application.running(
            app, port=application.free_port(), directory=scenario.path.absolute().parent, environ=variables
        ) as found,
    ):
        sandbox = made[0]
        own = sandbox.applications.by_id[sandbox.applications.own]
        sandbox.applications.replace(own, read_application(_settings(app, found.url)))
        yield Bench(SandboxControl(sandbox.url, source="The sandbox"), found)


def _settings(app: Application, base: str) -> dict[str, Any]:
    """Return the settings of the application under test in the format of the Application API."""

    def hook(url: str | None, method: str) -> dict[str, Any] | None:
        if url is None:
            return None
        return {"address": f"{base}{url}" if url.startswith("/") else url, "http_method": method}

    webhooks = {
        "answer_url": hook(app.answer_url, app.answer_method),
        "event_url": hook(app.event_url, app.event_method),
        "fallback_answer_url": hook(app.fallback_url, app.answer_method),
    }
    rtc = {"event_url": hook(app.rtc_event_url, "POST")}
    voice: dict[str, Any] = {"webhooks": {name: each for name, each in webhooks.items() if each}}
    if app.region is not None:
        voice["region"] = app.region
    return {
        "name": "sandbox",
        "capabilities": {
            "voice": voice,
            "rtc": {"webhooks": {name: each for name, each in rtc.items() if each}},
        },
    }
