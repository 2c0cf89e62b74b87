"""A sandbox and an application for the tests of one scenario file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from voicectl.cli.private_sandbox import private_sandbox
from voicectl.clock import Clock
from voicectl.core.identity.profiles import ProfileStore
from voicectl.core.sandbox_control import SandboxControl
from voicectl.core.scenarios import application
from voicectl.core.scenarios.application import Running
from voicectl.core.scenarios.model import Application, Scenario
from voicectl.core.scenarios.suite import Bench
from voicectl.sandbox.account.application_body import read_application
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.in_process import InProcess
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.recordings import encoding
from voicectl.sandbox.recordings.espeak import INSTALLED
from voicectl.sandbox.recordings.recorded import PER_MS, sound
from voicectl.sandbox.telephony.actions import Format


@contextmanager
def open_bench(
    scenario: Scenario,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    seed: int = 1,
    profiles: ProfileStore | None = None,
) -> Iterator[Bench]:
    """Run a frozen sandbox for the application of *scenario* for the duration of the ``with`` block.

    Args:
        environ: The environment variables, which the application gets with the sandbox's credentials.
        profiles: Profiles among which is one for a sandbox, whose identity is used. Making one takes time.
    """
    app = scenario.app
    options = Options(seed=seed, frozen=True, limits=False, far_ends=app.far_ends)
    made: list[Sandbox] = []
    with private_sandbox(
        environ, clock, options, intercept=app.intercept, prepare=made.append, profiles=profiles
    ) as variables:

        @contextmanager
        def start() -> Iterator[Running]:
            port, directory = application.free_port(), scenario.path.absolute().parent
            with application.running(app, port=port, directory=directory, environ=variables) as found:
                register(app, found.url)
                yield found

        for number in app.numbers:
            made[0].numbers.add(number)
        register = partial(_register, made[0])
        control = SandboxControl(made[0].url, source="The sandbox", send=InProcess(made[0]))
        save_sound = partial(_save_sound, made[0])
        yield Bench(control=control, environ=variables, start=start, register=register, save_sound=save_sound)


def _save_sound(sandbox: Sandbox, uuid: str, path: Path) -> None:
    """Write what the party on a leg heard to the new file *path*, as WAV. Speech is spoken if espeak-ng is there."""
    leg = sandbox.exchange.legs[uuid]
    first, last = leg.created, leg.ended_at or sandbox.exchange.now
    encoding.write(
        path,
        lambda: sound([leg.audio.heard], first, last, INSTALLED),
        wanted=Format.WAV,
        channels=1,
        frames=(last - first) * PER_MS,
        library=None,
    )


def _register(sandbox: Sandbox, app: Application, base: str) -> None:
    """Let the sandbox's application send its webhooks to the application under test at *base*."""
    own = sandbox.applications.by_id[sandbox.applications.own]
    sandbox.applications.replace(own, read_application(_settings(app, base)))


def _settings(app: Application, base: str) -> dict[str, Any]:
    """Return the settings of the application under test in the format of the Application API."""

    def hooks(**given: tuple[str | None, str]) -> dict[str, Any]:
        return {
            name: {"address": f"{base}{url}" if url.startswith("/") else url, "http_method": method}
            for name, (url, method) in given.items()
            if url is not None
        }

    voice = hooks(
        answer_url=(app.answer_url, app.answer_method),
        event_url=(app.event_url, app.event_method),
        fallback_answer_url=(app.fallback_url, app.answer_method),
    )
    rtc = hooks(event_url=(app.rtc_event_url, "POST"))
    region = {} if app.region is None else {"region": app.region}
    return {
        "name": "sandbox",
        "capabilities": {"voice": {"webhooks": voice} | region, "rtc": {"webhooks": rtc}},
    }
