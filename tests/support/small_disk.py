"""A file system that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE_BYTES = 600 * 1024


@contextmanager
def small_disk(directory: Path, *, left: int = SIZE_BYTES) -> Iterator[Path]:
    """Mount a small file system on *directory*, on which *left* bytes are free. Skip the test where that is refused.

    Yields:
        A file that takes up the rest, to be deleted.
    """
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        found = os.statvfs(directory)
        filling = directory / "filling"
        filling.write_bytes(bytes(max(found.f_bavail * found.f_frsize - left, 0)))
        yield filling
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
