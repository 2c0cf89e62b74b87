"""Console blocks of a document, and shells in which their commands are typed as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pexpect

from .waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent.parent

INTERRUPT = "^C"

_BLOCK = re.compile(r'^```console(?: title="(.*?)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CHANGING = (
    (re.compile(rf"{_UUID}|[0-9a-f]{{32}}"), "<id>"),
    (re.compile(r"vc-[0-9a-f]{16}"), "<reference>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z|\d{8}T\d{6}Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"(?<=<time>) +\d+(?=  )"), " <number>"),
    (re.compile(r"(?<![\w-])[0-9a-f]{8}(?![\w-])"), "<id>"),
    (re.compile(r" [0-9]+s +"), " <age> "),
    (re.compile(r"\b\d+ s\b"), "<duration>"),
    (re.compile(r"size +\d+"), "size <bytes>"),
    (re.compile(r",? [^,\n]*…$", re.MULTILINE), " …"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<sandbox>"),
)
"""The parts of an output that differ in each run, and their names."""


@dataclass(frozen=True)
class Step:
    """Something that a reader types into a terminal, and what the terminal then shows.

    Attributes:
        terminal: The name of the terminal, which is the title of the block.
        command: The command, :data:`INTERRUPT`, or an empty string if nothing is typed.
        output: The lines that are shown.
    """

    terminal: str
    command: str
    output: str


def steps(text: str) -> Iterator[Step]:
    """Yield the steps of a document's console blocks, in order."""
    for terminal, content in _BLOCK.findall(text):
        command: list[str] = []
        output: list[str] = []
        for line in content.splitlines():
            if line.startswith("$ ") or line == INTERRUPT:
                if command or output:
                    yield Step(terminal, "\n".join(command), "\n".join(output))
                command, output = [line.removeprefix("$ ")], []
            elif line.startswith("> ") or line == ">":
                command.append(line[2:])
            else:
                output.append(line)
        yield Step(terminal, "\n".join(command), "\n".join(output))


def steady(text: str) -> str:
    """Return *text* without the parts that differ in each run."""
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


class Shell:
    """A shell on a terminal of its own, which knows nothing of the environment of these tests.

    It begins where a reader does: in a directory with a virtual environment that is not active, with no settings. It
    ends with the ``with`` block.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        if not (home / ".venv").exists():
            (home / ".venv").symlink_to(sys.prefix)
        environ = {
            "HOME": str(home),
            "PATH": _path_without_voicectl(),
            "TERM": "xterm",
            "COLUMNS": "110",
            "NO_COLOR": "1",
            "VIRTUAL_ENV_DISABLE_PROMPT": "1",
        }
        self._bash = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile", "--noediting"],
            env=environ,
            cwd=str(home),
            dimensions=(40, 110),
            timeout=PATIENCE_SECONDS,
            encoding="utf-8",
            echo=False,
        )
        self.type(r"PS1='\036$?\037' PS2=")
        self.until_prompt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._bash.close(force=True)
        if error is not None:  # the document did not come to the command that stops the sandbox
            stop = [self._home / ".venv" / "bin" / "python", "-m", "voicectl", "sandbox", "stop"]
            subprocess.run(stop, env={"HOME": str(self._home)}, capture_output=True, check=False)

    def run(self, command: str) -> tuple[str, int]:
        """Run *command*, and return its output and exit status."""
        self.type(command)
        return self.until_prompt()

    def type(self, command: str) -> None:
        """Start *command* without waiting for its end."""
        self._bash.sendline(command)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._bash.sendintr()

    def until_prompt(self) -> tuple[str, int]:
        """Wait until the running command ends; return what it has shown since the last call, and its exit status."""
        self._bash.expect("\x1e([0-9]+)\x1f")
        assert self._bash.before is not None
        return self._bash.before.replace("\r\n", "\n"), int(self._bash.match[1])

    def lines(self, count: int) -> str:
        """Wait until the running command has shown *count* further lines, and return them."""
        self._bash.expect(rf"(?:[^\n]*\n){{{count}}}")
        return self._bash.match[0].replace("\r\n", "\n")


def _path_without_voicectl() -> str:
    there = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(each for each in there if not (Path(each) / "voicectl").exists())
