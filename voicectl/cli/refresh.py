"""Refresh the listings that completion reads, in a process that the shell does not wait for.

Completion starts the process at most once every 10 seconds (see :class:`~voicectl.store.live_cache.LiveCache`). The
process is silent, belongs to no terminal, and ends after :data:`LIFE_SECONDS` at the latest.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import redirect_stderr, suppress
from io import StringIO
from typing import TYPE_CHECKING

from voicectl.cli.context import App
from voicectl.clock import SystemClock
from voicectl.errors import VoicectlError
from voicectl.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.clock import Clock

LIFE_SECONDS = 10
REQUEST_TIMEOUT = "5"


def start(environ: Mapping[str, str]) -> None:
    """Start a process that refreshes the listings, and return immediately.

    Args:
        environ: The environment of the process, which selects the application.
    """
    words = [
        sys.executable,
        "-P",
        "-m",
        "voicectl.cli.refresh",
    ]  # -P: import nothing from the working directory
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    os.posix_spawn(sys.executable, words, environ, file_actions=nowhere)


def run(environ: Mapping[str, str], clock: Clock) -> None:
    """Store lists of the live legs and rooms for completion. Show nothing, and run no ``--key-command``."""
    app = App(clock=clock, environ=environ, interrupts=Interrupts())
    with app.closing, suppress(VoicectlError), redirect_stderr(StringIO()):
        name = app.target.profile
        if name is None or app.profiles.get(name).key_command is None:
            from voicectl.core import completion_refresh  # noqa: PLC0415 (not in the process that completes)

            app.options.request_timeout = REQUEST_TIMEOUT
            completion_refresh.refresh(app.state_directory, clock.time(), app.api, app.conversations)


if __name__ == "__main__":
    os.setsid()  # leave the terminal, so that it signals this process no more
    signal.alarm(LIFE_SECONDS)
    run(os.environ, SystemClock())
    os._exit(0)
