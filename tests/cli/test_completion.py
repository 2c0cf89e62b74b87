"""Completion: the scripts in the repository are current, and the words are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.room import Room

FILES = {"bash": "voicectl.bash", "zsh": "_voicectl", "fish": "voicectl.fish"}
COMPLETIONS = Path(__file__).parent.parent.parent / "completions"


@pytest.mark.parametrize("shell", FILES)
def test_the_script_in_the_repository_is_current(bare: Room, shell: str) -> None:
    printed = bare(f"completion {shell}").stdout

    assert (COMPLETIONS / FILES[shell]).read_text() == printed, (
        f"write it anew: voicectl completion {shell} > completions/{FILES[shell]}"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ear", ["earmuff"]),
        ("sandbox f", ["fault"]),
        ("sandbox fault ", ["add", "list", "clear"]),
        ("call list --sta", ["--status"]),
        ("call list --status an", ["answered"]),
        ("talk --lan", ["--language"]),
    ],
)
def test_bash_completes_commands_options_and_statuses(bare: Room, line: str, words: list[str]) -> None:
    environ = {
        "_VOICECTL_COMPLETE": "complete_bash",
        "COMP_WORDS": f"voicectl {line}",
        "COMP_CWORD": str(len(f"voicectl {line}".split(" ")) - 1),
    }

    ran = bare.process([], env=environ)

    assert ran.exit_code == 0
    assert ran.stdout.split() == words
