"""The calls of a test in Python, and the people in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from voicectl.cli.output.test_details import details
from voicectl.core.scenarios import checks
from voicectl.core.scenarios.checks import EndlessFlow
from voicectl.core.scenarios.driver import Driver, StepFailed
from voicectl.core.scenarios.kinds import Duration, Table
from voicectl.core.scenarios.model import CALLER, LINGER_SECONDS, Call
from voicectl.core.scenarios.results import Result
from voicectl.core.scenarios.run import perform, record
from voicectl.core.scenarios.steps import Include, StepKind
from voicectl.errors import VoicectlError
from voicectl.pytest_plugin.failing import failure, printable, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.core.scenarios.driver import Surroundings
    from voicectl.core.scenarios.model import Test
    from voicectl.core.scenarios.stage import Leg, Stage

T = TypeVar("T")


def _given(**keys: Any) -> dict[str, Any]:
    return {name: value for name, value in keys.items() if value is not None}


class Party:
    """A person in a call with the application.

    All times are on the call clock: numbers are seconds, texts are durations such as ``1m30s``. A method that waits
    fails the test after ``within``; by default after 10 seconds, or after 60 if it waits for the end of the call.

    Attributes:
        uuid: The id of the person's leg.
        number: The person's number.
    """

    def __init__(self, driver: Driver, leg: Leg) -> None:
        self.uuid = leg.uuid
        self.number = leg.number
        self._driver = driver
        self._leg = leg

    def hears(self, words: str, *, within: float | str | None = None) -> None:
        """Wait until the person hears these words, ignoring case, punctuation and markup."""
        __tracebackhide__ = True
        self.step(hear=words, **_given(within=within))

    def does_not_hear(self, words: str, *, within: float | str | None = None) -> None:
        """Fail if the person has heard these words, or hears them within a time."""
        __tracebackhide__ = True
        self.step(not_hear=words, **_given(within=within))

    def hears_audio(self, end_of_url: str, *, within: float | str | None = None) -> None:
        """Wait until the person hears an audio file whose URL ends so."""
        __tracebackhide__ = True
        self.step(hear_audio=end_of_url, **_given(within=within))

    def press(self, keys: str, *, within: float | str | None = None) -> None:
        """Press keys as soon as the application listens for them."""
        __tracebackhide__ = True
        self.step(press=keys, **_given(within=within))

    def say(self, words: str, *, within: float | str | None = None) -> None:
        """Say something as soon as the application listens for it."""
        __tracebackhide__ = True
        self.step(say=words, **_given(within=within))

    def connects_to(self, number: str, *, within: float | str | None = None) -> None:
        """Wait until the person is connected to another one."""
        __tracebackhide__ = True
        self.step(connected=number, **_given(within=within))

    def hangup(self) -> None:
        """Hang up."""
        __tracebackhide__ = True
        self.step(hangup=True)

    def ends(self, *, within: float | str = LINGER_SECONDS) -> None:
        """Wait until the person's call has ended."""
        __tracebackhide__ = True
        seconds: float = read(Duration(), within)
        if not attempt(lambda: self._driver.wait_until(lambda: self._leg.is_over, seconds)):
            raise failure(f"The call with {self.number} did not end within {seconds:g} s.", pytrace=True)

    def step(self, **keys: Any) -> None:
        """Perform any step of a scenario file: ``step(muted=True, within="5s")``."""
        __tracebackhide__ = True
        step = read(StepKind(), keys)
        if isinstance(step, Include):
            raise failure(
                "include: Sequences are only in scenario files. Write a function instead.", pytrace=True
            )
        attempt(lambda: perform(self._driver, step, self._leg))

    @property
    def heard(self) -> list[str]:
        """The texts, URLs and keys that the person has heard so far."""
        return [each.text for each in self._now().heard]

    @property
    def status(self) -> str:
        """The status of the leg, such as ``answered``."""
        return self._now().status

    @property
    def is_over(self) -> bool:
        """True if the call has ended."""
        return self._now().is_over

    def _now(self) -> Leg:
        self._driver.stage.look()
        return self._leg


class VoiceSandbox:
    """The sandbox during one test."""

    def __init__(self, test: Test, stage: Stage, surroundings: Surroundings) -> None:
        self._test = test
        self._stage = stage
        self._surroundings = surroundings
        self._mark = surroundings.application.mark()
        self._driver = Driver(test, stage, surroundings, guard=self._guard)

    def ring(self, to: str, *, from_: str = CALLER, **more: Any) -> Party:
        """Call the application, and return the caller.

        Args:
            to: The number that is called.
            from_: The number of the caller.
            more: Other keys of a call in a scenario file: ``region``, ``sip_headers``.
        """
        __tracebackhide__ = True
        fields = {"to": to, "from": from_, **more}
        read(Table(record=Call), fields)
        return Party(self._driver, attempt(lambda: self._stage.ring(fields)))

    def party(self, number: str) -> Party:
        """Return the person at *number*, whom the application has called or calls within 10 seconds."""
        __tracebackhide__ = True
        return Party(self._driver, attempt(lambda: self._driver.party(number)))

    def wait(self, seconds: float) -> None:
        """Let time pass on the call clock."""
        __tracebackhide__ = True
        attempt(lambda: self._driver.advance(seconds))

    @property
    def now(self) -> float:
        """The time on the call clock, in seconds since the test began."""
        return self._stage.now

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies of the webhooks that the application was sent, in order."""
        self._stage.look()
        bodies = (entry.get("body") for entry in self._stage.log if entry["kind"] == "webhook")
        return [body for body in bodies if isinstance(body, dict)]

    def end(self) -> None:
        """Let everybody hang up, and the application receive the last events."""
        for leg in list(self._stage.legs.values()):
            self._stage.hang_up(leg)
        self._stage.look()

    def check(self) -> None:
        """End the calls, and fail if the application made a mistake in them, as ``test run`` does."""
        self.end()
        if self._driver.defaults.checks:
            found = [each.message for each in checks.found(self._stage, with_webhooks=True)]
            if found:
                raise failure("\n".join(found))

    def shown(self) -> str:
        """Return the calls as text: what was heard, their ladder, and the application's output."""
        result = Result(name=self._test.name, file=self._surroundings.directory)
        record(result, self._stage)
        result.output = self._surroundings.application.output_since(self._mark)
        return printable(details(result))

    def _guard(self) -> None:
        checks.refuse_loop(self._stage, self._driver.defaults.loops)


def attempt(action: Callable[[], T]) -> T:
    """Return the result of an action. If it fails, fail the running test at the line that asked for it."""
    __tracebackhide__ = True
    try:
        return action()
    except (StepFailed, EndlessFlow) as exc:
        raise failure(str(exc), pytrace=True) from None
    except VoicectlError as exc:
        raise failure(exc.message, pytrace=True) from None
