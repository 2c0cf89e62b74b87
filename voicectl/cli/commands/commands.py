"""``commands``: the command tree as data, for agents, editors and other programs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from voicectl import __version__
from voicectl.cli.arguments import grouped
from voicectl.cli.context import current
from voicectl.cli.errors import ERROR_CODES, EXIT_STATUSES
from voicectl.cli.grammar import load, view_of
from voicectl.cli.options.common import common_options
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output.text import to_json
from voicectl.cli.output.writer import Format, View
from voicectl.cli.tree import GROUP_HELP, PROGRAM, all_entries, all_groups

if TYPE_CHECKING:
    from voicectl.cli.tree import Entry

_TYPES = {"str": "text", "int": "integer", "int range": "integer", "float range": "number", "float": "number"}
"""The names of value types in the output, by Typer's names for these types."""

VIEW = View(
    columns=("command", "summary"),
    id="command",
    more=("usage", "help", "columns"),
    table=("command", "summary"),
)


@grouped
def commands(ctx: typer.Context, listing: ListOptions) -> None:
    """List all commands, or print the whole command tree as JSON.

    With -o json, the output is one object: every command with its arguments, options, types, defaults and fields;
    the groups of commands; the options that all commands share; the exit statuses; and the error codes.

    Examples:
      $ voicectl commands
      $ voicectl commands -o json
    """
    app = current(ctx)
    entries = {" ".join(words): entry for words, entry in all_entries()}
    is_json = app.terminal.format in (Format.JSON, Format.JSONL)
    if is_json and not app.options.quiet and not app.options.fields:
        indent = 2 if app.terminal.format is Format.JSON else None
        app.terminal.write(to_json(_tree(entries), indent=indent) + "\n")
        return
    with app.terminal.writer(VIEW, is_many=True) as out:
        is_short = app.options.fields is app.options.template is None
        records = (
            {"command": words, "summary": entry.summary} if is_short else _command(words, entry)
            for words, entry in entries.items()
        )
        for record in listing.arrange(records, VIEW):
            out.add(record)


def _tree(entries: dict[str, Entry]) -> dict[str, Any]:
    codes = {kind.code: kind for kind in reversed(ERROR_CODES)}
    with typer.Context(typer.core.TyperCommand(PROGRAM), info_name=PROGRAM) as context:
        options = [_parameter(option, context) for option in common_options()]
    return {
        "program": PROGRAM,
        "version": __version__,
        "help": inspect.cleandoc(GROUP_HELP[""]),
        "groups": [
            {"group": " ".join(words), "help": inspect.cleandoc(GROUP_HELP[words[-1]])}
            for words in all_groups()
        ],
        "commands": [_command(words, entry) for words, entry in entries.items()],
        "options_of_every_command": options,
        "exit_statuses": [{"status": int(status), "meaning": text} for status, text in EXIT_STATUSES.items()],
        "error_codes": [
            {"code": code, "exit_status": kind.status, "meaning": kind.meaning}
            for code, kind in sorted(codes.items())
        ],
    }


def _command(words: str, entry: Entry) -> dict[str, Any]:
    command, view = load(words.split()[-1], entry), view_of(entry)
    common = common_options()
    with typer.Context(command, info_name=f"{PROGRAM} {words}") as context:
        own = [_parameter(each, context) for each in command.params if each not in common]
        usage = command.get_usage(context).removeprefix("Usage: ")
    return {
        "command": words,
        "summary": entry.summary,
        "usage": " ".join(usage.split()),
        "help": inspect.cleandoc(command.help or "").replace("\b\n", ""),
        "arguments": [each for each in own if "options" not in each],
        "options": [each for each in own if "options" in each],
        "columns": None if view is None else list(view.columns),
        "fields": None if view is None else [*view.columns, *view.more],
        "id": None if view is None else view.id,
    }


def _parameter(param: Any, context: Any) -> dict[str, Any]:
    """Return a record that describes *param*, an argument or an option, as ``--help`` does."""
    choices = getattr(param.type, "choices", None)
    is_flag = bool(getattr(param, "is_flag", False))
    default = None if is_flag or callable(param.default) else param.default
    found = {
        "name": param.name,
        "metavar": None if is_flag else (param.metavar or param.make_metavar(context)).strip("[]."),
        "type": "flag" if is_flag else _TYPES.get(param.type.name, param.type.name),
        "choices": None if choices is None else [str(getattr(each, "value", each)) for each in choices],
        "required": param.required,
        "repeatable": bool(getattr(param, "multiple", False)) or param.nargs == -1,
        "default": default if isinstance(default, str | int | float | None) else None,
        "help": param.help,
    }
    if param.param_type_name == "argument":
        return found
    return {"options": [*param.opts, *param.secondary_opts], **found}
