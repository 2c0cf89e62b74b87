"""Write the manual pages: one for each command, and ``voicectl(1)``, in ``man/man1``.

::

    python docs/make_manuals.py [--into DIRECTORY]

Like the reference, they are made from ``voicectl commands -o json``. The format is that of groff's *man* macros.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from make_reference import blocks, description, sections, synopsis, tree

from voicectl.cli.commands.help import CONFIGURATION, STATE, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from make_reference import Tree

    from voicectl.cli.commands.help import Variable

SECTION = "1"


def manuals(tree: Tree) -> dict[str, str]:
    """Return the pages, by their file names."""
    pages = {name("", SECTION): _program(tree)}
    for each in tree["commands"]:
        pages[name(each["command"], SECTION)] = _command(each, tree)
    for each in tree["groups"]:
        pages[name(each["group"], SECTION)] = _group(each, tree)
    return pages


def name(words: str, suffix: str = "") -> str:
    """Return the name of a command's page, such as ``voicectl-call-create``, with the *suffix* of a file."""
    page = "-".join(("voicectl", *words.split()))
    return f"{page}.{suffix}" if suffix else page


def _program(tree: Tree) -> str:
    parts = [_title("", tree), *_section("NAME", f"voicectl \\- {_text(_summary(tree['help']))}")]
    parts += _section("SYNOPSIS", r"\fBvoicectl\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]")
    parts += _section("DESCRIPTION", *_prose(_rest(tree["help"])))
    parts += _section("COMMANDS")
    for title, commands in sections(tree):
        parts += [f".SS {_text(title)}"]
        parts += [_item(_reference(each["command"]), _text(each["summary"])) for each in commands]
    parts += _section("OPTIONS OF EVERY COMMAND", *_parameters(tree["options_of_every_command"]))
    parts += _section(
        "EXIT STATUS",
        *(_item(rf"\fB{each['status']}\fR", _text(each["meaning"])) for each in tree["exit_statuses"]),
    )
    parts += _section(
        "ENVIRONMENT",
        *(_item(rf"\fB{_text(each.names or each.others)}\fR", _text(_meaning(each))) for each in VARIABLES),
    )
    parts += _section("FILES", "In the directory of the configuration:", *_files(CONFIGURATION))
    parts += [".PP", "In the directory of the state:", *_files(STATE)]
    return _page(parts)


def _meaning(variable: Variable) -> str:
    is_fallback = variable.names and variable.others
    return f"{variable.meaning} Fallback: {variable.others}." if is_fallback else variable.meaning


def _command(command: Tree, tree: Tree) -> str:
    words = command["command"]
    parts = [
        _title(words, tree),
        *_section("NAME", f"{_text(name(words))} \\- {_text(command['summary'].rstrip('.'))}"),
    ]
    parts += _section("SYNOPSIS", rf"\fB{_text('voicectl ' + words)}\fR{_text(_arguments(command))}")
    parts += _section("DESCRIPTION", *_prose(command["help"]))
    if command["arguments"]:
        parts += _section("ARGUMENTS", *_parameters(command["arguments"]))
    if command["options"]:
        parts += _section("OPTIONS", *_parameters(command["options"]))
    parts += [
        ".PP",
        "Options of every command, exit statuses, variables and files: see",
        f"{_reference('')}.",
    ]
    return _page([*parts, *_see_also(words, tree)])


def _arguments(command: Tree) -> str:
    return str(command["usage"].removeprefix(f"voicectl {command['command']}"))


def _group(group: Tree, tree: Tree) -> str:
    words = group["group"]
    own = [each for each in tree["commands"] if each["command"].startswith(f"{words} ")]
    parts = [
        _title(words, tree),
        *_section("NAME", f"{_text(name(words))} \\- {_text(_summary(group['help']))}"),
    ]
    parts += _section("SYNOPSIS", rf"\fB{_text('voicectl ' + words)}\fR \fICOMMAND\fR")
    parts += _section("DESCRIPTION", *_prose(group["help"]))
    parts += _section(
        "COMMANDS", *(_item(_reference(each["command"]), _text(each["summary"])) for each in own)
    )
    return _page([*parts, *_section("SEE ALSO", _reference(""))])


def _see_also(words: str, tree: Tree) -> list[str]:
    group = words.rpartition(" ")[0]
    family = [each["command"] for each in tree["commands"] if each["command"].rpartition(" ")[0] == group]
    others = [group, *family] if group else []
    names = [_reference(each) for each in ("", *others) if each != words]
    return _section("SEE ALSO", ",\n".join(names))


def _title(words: str, tree: Tree) -> str:
    page = _text(name(words).upper())
    return f'.TH "{page}" "{SECTION}" "" "voicectl {_text(tree["version"])}" "voicectl manual"'


def _section(title: str, *parts: str) -> list[str]:
    return [f'.SH "{title}"', *parts]


def _item(term: str, text: str) -> str:
    return f".TP\n{term}\n{text}"


def _parameters(parameters: Iterable[Tree]) -> Iterator[str]:
    for each in parameters:
        names, _, metavar = synopsis(each).rpartition(" ") if each["metavar"] else (synopsis(each), "", "")
        term = " ".join(
            filter(None, (names and rf"\fB{_text(names)}\fR", metavar and rf"\fI{_text(metavar)}\fR"))
        )
        yield _item(term, _text(description(each)))


def _files(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (_item(rf"\fI{_text(file)}\fR", _text(contents)) for file, contents in rows)


def _prose(text: str) -> Iterator[str]:
    for is_kept, block in blocks(text):
        if is_kept:
            yield ".RS 4\n.nf\n" + "\n".join(_text(line) for line in block.splitlines()) + "\n.fi\n.RE"
        else:
            yield f".PP\n{_text(block)}"


def _reference(words: str) -> str:
    return rf"\fB{_text(name(words))}\fR({SECTION})"


def _summary(text: str) -> str:
    return text.partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _rest(text: str) -> str:
    return text.partition("\n\n")[2]


def _text(text: str) -> str:
    """Return *text* escaped for groff, which interprets backslashes, and dots and quotes that begin a line."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    escaped = escaped.replace("~", r"\(ti").replace("^", r"\(ha").replace('"', r"\(dq")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def _page(parts: Iterable[str]) -> str:
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the pages, and delete those of commands that no longer exist."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent.parent / "man" / "man1")
    into: Path = parser.parse_args().into
    into.mkdir(parents=True, exist_ok=True)
    pages = manuals(tree())
    for old in into.glob("*.1"):
        if old.name not in pages:
            old.unlink()
    for file, text in pages.items():
        (into / file).write_text(text)


if __name__ == "__main__":
    main()
