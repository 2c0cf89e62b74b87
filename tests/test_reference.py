"""The pages and manuals that scripts write are current, and name every command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE_SECONDS
from voicectl.cli.tree import all_commands, all_groups

ROOT = Path(__file__).parent.parent
MANUALS = ROOT / "man" / "man1"
WORDS = [" ".join(words) for words in all_commands()]
GROUPS = [" ".join(words) for words in all_groups()]


def written(script: str, into: Path) -> dict[str, str]:
    """Return the files that a script of ``docs/`` writes, by their names."""
    command = [sys.executable, str(ROOT / "docs" / script), "--into", str(into)]
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS, env={"PATH": "/usr/bin:/bin"})
    return {path.name: path.read_text() for path in into.iterdir()}


def test_the_pages_of_the_reference_are_current(tmp_path: Path) -> None:
    pages = written("make_reference.py", tmp_path)

    assert len(pages) > 4
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text() == text, "run docs/make_reference.py"


def test_the_manuals_are_current(tmp_path: Path) -> None:
    manuals = written("make_manuals.py", tmp_path)

    assert {path.name: path.read_text() for path in MANUALS.iterdir()} == manuals, "run docs/make_manuals.py"


def test_the_page_of_commands_has_a_section_for_every_command() -> None:
    titles = re.findall(r"^### (.*)$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)

    assert sorted(titles) == sorted(WORDS + GROUPS)


def test_every_command_and_group_has_a_manual() -> None:
    names = {f"voicectl-{words.replace(' ', '-')}.1" for words in WORDS + GROUPS}

    assert {path.name for path in MANUALS.iterdir()} == names | {"voicectl.1"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_understands_the_manuals() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", *sorted(map(str, MANUALS.iterdir()))]

    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert shown.stderr == ""
    assert "Press keys on a live leg" in shown.stdout
    assert "'*9#'" in shown.stdout  # with quotes that a shell understands
    assert "--no-listen" in shown.stdout  # with hyphens that a user can search for
