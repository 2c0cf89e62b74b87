"""Write the pages of the reference that the program itself knows: commands, exit statuses, settings and files.

::

    python docs/make_reference.py [--into DIRECTORY]

The commands are those of ``voicectl commands -o json``, so that the pages say what ``--help`` says.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicectl.cli.commands.help import CONFIGURATION, STATE, VARIABLES
from voicectl.cli.tree import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Tree = dict[str, Any]

_CLOSING = ("TSV columns: ", "Table columns ")


def tree() -> Tree:
    """Return the command tree, the output of ``voicectl commands -o json``."""
    command = [sys.executable, "-m", "voicectl", "commands", "-o", "json"]
    found: Tree = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the paragraphs of a help text.

    Yields:
        Pairs of a flag and a text: True with lines to be kept as they are, without their indentation, such as
        examples, or False with a paragraph in one line.
    """
    for paragraph in text.split("\n\n"):
        for is_kept, lines in groupby(paragraph.splitlines(), key=lambda line: line.startswith("  ")):
            kept = [line.removeprefix("  ") for line in lines]
            yield (True, "\n".join(kept)) if is_kept else (False, " ".join(kept))


def sections(tree: Tree) -> Iterator[tuple[str, list[Tree]]]:
    """Yield the titles of the sections of ``voicectl --help``, each with its commands, in order."""
    for title, names in SECTIONS.items():
        yield (
            title,
            [each for name in names for each in tree["commands"] if each["command"].split()[0] == name],
        )


def synopsis(parameter: Tree) -> str:
    """Return an option as it is typed, such as ``-o, --output FORMAT``, or the name of an argument."""
    names = ", ".join(parameter.get("options", ()))
    return " ".join(filter(None, (names, parameter["metavar"])))


def description(parameter: Tree) -> str:
    """Return the help of an option or argument with its choices, default and constraints, as ``--help`` has it."""
    notes = []
    if parameter.get("options") and parameter["required"]:
        notes.append("Required.")
    if parameter["default"] not in (None, ""):
        notes.append(f"Default: {parameter['default']}.")
    return " ".join((parameter["help"] or "", *notes)).strip()


def pages(tree: Tree) -> dict[str, str]:
    """Return the pages, by their file names."""
    return {
        "commands.md": _commands(tree),
        "exit-statuses.md": _exit_statuses(tree),
        "error-codes.md": _error_codes(tree),
        "environment.md": _environment(),
        "files.md": _files(),
    }


def _commands(tree: Tree) -> str:
    groups = {each["group"]: each["help"] for each in tree["groups"]}
    parts = [
        "# Commands",
        "What `--help` prints, for all commands. `voicectl commands -o json` prints the same as data.",
    ]
    for title, commands in sections(tree):
        names = ", ".join(f"[`{each['command']}`](#{_anchor(each['command'])})" for each in commands)
        parts.append(f"**{title}:** {names}")
    parts += ["## Options of every command", "Before or after the name of a command:"]
    parts.append(_parameters("Option", tree["options_of_every_command"]))
    parts.append(
        "A DURATION is a number with a unit, such as `30s`, `5m`, `2h` or `1h30m`; without a unit, it is in seconds."
        " A TIME is an RFC 3339 timestamp, such as `2026-01-31T07:45:14Z`, or a DURATION before the current time."
    )
    introduced: set[str] = set()
    for title, commands in sections(tree):
        parts.append(f"## {title}")
        for each in commands:
            words = each["command"].split()
            for group in (" ".join(words[:depth]) for depth in range(1, len(words))):
                if group not in introduced:
                    introduced.add(group)
                    parts += [f"### {group}", *_prose(groups[group])]
            parts += [f"### {each['command']}", f"```text\n{each['usage']}\n```", *_prose(each["help"])]
            for name in ("arguments", "options"):
                if each[name]:
                    parts.append(_parameters(name.title().removesuffix("s"), each[name]))
    return "\n\n".join(parts) + "\n"


