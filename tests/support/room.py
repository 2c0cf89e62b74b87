"""Running voicectl in a test: whole commands against a sandbox on a loopback port, with a shared clock."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from voicectl.cli.app import run
from voicectl.sandbox.platform import Sandbox

from .clock import FakeClock
from .waiting import PATIENCE_SECONDS

PERSON = "447700900001"
BUSY = "447700900200"
DECLINES = "447700900201"
RINGS = "447700900202"
BY_HAND = "447700900600"

POSIX = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.stdout.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The error that ``-o json`` writes to standard error."""
        return next(
            json.loads(line)["error"] for line in self.stderr.splitlines() if line.startswith('{"error"')
        )


class Stream(io.TextIOWrapper):
    """A standard stream that may claim to be a terminal."""

    def __init__(self, content: bytes = b"", *, is_terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


@dataclass
class Room:
    """A user's machine: home, configuration, state and clock.

    Call it with a command line, quoted as in a shell; ``{name}`` has no special meaning.

    Attributes:
        refreshes: The environments of the processes that completion would have started in the background.
    """

    home: Path
    clock: FakeClock
    sandbox: Sandbox | None = None
    url: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    refreshes: list[Mapping[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in POSIX if name in os.environ}
        ours = {"HOME": str(self.home), "COLUMNS": "120"}
        ours["PYTHONDONTWRITEBYTECODE"] = (
            "1"  # some run with a full disk, and would leave half a module file behind
        )
        self.environ = kept | ours | self.environ

    @property
    def config(self) -> Path:
        return self.home / ".config" / "voicectl"

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "voicectl"

    def __call__(
        self,
        line: str | list[str],
        *,
        stdin: str | bytes = b"",
        terminal: bool = False,
        env: dict[str, str] | None = None,
        clock: FakeClock | None = None,
    ) -> Ran:
        """Run one command in this process.

        Args:
            terminal: True if all three standard streams are a terminal.
        """
        words = shlex.split(line) if isinstance(line, str) else line
        content = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = Stream(is_terminal=terminal), Stream(is_terminal=terminal)
        with (
            mock.patch.object(sys, "stdin", Stream(content, is_terminal=terminal)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run(
                words,
                clock=clock or self.clock,
                environ=self.environ | (env or {}),
                start_refresh=self.refreshes.append,
            )
        return Ran(code, out.text(), err.text())

    def spawn(
        self, line: str | list[str], *, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a command as a separate process, on the machine's clock."""
        words = shlex.split(line) if isinstance(line, str) else line
        pipe = subprocess.PIPE
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": pipe,
            "stderr": pipe,
            "cwd": self.home,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "voicectl", *words], env=self.environ | (env or {}), **settings | options
        )

    def process(
        self,
        line: str | list[str],
        *,
        stdin: bytes = b"",
        timeout: float = 2 * PATIENCE_SECONDS,
        **options: Any,
    ) -> Ran:
        """Run a command as a separate process, to its end."""
        with self.spawn(line, stdin=subprocess.PIPE, **options) as child:
            out, err = child.communicate(stdin, timeout=timeout)
        return Ran(child.returncode, (out or b"").decode(), (err or b"").decode())

    def call(
        self, to: str = PERSON, options: str = "--talk Hello --join room", *, wait: str | None = "answered"
    ) -> str:
        """Create a call, wait for the status *wait* unless it is None, and return its id."""
        ran = self(f"call create --to {to} {options} -q" + (f" --wait {wait}" if wait else ""))
        assert ran.exit_code == 0, ran.stderr
        return ran.stdout.strip()

    def requests(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the requests that the sandbox has received, oldest first."""
        assert self.sandbox is not None
        entries = [entry for entry in self.sandbox.log.since(0) if entry.get("kind") == "request"]
        return [entry for entry in entries if operation in (None, entry.get("operation"))]
