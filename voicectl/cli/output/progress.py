"""Show the progress of downloads on a terminal, in one line that is removed after each file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from voicectl.cli.output.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator


def plain_console(stream: TextIO, *, is_colored: bool) -> Console:
    """Return a console for a terminal that shows text as it is, without markup or emoji codes.

    Args:
        stream: The terminal.
        is_colored: True if colors and styles such as bold may be used.
    """
    return Console(
        file=stream,
        force_terminal=True,
        color_system="auto" if is_colored else None,
        highlight=False,
        emoji=False,
        markup=False,
    )


class Bars:
    """Shows the progress of one file at a time.

    Args:
        count: The number of files to download.
    """

    def __init__(self, stream: TextIO, count: int, *, is_colored: bool) -> None:
        self._count = count
        self._number = 0
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=plain_console(stream, is_colored=is_colored),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @contextmanager
    def showing(self, name: str) -> Iterator[None]:
        """Show the progress of the next file, which is called *name*, for the duration of the ``with`` block."""
        self._number += 1
        self._task = self._progress.add_task(f"{self._number}/{self._count} {clean(name)}", total=None)
        self._progress.start()
        try:
            yield
        finally:
            self._progress.stop()
            self._progress.remove_task(self._task)

    def update(self, done: int, total: int | None) -> None:
        """Show that *done* of *total* bytes have arrived. *total* is None if the size is not known."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
