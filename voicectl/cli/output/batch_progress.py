"""Show the progress of a batch on a terminal, in one line that is removed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from voicectl.cli.output.progress import plain_console
from voicectl.cli.output.text import may_color

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicectl.core.batch.ledger import Tally


class BatchBar:
    """A bar with the number of people who have an outcome, the rate, the outcomes and the remaining time.

    Args:
        people: The number of people in the batch.
        monotonic: A function that returns the time in seconds on a clock that never goes backward.
    """

    def __init__(
        self, stream: TextIO, people: int, monotonic: Callable[[], float], *, environ: Mapping[str, str]
    ) -> None:
        self._monotonic = monotonic
        self._began: tuple[float, int] | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=plain_console(stream, is_colored=may_color(environ, stream)),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,
        )
        self._task = self._progress.add_task("starting", total=people)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._progress.stop()

    def update(self, tally: Tally) -> None:
        """Show the current counts."""
        now = self._monotonic()
        if self._began is None:
            self._began = (now, tally.done)
        since, done = self._began
        rate = (tally.done - done) / (now - since) if now > since else 0.0
        counts = " ".join(f"{outcome} {count}" for outcome, count in sorted(tally.outcomes.items()) if count)
        self._progress.update(
            self._task,
            completed=tally.done,
            description=f"{tally.live} live, {rate:.1f}/s {counts}".rstrip(),
        )
