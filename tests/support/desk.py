"""A machine for whole processes: its own clock, and ``voicectl`` on ``PATH``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voicectl.clock import SystemClock
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running

from .machines import Application, machine
from .room import Ran, Room
from .waiting import PATIENCE_SECONDS


@contextmanager
def desk(home: Path, application: Application) -> Iterator[Room]:
    """A room whose default profile is ``test`` and whose calls advance only by ``sandbox advance``."""
    sandbox = Sandbox(application[0], Options(seed=1, limits=False, frozen=True), clock=SystemClock())
    with running(sandbox) as url:
        room = machine(home, application, url)
        room.sandbox = sandbox
        room.clock = SystemClock()  # type: ignore[assignment]
        room.environ["PATH"] = f"{install(home / 'bin')}:{room.environ['PATH']}"
        yield room


def install(directory: Path) -> Path:
    """Write a script ``voicectl`` that runs this source, and return its directory.

    As with an installed script, the working directory is not on Python's path.
    """
    directory.mkdir()
    script = directory / "voicectl"
    script.write_text(f"#!{sys.executable}\nfrom voicectl.__main__ import main\n\nmain()\n")
    script.chmod(0o755)
    return directory


def shell(room: Room, script: str, **env: str) -> Ran:
    """Run *script* in bash."""
    ran = subprocess.run(
        ["bash", "-c", script],
        env=room.environ | env,
        cwd=room.home,
        capture_output=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
    out, err = (content.decode("utf-8", "backslashreplace") for content in (ran.stdout, ran.stderr))
    return Ran(ran.returncode, out, err)
