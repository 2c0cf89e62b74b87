"""The README's console blocks, typed from top to bottom into one terminal, print what the README shows.

They begin where a reader does: in a directory with an environment that is not active, with no settings.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"), "<id>"),
    (re.compile(r"vc-[0-9a-f]{16}"), "<reference>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"), "<time>"),
    (re.compile(r"(?<= )[0-9a-f]{8}(?= )|^[0-9a-f]{8}(?= )", re.MULTILINE), "<id>"),
    (re.compile(r" [0-9]+s +"), " <age> "),
    (re.compile(r"127\.0\.0\.1:\d+"), "<sandbox>"),
)


def test_the_tour_prints_what_the_readme_says(tmp_path: Path) -> None:
    steps = tour((ROOT / "README.md").read_text())
    (tmp_path / ".venv").symlink_to(sys.prefix)

    printed = in_terminal([command for command, _ in steps], tmp_path)

    assert len(steps) > 10
    for (command, expected), (output, status) in zip(steps, printed, strict=True):
        assert status == 0, f"{command}\n{output}"
        assert steady(output) == steady(expected), command


def tour(text: str) -> list[tuple[str, str]]:
    """Return each command of the console blocks with the output printed below it."""
    steps: list[tuple[list[str], list[str]]] = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(([line[2:]], []))
            elif line.startswith("> "):
                steps[-1][0].append(line[2:])
            else:
                steps[-1][1].append(line)
    return [("\n".join(command), "\n".join(output)) for command, output in steps]


def in_terminal(commands: list[str], home: Path) -> list[tuple[str, int]]:
    """Run the commands in one shell on a terminal; return the output and exit status of each."""
    script = "".join(f"printf '\\036'\n{command}\nprintf '\\037%d\\036' $?\n" for command in commands)
    script = script.replace("start --detach", "start --detach --port 0")  # the default port may be in use
    environ = {
        "HOME": str(home),
        "PATH": path_without_voicectl(),
        "TERM": "xterm",
        "COLUMNS": "110",
        "NO_COLOR": "1",
    }
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ, cwd=home
    ):
        os.close(theirs)
        printed = read_all(ours)
    os.close(ours)
    found = re.findall(r"\x1e([^\x1e]*?)\x1f(\d+)\x1e", printed, re.DOTALL)
    return [(output.strip("\n"), int(status)) for output, status in found]


def path_without_voicectl() -> str:
    """Return the search path of a shell in which the environment of these tests is not active."""
    there = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(each for each in there if not (Path(each) / "voicectl").exists())


def read_all(descriptor: int) -> str:
    content = b""
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # raised by Linux when the terminal has no more writers
            part = b""
        if not part:
            return content.decode().replace("\r\n", "\n")
        content += part


def steady(text: str) -> str:
    """Return *text* without the parts that differ in each run."""
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
