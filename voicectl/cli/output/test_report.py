"""The results of tests: a record for each on standard output, and the details of failures on standard error."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from voicectl.cli.output.test_details import INDENT, WIDTH, details
from voicectl.cli.output.text import is_terminal, remark
from voicectl.cli.output.writer import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from voicectl.cli.output.writer import Writer
    from voicectl.core.scenarios.results import Outcome, Result
    from voicectl.core.scenarios.suite import Item

VIEW = View(
    columns=("outcome", "file", "name", "seconds", "call_seconds", "message", "number", "count"),
    more=("failures", "heard", "output", "settled", "unsettled"),
    id="name",
    line="{number}/{count} {outcome:7} {file}: {name} {seconds} s",
)


class Report:
    """Reports results as they come. At the end, says how many tests had which outcome.

    Args:
        items: The tests.
        junit: A file to which all results are written at the end, as JUnit XML, or None.
    """

    def __init__(self, out: Writer, items: Sequence[Item], *, junit: Path | None) -> None:
        self._out = out
        self._items = items
        self._junit = junit
        self._results: list[Result] = []

    @property
    def has_failed(self) -> bool:
        """True if a test has failed."""
        return any(result.has_failed for result in self._results)

    def __enter__(self) -> Self:
        """Return the report."""
        return self

    def add(self, result: Result) -> None:
        """Report one result."""
        self._results.append(result)
        self._out.add(_record(result) | {"number": len(self._results), "count": len(self._items)})
        self._out.flush()
        if result.has_failed:
            remark(f"{result.outcome}: {result.file}: {result.name}")
            for line in details(result, width=_width() - len(INDENT)):
                remark(f"{INDENT}{line}")

    def __exit__(
        self, _type: type[BaseException] | None, _exc: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Write the summary and the file, even if the run was interrupted."""
        remark(_summary(self._results, len(self._items)))
        if self._junit is not None:
            from voicectl.cli.output import junit  # noqa: PLC0415 (for this option only)

            junit.write(self._junit, self._results, self._items)


def _width() -> int:
    return shutil.get_terminal_size().columns if is_terminal(sys.stderr) else WIDTH


def _record(result: Result) -> dict[str, Any]:
    return {
        "outcome": result.outcome,
        "file": str(result.file),
        "name": result.name,
        "seconds": result.seconds,
        "call_seconds": result.call_seconds,
        "message": result.failures[0].message if result.failures else None,
        "failures": [
            {"kind": each.kind, "message": each.message, "where": each.where or None, "at": each.at}
            for each in result.failures
        ],
        "heard": [
            {"at": each.at, "party": each.party, "kind": each.kind, "text": each.text, "cut": each.was_cut}
            for each in result.heard
        ],
        "output": result.output,
        "settled": result.settled,
        "unsettled": result.unsettled,
    }


def _summary(results: Sequence[Result], count: int) -> str:
    outcomes: Counter[Outcome] = Counter(result.outcome for result in results)
    parts = [f"{number} {outcome}" for outcome, number in sorted(outcomes.items())]
    if len(results) < count:
        parts.append(f"{count - len(results)} not run")
    settled = sum(result.settled for result in results)
    unsettled = sum(result.unsettled for result in results)
    late = ""
    if settled or unsettled:
        late += f" Requests that the application sent after it had answered all webhooks: {settled}."
    if unsettled:
        late += f" Times that it was still sending requests when the wait for it ended: {unsettled}."
    return f"{', '.join(parts) or 'No tests'}.{late}"
