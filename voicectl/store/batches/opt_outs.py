"""The numbers whose owners have asked not to be called again, in a file that all batches of an application share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from voicectl import times
from voicectl.errors import StoreError
from voicectl.store import files
from voicectl.store.sqlite_faults import reason

if TYPE_CHECKING:
    from pathlib import Path


class OptOuts:
    """The numbers, each on a line of its own with the time and the batch.

    Args:
        directory: The application's state directory.

    Raises:
        StoreError: The file cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "opt-outs"
        try:
            content = self._path.read_text("utf-8", "replace")
        except FileNotFoundError:
            content = ""
        except OSError as exc:
            raise self._unusable(exc) from exc
        self._numbers = {line.split("\t")[0] for line in content.splitlines() if line}

    def __contains__(self, number: object) -> bool:
        """Return True if the owner of *number* has asked not to be called again."""
        return number in self._numbers

    def add(self, number: str, batch: str, now: float) -> None:
        """Add a number durably.

        Raises:
            StoreError: The file cannot be written.
        """
        if number in self._numbers:
            return
        line = f"{number}\t{times.utc(now)}\t{batch}\n"
        try:
            with files.opened(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW) as handle:
                size = os.fstat(handle).st_size
                if (
                    size and os.pread(handle, 1, size - 1) != b"\n"
                ):  # the rest of a line that was being written
                    line = f"\n{line}"
                files.write_whole(handle, line.encode())
                os.fsync(handle)
        except OSError as exc:
            raise self._unusable(exc) from exc
        self._numbers.add(number)

    def _unusable(self, exc: OSError) -> StoreError:
        return StoreError(
            f"The opt-out list {self._path} cannot be used: {reason(exc, self._path)}.",
            hint="No call is made until the opt-out list can be read. Correct the problem.",
        )
