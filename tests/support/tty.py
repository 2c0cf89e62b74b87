"""A command on its own terminal, and the screen that it shows."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import pexpect
import pyte

from .room import Room
from .waiting import PATIENCE_SECONDS

SWITCH = re.compile(rb"\x1b\[\?1049([hl])")
LONGEST_SWITCH = 8

CTRL_Z = "\x1a"
JOB = """
set -m
"$@"
echo "[stopped: $?]"
read -r
fg >/dev/null
echo "[ended: $?]"
"""
"""A shell with job control, which continues a stopped command when a line is typed."""


class Tty:
    """A command on its own terminal; use it in a ``with`` block.

    Args:
        shell: A line of a shell that runs the command, as ``"$@"``.
        is_job: True to run the command in a shell with job control, as :data:`JOB` says.

    Attributes:
        raw: All output.
        is_alternate: True while the alternate screen is shown.
        has_cursor: True while the cursor is shown.
    """

    def __init__(
        self,
        room: Room,
        line: str,
        *,
        columns: int = 120,
        rows: int = 24,
        env: dict[str, str] | None = None,
        is_job: bool = False,
        shell: str | None = None,
    ) -> None:
        environ = {name: value for name, value in room.environ.items() if name != "COLUMNS"}
        environ |= {"TERM": "xterm-256color"} | (env or {})
        self.raw = b""
        self.is_alternate = False
        self._rest = b""
        self._normal = pyte.Screen(columns, rows)
        self._alternate = pyte.Screen(columns, rows)
        self._streams = {False: pyte.ByteStream(self._normal), True: pyte.ByteStream(self._alternate)}
        words = [sys.executable, "-m", "voicectl", *shlex.split(line)]
        if is_job:
            words = ["bash", "--norc", "--noprofile", "-c", JOB, "bash", *words]
        if shell is not None:
            words = ["bash", "--norc", "--noprofile", "-c", shell, "bash", *words]
        self._child = pexpect.spawn(
            words[0],
            words[1:],
            env=environ,
            cwd=str(room.home),
            dimensions=(rows, columns),
            timeout=PATIENCE_SECONDS,
        )

    def __enter__(self) -> Tty:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)

    @property
    def has_cursor(self) -> bool:
        shown, hidden = self.raw.rfind(b"\x1b[?25h"), self.raw.rfind(b"\x1b[?25l")
        return shown >= hidden

    @property
    def lines(self) -> list[str]:
        """The lines shown, without trailing blanks."""
        screen = self._alternate if self.is_alternate else self._normal
        return [line.rstrip() for line in screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def styles(self) -> set[bytes]:
        """The colour and weight codes that were written."""
        return set(re.findall(rb"\x1b\[([0-9;]*)m", self.raw)) - {b"", b"0"}

    def until(self, is_shown: str | Callable[[Tty], bool]) -> str:
        """Wait for a text, or for a condition on the screen, and return the screen."""

        def is_there() -> bool:
            return is_shown in self.text if isinstance(is_shown, str) else is_shown(self)

        give_up = time.monotonic() + PATIENCE_SECONDS
        while not is_there():
            try:
                left = give_up - time.monotonic()
                assert left > 0, f"{is_shown!r} was never shown:\n{self.text}"
                self._take(self._child.read_nonblocking(65_536, left))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF as exc:
                raise AssertionError(f"It ended without {is_shown!r}:\n{self.text}") from exc
        return self.text

    def until_all(self, *texts: str) -> None:
        """Wait until all *texts* are shown at once, since a screen may be drawn in parts."""
        self.until(lambda tty: all(text in tty.text for text in texts))

    def type(self, keys: str) -> None:
        self._child.send(keys)

    def send_signal(self, signum: int) -> None:
        self._child.kill(signum)

    def resize(self, *, columns: int, rows: int) -> None:
        for screen in (self._normal, self._alternate):
            screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    def end(self) -> int:
        """Wait until the command has ended and all its output is shown; return the exit status."""
        with suppress(pexpect.EOF):
            while True:
                self._take(self._child.read_nonblocking(65_536, PATIENCE_SECONDS))
        self._child.close()
        assert self._child.exitstatus is not None, f"signal {self._child.signalstatus}"
        return int(self._child.exitstatus)

    def _take(self, content: bytes) -> None:
        """Show *content*, each part on the screen it was written to."""
        self.raw += content
        rest = self._rest + content
        while found := SWITCH.search(rest):
            self._streams[self.is_alternate].feed(rest[: found.start()])
            self.is_alternate = found[1] == b"h"
            rest = rest[found.end() :]
        begun = rest.rfind(b"\x1b")
        is_partial = begun >= 0 and len(rest) - begun < LONGEST_SWITCH
        self._rest = rest[begun:] if is_partial else b""
        self._streams[self.is_alternate].feed(rest[:begun] if is_partial else rest)
