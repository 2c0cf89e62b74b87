"""The walk of docs/how-a-call-works.md, typed into two terminals, goes as the page says."""

from __future__ import annotations

import re
import wave
from contextlib import ExitStack
from pathlib import Path

from .support.console import INTERRUPT, ROOT, Shell, Step, steady, steps
from .support.ports import free_block

READING = ("voicectl webhook list", "voicectl conversation events")
SETTLED = 'until [ "$(voicectl sandbox status -o template={webhooks_pending})" = 0 ]; do :; done'
"""Waits until the receiver has stored all events so far, as it has when a reader types the next command."""

CHANGING = (
    (re.compile(r"(?<=<time>) +\d+(?=  )"), " <number>"),
    (re.compile(r"\b\d+ s\b"), "<duration>"),
    (re.compile(r"size +\d+"), "size <bytes>"),
    (re.compile(r",? [^,\n]*…$", re.MULTILINE), " …"),
)
"""The parts of the receiver's lines that differ in each run."""


def test_the_walk_goes_as_the_page_says(tmp_path: Path) -> None:
    port = free_block(1)

    with ExitStack() as stack:
        terminals: dict[str, Shell] = {}
        for step in steps((ROOT / "docs" / "how-a-call-works.md").read_text()):
            if step.terminal not in terminals:
                terminals[step.terminal] = stack.enter_context(Shell(tmp_path))
            shown = perform(step, terminals[step.terminal], port)
            compared = received if "webhook serve" in step.command or not step.command else steady
            assert compared(shown) == compared(step.output), step.command or shown

    (recording,) = (tmp_path / "recordings").glob("*.wav")
    with wave.open(str(recording)) as audio:
        assert audio.getnframes() > 0


def perform(step: Step, shell: Shell, port: int) -> str:
    """Do what the page says in a step, on another port, and return what the terminal shows."""
    expected = len(step.output.splitlines())
    if not step.command:
        return shell.lines(expected)
    if step.command.startswith("voicectl webhook serve"):
        shell.type(f"{step.command.replace(':3000', f':{port}')} --port {port}")
        return shell.lines(expected)
    if step.command == INTERRUPT:
        shell.interrupt()
        shown, status = shell.until_prompt()
    else:
        if step.command.startswith(READING):
            shell.run(SETTLED)
        shown, status = shell.run(step.command.replace("start --detach", "start --detach --port 0"))
    assert status == 0, f"{step.command}\n{shown}"
    return shown


def received(text: str) -> list[str]:
    """Return the receiver's lines without what differs in each run; those of several legs may change places."""
    text = steady(text)
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return sorted(text.splitlines())
