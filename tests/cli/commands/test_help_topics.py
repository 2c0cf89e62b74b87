"""``help``: the help of commands, and topics that concern all commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.room import Room
from voicectl.cli.commands.help import PAGES
from voicectl.cli.tree import COMMANDS, SECTIONS

ROOT = Path(__file__).parent.parent.parent.parent

SET_FOR_PROGRAMS = {"VOICECTL_INTERCEPT", "VONAGE_API_HOST"}
"""Variables that voicectl does not read: ``sandbox exec`` sets them, or users do for their own programs."""


@pytest.mark.parametrize("words", ["", "call", "call create", "sandbox fault add", "help"])
def test_help_of_a_command_equals_its_help_option(bare: Room, words: str) -> None:
    ran = bare(f"help {words}")

    assert ran.exit_code == 0
    assert ran.stdout == bare(f"{words} --help").stdout


def test_every_command_is_in_one_section_of_the_help(bare: Room) -> None:
    shown = bare("--help").stdout
    listed = [name for names in SECTIONS.values() for name in names]

    assert sorted(listed) == sorted(COMMANDS)
    assert all(f"{title}:\n" in shown for title in SECTIONS)
    assert re.findall(r"^  ([a-z]+)  ", shown, re.MULTILINE) == listed


def test_the_options_of_every_command_are_one_line_in_its_help(bare: Room) -> None:
    shown = bare("dtmf --help").stdout

    assert shown.endswith("For options that all commands share, such as -o and -q: voicectl help options\n")
    assert "--request-timeout" not in shown
    assert "--request-timeout DURATION" in bare("help options").stdout


@pytest.mark.parametrize("topic", ["options", "exit-statuses", "environment", "files"])
def test_a_topic_fits_into_80_columns(bare: Room, topic: str) -> None:
    ran = bare(f"help {topic}")

    assert ran.exit_code == 0
    assert max(map(len, ran.stdout.splitlines())) <= 80 or topic == "files"  # this one contains directories


def test_every_variable_that_the_documents_name_is_in_the_help(bare: Room) -> None:
    documents = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    named = set(re.findall(r"`((?:VOICECTL|VONAGE|XDG)_[A-Z_]+)`", documents)) - SET_FOR_PROGRAMS
    shown = bare("help environment").stdout

    assert len(named) > 20
    assert [name for name in named if not re.search(rf"\b{name}\b", shown)] == []


def test_the_files_topic_names_the_directories_in_use(bare: Room) -> None:
    shown = bare("help files", env={"VOICECTL_CONFIG_DIR": "/x/config"}).stdout

    assert "/x/config" in shown
    assert str(bare.state) in shown


@pytest.mark.parametrize("topic", PAGES)
def test_pages_of_the_documentation_are_topics(bare: Room, topic: str) -> None:
    page = (ROOT / "docs" / f"{topic}.md").read_text()
    on_terminal = bare(f"help {topic}", terminal=True, env={"COLUMNS": "80", "NO_COLOR": "1"}).stdout

    assert bare(f"help {topic}").stdout == page
    assert max(map(len, on_terminal.splitlines())) <= 80
    assert "| --- |" not in on_terminal
    assert "──" in on_terminal


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("help option", "help options"),
        ("help answer-rule", "help answer-rules"),
        ("help cal list", "call"),
        ("help call lits", "call list"),
        ("help ls", "call list"),
    ],
)
def test_an_unknown_topic_or_command_is_refused_with_a_suggestion(bare: Room, line: str, meant: str) -> None:
    ran = bare(line)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert f"Did you mean 'voicectl {meant}'?" in ran.stderr
