"""How far the API's clock was ahead of ours when last seen, so that the next command's token is right at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECONDS = 86_460.0


def read(path: Path) -> float:
    """The offset in seconds; 0 where none is kept, or nothing that makes sense."""
    try:
        seconds = float(path.read_bytes()[:32])
    except (OSError, ValueError):
        return 0.0
    return seconds if abs(seconds) <= MAX_SECONDS else 0.0


def write(path: Path, seconds: float) -> None:
    """Keep the offset; where that is not possible the next command learns it again."""
    with suppress(OSError):
        if seconds:
            path.write_text(f"{seconds:.3f}")
        else:
            path.unlink(missing_ok=True)
