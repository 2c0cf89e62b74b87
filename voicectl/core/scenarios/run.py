"""Running one test: the steps in order, then the end of the call, then what holds of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.core.scenarios import acting, checks, creating, expectations, hearing, watching
from voicectl.core.scenarios.driver import Driver, StepFailed
from voicectl.core.scenarios.model import Expect
from voicectl.core.scenarios.results import Failure, Sound
from voicectl.core.scenarios.steps import (
    Awaited,
    Connected,
    Event,
    Fault,
    Hangup,
    Hear,
    HearAudio,
    HearExactly,
    HearMatching,
    InRoom,
    KeysHeard,
    Moved,
    Muted,
    NotHear,
    Press,
    Run,
    Say,
    Step,
    Wait,
    verb_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from voicectl.core.scenarios.driver import Surroundings
    from voicectl.core.scenarios.model import Test
    from voicectl.core.scenarios.results import Result
    from voicectl.core.scenarios.stage import Leg, Stage

_DO: dict[type[Step], Callable[[Driver, Any, Leg], None]] = {
    Hear: hearing.hear,
    HearExactly: hearing.hear_sound,
    HearMatching: hearing.hear_sound,
    HearAudio: hearing.hear_sound,
    NotHear: hearing.not_hear,
    KeysHeard: hearing.keys_heard,
    Press: acting.press,
    Say: acting.say,
    Wait: acting.wait,
    Hangup: acting.hang_up,
    Fault: acting.add_fault,
    Run: acting.run,
    Connected: watching.connected,
    InRoom: watching.in_room,
    Muted: watching.muted,
    Moved: watching.moved,
    Event: watching.event,
}


class Player:
    """One run of a test.

    Args:
        stage: The sandbox, in which nothing has happened yet.
        result: The result, to which failures are added.
    """

    def __init__(self, test: Test, stage: Stage, surroundings: Surroundings, result: Result) -> None:
        self._test = test
        self._stage = stage
        self._result = result
        self._driver = Driver(test, stage, surroundings, guard=self._guard)

    def run(self) -> None:
        """Run the test, and complete the result."""
        try:
            self._perform()
        finally:
            record(self._result, self._stage)

    def _perform(self) -> None:
        where = ""
        try:
            self._begin()
            for step in self._test.steps:
                where = step.where
                perform(self._driver, step)
            where = ""
            self._driver.wait_until(self._is_over, self._driver.defaults.linger)
        except StepFailed as exc:
            self._fail("step", str(exc), where)
        except checks.EndlessFlow as exc:
            self._fail(exc.kind, str(exc), where)
        else:
            self._end()
            for message in expectations.unmet(self._test.expect or Expect(), self._first(), self._stage):
                self._fail("expect", message)
        self._end()
        if self._driver.defaults.checks:
            self._check()

    def _begin(self) -> None:
        if self._test.create is not None:
            creating.create(self._driver, self._test.create)
        else:
            self._driver.party(None)

    def _first(self) -> Leg | None:
        return next(iter(self._stage.legs.values()), None)

    def _is_over(self) -> bool:
        return all(leg.is_over for leg in self._stage.legs.values())

    def _end(self) -> None:
        """Hang up what is still up, and let the application receive the last events."""
        for leg in list(self._stage.legs.values()):
            if not leg.is_over:
                self._stage.hang_up(leg)
        self._stage.look()

    def _guard(self) -> None:
        checks.refuse_loop(self._stage, self._driver.defaults.loops)

    def _check(self) -> None:
        counts_webhooks = self._test.expect is not None and self._test.expect.webhooks_failed is not None
        for found in checks.found(self._stage, with_webhooks=not counts_webhooks):
            self._result.add(found)

    def _fail(self, kind: str, message: str, where: str = "") -> None:
        self._result.add(Failure(kind=kind, message=message, where=where, at=self._stage.now))


def perform(driver: Driver, step: Step, leg: Leg | None = None) -> None:
    """Perform a step.

    Args:
        leg: The leg of the party who acts or hears. If it is None, the step names the party.

    Raises:
        StepFailed: The step failed. The message begins with the step.
    """
    within = step.within if isinstance(step, Awaited) else None
    try:
        _DO[type(step)](driver, step, driver.party(step.as_, within) if leg is None else leg)
    except StepFailed as exc:
        raise StepFailed(f"{shown(step)}: {exc}") from exc


def record(result: Result, stage: Stage) -> None:
    """Add to *result* what has happened on the stage."""
    result.call_seconds = stage.now
    result.log = stage.log
    result.settled, result.unsettled = stage.settled, stage.unsettled
    sounds = [
        Sound(at=each.at, party=leg.number, kind=each.kind, text=each.text, was_cut=each.was_cut)
        for leg in stage.legs.values()
        for each in leg.heard
    ]
    result.heard = sorted(sounds, key=lambda sound: sound.at)


def shown(step: Step) -> str:
    """Return *step* as text, for messages."""
    verb, value = verb_of(step)
    by = f"{step.as_}: " if step.as_ else ""
    return f"{by}{verb}" if isinstance(value, bool) else f"{by}{verb} {value!r}"
