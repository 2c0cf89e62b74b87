"""A file with the last known offset between the API's clock and this machine's clock.

The times in tokens are computed with this offset.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECONDS = 86_460.0


def read(path: Path) -> float:
    """Return the offset stored at *path*, in seconds, or 0 if no plausible offset is stored."""
    try:
        seconds = float(path.read_bytes()[:32])
    except (OSError, ValueError):
        return 0.0
    return seconds if abs(seconds) <= MAX_SECONDS else 0.0


def write(path: Path, seconds: float) -> None:
    """Store an offset in seconds. Errors are ignored, since the next command can determine the offset again."""
    with suppress(OSError):
        if seconds:
            path.write_text(f"{seconds:.3f}")
        else:
            path.unlink(missing_ok=True)
