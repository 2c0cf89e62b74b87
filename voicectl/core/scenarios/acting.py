"""Steps in which a party, the test or the sandbox does something."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from voicectl.core.sandbox_faults import parse_fault
from voicectl.core.scenarios import application
from voicectl.core.scenarios.application import Process, StartError
from voicectl.core.scenarios.driver import StepFailed
from voicectl.errors import InputError

if TYPE_CHECKING:
    from voicectl.core.scenarios.driver import Driver
    from voicectl.core.scenarios.stage import Leg
    from voicectl.core.scenarios.steps import Fault, Hangup, Press, Run, Say, Wait

COMMAND_SECONDS = 60.0
"""How long a command may take, in real time."""

STOP_SECONDS = 0.1
"""How soon a command ends if the run of all tests ends, in seconds."""

MAX_SHOWN = 2000
DTMF, SPEECH = "dtmf", "speech"


def press(driver: Driver, step: Press, leg: Leg) -> None:
    """Press keys, once the application listens for them."""
    if not step.at_once:
        _await_listening(driver, step, leg, DTMF)
    _act(driver, "press", leg, digits=step.press)


def say(driver: Driver, step: Say, leg: Leg) -> None:
    """Say something, once the application listens for it."""
    if not step.at_once:
        _await_listening(driver, step, leg, SPEECH)
    _act(driver, "say", leg, text=step.say)


def hang_up(driver: Driver, step: Hangup, leg: Leg) -> None:  # noqa: ARG001 (all steps are called alike)
    """Hang up as the party."""
    _act(driver, "hangup", leg)


def wait(driver: Driver, step: Wait, leg: Leg) -> None:  # noqa: ARG001 (all steps are called alike)
    """Let time pass."""
    driver.advance(step.wait)


def add_fault(driver: Driver, step: Fault, leg: Leg) -> None:  # noqa: ARG001 (all steps are called alike)
    """Let the sandbox misbehave from now on."""
    try:
        driver.stage.add_fault(parse_fault(step.fault))
    except InputError as exc:
        raise StepFailed(exc.message) from exc


def run(driver: Driver, step: Run, leg: Leg) -> None:
    """Run a command, which acts on the sandbox, and check its exit status and output."""
    arguments = [each.replace("{leg}", leg.uuid) for each in application.words(step.run)]
    if arguments[0] == "voicectl":
        arguments[:1] = [sys.executable, "-m", "voicectl"]
    status, output = _run(driver, arguments)
    driver.stage.look()
    if status != step.exit:
        raise StepFailed(f"{application.described(status)} instead of {step.exit}: {output[:MAX_SHOWN]}")
    if step.output is not None and step.output not in output:
        raise StepFailed(f"{step.output!r} is not in its output: {output[:MAX_SHOWN]}")


def _run(driver: Driver, arguments: list[str]) -> tuple[int, str]:
    """Run a command to its end, and return its exit status and output."""
    surroundings = driver.surroundings
    try:
        process = Process(arguments, cwd=surroundings.directory, environ=surroundings.environ)
    except StartError as exc:
        raise StepFailed(exc.message) from exc
    deadline = time.monotonic() + COMMAND_SECONDS
    try:
        while (status := process.wait(STOP_SECONDS)) is None:
            driver.check_stop()
            if time.monotonic() > deadline:
                raise StepFailed(f"the command did not end within {COMMAND_SECONDS:g} s.")
    finally:
        process.end()
    return status, "\n".join(process.output_since())


def _await_listening(driver: Driver, step: Press | Say, leg: Leg, what: str) -> None:
    if not driver.wait_until(lambda: leg.is_up and what in leg.listens, driver.within(step)):
        over = f" The call ended at {leg.ended_at:g} s." if leg.ended_at is not None else ""
        kind = "keys" if what == DTMF else "speech"
        raise StepFailed(f"nothing listened for {kind} within {driver.within(step):g} s.{over}")


def _act(driver: Driver, what: str, leg: Leg, **fields: str) -> None:
    try:
        driver.stage.act(what, leg=leg.uuid, **fields)
    except InputError as exc:
        raise StepFailed(exc.message) from exc