def _prose(text: str) -> Iterator[str]:
    for is_kept, block in blocks(text):
        if not is_kept:
            yield _escaped(block)
        elif block.startswith("$ "):
            yield f"```sh\n{re.sub(r'^[$] ', '', block, flags=re.MULTILINE)}\n```"
        else:
            yield f"```text\n{block}\n```"


def _parameters(title: str, parameters: Iterable[Tree]) -> str:
    rows = ((f"`{synopsis(each)}`", _escaped(description(each))) for each in parameters)
    return _table((title, "Meaning"), rows)


def _exit_statuses(tree: Tree) -> str:
    rows = ((f"{each['status']}", _escaped(each["meaning"])) for each in tree["exit_statuses"])
    return f"""\
# Exit statuses

{_table(("Status", "Meaning"), rows)}

A command with several targets continues after one fails. If all targets fail for the same reason, the exit status is
the one for that reason; if only some fail, or if they fail for different reasons, it is 10. Status 12 outranks all
others.

With `-o json`, an error is a JSON object with one of the [error codes](error-codes.md).
"""


def _error_codes(tree: Tree) -> str:
    rows = (
        (f"`{each['code']}`", str(each["exit_status"]), _escaped(each["meaning"]))
        for each in tree["error_codes"]
    )
    return f"""\
# Error codes

With `-o json`, an error is a JSON object on standard error. Its field `code` has one of these values. The
[exit status](exit-statuses.md) of the command follows from it.

{_table(("Code", "Exit status", "Meaning"), rows)}
"""


def _environment() -> str:
    rows = ((_code(each.names), _code(each.others), _escaped(each.meaning)) for each in VARIABLES)
    return f"""\
# Environment

Settings are looked up in this order: the option for the setting; the profile named by `--profile` or
`VOICECTL_PROFILE`; the other `VOICECTL_*` variables; the `VONAGE_*` variables; the default profile. An application's
id and key always come from the same source. `voicectl profile show` shows the settings in use and where each comes
from.

{_table(("Variable", "Also read", "Meaning"), rows)}

No option takes the value of a secret, no settings are read from the working directory, and no environment variable
can replace `--yes`.
"""


def _files() -> str:
    return f"""\
# Files

`voicectl help files` prints where these directories are on your machine.

## Configuration

In `$VOICECTL_CONFIG_DIR`, or in `voicectl` in the user's directory for configuration (on Linux, `~/.config`):

{_table(("File", "Contents"), _file_rows(CONFIGURATION))}

## State

In `$VOICECTL_STATE_DIR`, or in `voicectl` in the user's directory for state (on Linux, `~/.local/state`):

{_table(("File", "Contents"), _file_rows(STATE))}
"""


def _file_rows(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    directory = ""
    for name, contents in rows:
        if not name.startswith(" "):
            directory = name if name.endswith("/") else ""
        full = (
            name
            if not name.startswith(" ")
            else ", ".join(directory + each for each in name.strip().split(", "))
        )
        yield _code(full), _escaped(contents[0].upper() + contents[1:].rstrip(";.:") + ".")


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [
        titles,
        tuple("---" for _ in titles),
        *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", ") if name)


def _escaped(text: str) -> str:
    """Return *text* as Markdown: what it quotes becomes code, and characters that Markdown interprets are escaped."""
    parts = re.split(r"(?<!\w)'([^']+)'(?!\w)", text)
    return "".join(
        f"`{part}`" if index % 2 else re.sub(r"([\\`*<\[]|(?<!\w)_|_(?!\w))", r"\\\1", part)
        for index, part in enumerate(parts)
    )


def _anchor(command: str) -> str:
    return command.replace(" ", "-")


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    into: Path = parser.parse_args().into
    for name, text in pages(tree()).items():
        (into / name).write_text(text)


if __name__ == "__main__":
    main()
