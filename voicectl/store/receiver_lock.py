"""A lock that shows whether a receiver of an application's webhooks is running on this machine.

Unlike a file with a process id, the lock does not outlive a receiver that is killed.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "receiver.lock"


@contextmanager
def receiving(directory: Path) -> Iterator[None]:
    """Hold the lock that shows that a receiver is running. The lock is released at the end of the ``with`` block.

    Several receivers may hold the lock at the same time. Errors are ignored.

    Args:
        directory: The application's state directory.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            handle = stack.enter_context(files.opened(directory / FILE, files.OWN))
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def is_receiving(directory: Path) -> bool:
    """Return True if a receiver of this user is running on this machine."""
    try:
        with files.opened(directory / FILE, os.O_RDWR | os.O_NOFOLLOW) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
