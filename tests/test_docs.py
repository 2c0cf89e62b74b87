"""The console blocks of the README and the guides, typed into terminals, print what the pages show."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.console import INTERRUPT, ROOT, Shell, Step, steady, steps
from tests.support.ports import free_block

PAGES = {
    str(path.relative_to(ROOT)): found
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if (found := list(steps(path.read_text())))
}
"""What a reader types on each page."""

ENDLESS = ("webhook serve", "ivr.py 3000")
"""The commands that run until Ctrl-C."""

READING = ("webhook list", "conversation events", "batch report")
SETTLED = 'until [ "$(voicectl sandbox status -o template={webhooks_pending})" = 0 ]; do :; done'
"""Waits until the receiver has stored all events so far, as it has when a reader types the next command."""


def test_the_guides_are_among_the_pages() -> None:
    assert {"README.md", "docs/incident.md", "docs/how-a-call-works.md", "docs/batches.md"} <= PAGES.keys()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_print_what_it_shows(page: str, tmp_path: Path) -> None:
    port = free_block(1)
    is_activated = any("activate" in step.command for step in PAGES[page])

    with ExitStack() as stack:
        terminals: dict[str, Shell] = {}
        for step in PAGES[page]:
            if step.terminal not in terminals:
                terminals[step.terminal] = stack.enter_context(Shell(tmp_path))
                if not is_activated:
                    terminals[step.terminal].run(". .venv/bin/activate")
            shown = perform(step, terminals[step.terminal], port)
            compared = received if step.terminal else steady
            assert compared(shown) == compared(step.output), step.command or shown


def perform(step: Step, shell: Shell, port: int) -> str:
    """Do what the page says in a step, on other ports than the usual ones, and return what the terminal shows."""
    expected = len(step.output.splitlines())
    command = step.command.replace("3000", str(port)).replace("start --detach", "start --detach --port 0")
    if not command:
        return shell.lines(expected)
    if "webhook serve" in command:
        command += f" --port {port}"
    if any(each in step.command for each in ENDLESS):
        shell.type(command)
        return shell.lines(expected).replace(str(port), "3000")
    if command == INTERRUPT:
        shell.interrupt()
        shown, status = shell.until_prompt()
    else:
        if any(each in command for each in READING):
            shell.run(SETTLED)
        shown, status = shell.run(command)
    assert status == 0, f"{step.command}\n{shown}"
    return shown.replace(str(port), "3000")


def received(text: str) -> list[str]:
    """Return the receiver's lines without what differs in each run; those of several legs may change places."""
    return sorted(steady(text).splitlines())
