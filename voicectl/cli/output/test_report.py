"""The results of tests, as lines: one for each test, and what a failed test expected and heard."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from voicectl.cli.output.text import clean
from voicectl.core.scenarios.results import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.cli.terminal import Terminal
    from voicectl.core.scenarios.results import Result

OUTPUT_LINES = 20


class Lines:
    """Writes the results of tests as they come."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._counts: Counter[Outcome] = Counter()

    @property
    def has_failed(self) -> bool:
        """True if a test has failed."""
        return bool(self._counts[Outcome.FAILED] + self._counts[Outcome.ERROR])

    def add(self, result: Result) -> None:
        """Write one result."""
        self._counts[result.outcome] += 1
        self._terminal.write("".join(f"{clean(line)}\n" for line in _lines(result)))

    def close(self) -> None:
        """Write the number of tests with each outcome."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._counts.items())
        self._terminal.write(f"{counts or 'no tests'}\n")


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.outcome.upper():7} {result.file}: {result.name} ({result.seconds:.2f} s)"
    if result.outcome is Outcome.PASSED:
        return
    for failure in result.failures:
        where = f"{failure.where}: " if failure.where else ""
        first, *more = failure.message.splitlines()
        yield f"  {where}{first} (at {failure.at:g} s)"
        yield from (f"    {line}" for line in more)
    if result.heard:
        yield "  Heard:"
    for sound in result.heard:
        cut = " (cut off)" if sound.was_cut else ""
        yield f"    {sound.at:8.2f} s  {sound.party}  {sound.kind}  {sound.text}{cut}"
    if result.output:
        yield "  Output of the application:"
    yield from (f"    {line}" for line in result.output[-OUTPUT_LINES:])
