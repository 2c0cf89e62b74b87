"""The outcomes of tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Outcome(StrEnum):
    """The outcome of a test."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """The application did not start, for example."""

    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that a test found.

    Attributes:
        kind: ``step``, ``expect``, ``application``, or the name of one of the checks that are always made.
        message: What was expected, and what happened instead.
        where: The file and line of the step, or an empty string.
        at: The time on the call clock, in seconds since the test began.
    """

    kind: str
    message: str
    where: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A sound that a party heard.

    Attributes:
        at: The time on the call clock at which it began, in seconds since the test began.
        party: The name or number of the party.
        text: The words, the URL or the keys.
        was_cut: True if it was stopped before its end.
    """

    at: float
    party: str
    kind: str
    text: str
    was_cut: bool = False


@dataclass(slots=True, kw_only=True)
class Result:
    """The outcome of one test.

    Attributes:
        file: The scenario file.
        seconds: How long the test took, in real time.
        call_seconds: How long it took on the call clock.
        heard: What the parties heard, in order.
        output: The application's last lines of output during the test.
        log: The sandbox's log of a test that failed.
        settled: How often the application acted only after it had answered, and how often that wait was cut short.
    """

    name: str
    file: Path
    outcome: Outcome = Outcome.PASSED
    seconds: float = 0.0
    call_seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    heard: list[Sound] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    settled: int = 0
    unsettled: int = 0

    @property
    def has_failed(self) -> bool:
        """True if the test failed, or could not be run."""
        return self.outcome in (Outcome.FAILED, Outcome.ERROR)

    def add(self, failure: Failure) -> None:
        """Add a failure, once."""
        if failure not in self.failures:
            self.failures.append(failure)
            self.outcome = Outcome.FAILED
