"""Make the pictures of the README: the output of a command on a terminal, with its own sandbox and clock.

::

    python docs/make_screens.py [--into DIRECTORY]

The pictures are the same each time, so that a test can detect an outdated one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from voicectl.cli.app import run
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.errors import Interrupted
from voicectl.sandbox.account.identity import Options, new_identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS, ROWS = 100, 30
BEGINS = 1_770_000_000.0
SIGINT = 2
LEFT_BEHIND = "\x1b[?1049l"
FONT = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


class Clock:
    """A clock that moves only when a thread sleeps, and then runs the happenings that are due."""

    def __init__(self) -> None:
        self._now = BEGINS
        self._happenings: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - BEGINS + 1000

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        due = [each for each in self._happenings if each[0] <= self._now]
        self._happenings = [each for each in self._happenings if each not in due]
        for _, happen in due:
            happen()

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self._happenings.append((self._now + seconds, happen))


def watch() -> None:
    """Run ``watch`` on this terminal, with a conference, a ringing call and some that have ended."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        identity, private_key = new_identity()
        with running(Sandbox(identity, Options(seed=5, limits=False), clock=clock)) as url:
            profile = Profile(
                name="support", application_id=identity.application_id, base_url=url, from_=identity.number
            )
            ProfileStore(home / "config").add(
                profile,
                key=keys.parse(private_key, where="the sandbox"),
                signature_secret=identity.signature_secret,
            )
            environ = {"HOME": str(home), "TERM": "xterm-256color"}
            environ |= {
                "VOICECTL_CONFIG_DIR": str(home / "config"),
                "VOICECTL_STATE_DIR": str(home / "state"),
            }

            def voicectl(line: str, **more: str) -> str:
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
                    assert run(shlex.split(line), clock=clock, environ=environ | more) == 0, line
                return printed.getvalue().strip()

            def call(number: str, options: str) -> str:
                return voicectl(f"call create --to {number} {options} -q")

            def leave() -> None:
                raise Interrupted(SIGINT)

            flow = home / "join.json"
            flow.write_text('[{"action": "conversation", "name": "support-17"}]')
            ring = f"sandbox ring --to {identity.number} --from 447700900017 --ncco {flow}"
            conference = "--talk 'One moment.' --join support-17 --wait answered"
            machine = "--machine-detection continue --talk Hello --join box"
            call("447700900005", "--talk Hello --join sales --wait answered")
            clock.after(60, lambda: voicectl(ring, VOICECTL_SANDBOX=url))
            clock.after(75, lambda: voicectl(f"earmuff {call('447700900042', conference)}"))
            clock.after(90, lambda: voicectl(f"mute {call('447700900031', conference)}"))
            clock.after(170, lambda: call("447700900300", machine))
            clock.after(180, lambda: call("447700900200", "--talk Hello"))
            clock.after(188, lambda: call("447700900202", "--talk Hello"))
            clock.after(200, leave)
            run(["watch"], clock=clock, environ=environ)


SCREENS: dict[str, Callable[[], None]] = {"watch": watch}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, metavar="DIRECTORY")
    parser.add_argument("--show", choices=SCREENS, help="Show it on this terminal.")
    options = parser.parse_args()
    if options.show:
        SCREENS[options.show]()
        return
    for name in SCREENS:
        (options.into / f"{name}.svg").write_text(picture(name))


def picture(name: str) -> str:
    """Return the output of a command on its own terminal, as SVG without external fonts."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    child = subprocess.Popen(
        [sys.executable, __file__, "--show", name],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65_536):
            written += part
    os.close(ours)
    assert child.wait(60) == 0, written.decode(errors="replace")
    shown = written.decode().replace("\r\n", "\n").rpartition(LEFT_BEHIND)[2].replace("\x1b[?25h", "")
    console = Console(
        file=io.StringIO(), width=COLUMNS, record=True, force_terminal=True, legacy_windows=False
    )
    console.print(Text.from_ansi(shown.strip("\n")), no_wrap=True, crop=False)
    return FONT.sub("\n", console.export_svg(title=f"voicectl {name}", unique_id=name))


if __name__ == "__main__":
    main()
