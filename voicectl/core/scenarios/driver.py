"""The parties of a test and waiting on the call clock, which all steps share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from threading import Event

    from voicectl.core.scenarios.application import Running
    from voicectl.core.scenarios.model import Call, Defaults, Test
    from voicectl.core.scenarios.stage import Leg, Stage
    from voicectl.core.scenarios.steps import Awaited

T = TypeVar("T")


class StepFailed(Exception):
    """Raised if a step fails. The message says what happened instead of what was expected."""


class Stopped(Exception):
    """Raised if the run of all tests ends before a test is over."""


class Surroundings(NamedTuple):
    """The application under test, and where the commands of a test run.

    Attributes:
        environ: The environment variables for commands, which select the sandbox.
        stop: An event that ends the test early.
    """

    application: Running
    directory: Path
    environ: Mapping[str, str]
    stop: Event


class Driver:
    """The parties of one test, and the sandbox's clock, which it drives from due time to due time.

    Args:
        guard: A function that is called after each due time, and that raises an exception to end the test.

    Attributes:
        listened: How many of the words that each leg's party heard were expected by earlier steps.
        used: The positions of the log's entries that earlier steps have waited for.
    """

    def __init__(
        self, test: Test, stage: Stage, surroundings: Surroundings, guard: Callable[[], None] = lambda: None
    ) -> None:
        assert test.defaults is not None  # noqa: S101 (the reader sets it)
        self.test = test
        self.stage = stage
        self.surroundings = surroundings
        self.defaults: Defaults = test.defaults
        self.listened: dict[str, int] = {}
        self.used: set[int] = set()
        self._guard = guard
        self._callers: dict[str, Leg] = {}
        self._calls = {"": test.call} if test.call else test.callers

    def wait_for(self, found: Callable[[], T | None], within: float) -> T | None:
        """Let time pass until *found* returns a value, at most for *within* seconds. Return the value, or None."""
        deadline = round(self.stage.now + within, 3)
        while (value := found()) is None:
            if self.stage.now >= deadline:
                return None
            self._step(deadline)
        return value

    def wait_until(self, is_so: Callable[[], bool], within: float) -> bool:
        """Let time pass until *is_so* returns True, at most for *within* seconds. Return False if it never did."""
        return self.wait_for(lambda: True if is_so() else None, within) is not None

    def advance(self, seconds: float) -> None:
        """Let time pass on the call clock."""
        end = round(self.stage.now + seconds, 3)
        while self.stage.now < end:
            self._step(end)

    def check_stop(self) -> None:
        """Raise :class:`Stopped` if the test must end early."""
        if self.surroundings.stop.is_set():
            raise Stopped

    def _step(self, until: float) -> None:
        self.check_stop()
        self.stage.step(until)
        self._guard()

    def within(self, step: Awaited) -> float:
        """Return how long *step* may wait, in seconds."""
        return self.defaults.within if step.within is None else step.within

    def party(self, name: str | None, within: float | None = None) -> Leg:
        """Return the leg of a party. A caller who has not called yet calls now.

        Args:
            name: The name of a caller, the number of another party, or None for the first party of the test.
            within: How long to wait until the application calls the party, in seconds, or None for the default.

        Raises:
            StepFailed: There is no call with the party.
        """
        within = self.defaults.within if within is None else within
        if name is None and not self._calls:
            return self._called(within)
        name = next(iter(self._calls)) if name is None else name
        if name in self._callers:
            return self._callers[name]
        if name in self._calls:
            self._callers[name] = leg = self._ring(self._calls[name])
            return leg
        leg_of = self.wait_for(lambda: self.stage.of(name), within)
        if leg_of is None:
            raise StepFailed(f"there was no call with {name} within {within:g} s.")
        return leg_of

    def _called(self, within: float) -> Leg:
        """Return the leg of the party whom the application called first."""
        leg = self.wait_for(lambda: next(iter(self.stage.legs.values()), None), within)
        if leg is None:
            raise StepFailed(f"the application made no call within {within:g} s.")
        return leg

    def _ring(self, call: Call) -> Leg:
        body = {"from": call.from_, "to": call.to, "region": call.region, "sip_headers": call.sip_headers}
        return self.stage.ring({name: value for name, value in body.items() if value})
