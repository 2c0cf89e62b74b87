"""The grammar of the command line: groups, commands, and suggestions for words that name no group or command."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from voicectl.cli.options.common import common_options, format_options, version_option
from voicectl.cli.tree import COMMANDS, GROUP_HELP, PROGRAM, SECTIONS, Entry, Tree, all_commands

if TYPE_CHECKING:
    from voicectl.cli.output.writer import View

_COMMANDS = "voicectl.cli.commands"
_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

_A_LEG = f"Act on a leg with a verb, such as '{PROGRAM} hangup LEG'; list legs with '{PROGRAM} call list'."
_A_PROFILE = f"Did you mean '{PROGRAM} profile add'?"
INSTEAD_OF_COMMAND = {
    "version": f"Did you mean '{PROGRAM} --version'?",
    "leg": _A_LEG,
    "legs": _A_LEG,
    "ls": f"Did you mean '{PROGRAM} call list'?",
    "ps": f"Did you mean '{PROGRAM} call list'?",
    "dial": f"Did you mean '{PROGRAM} call create'?",
    "room": f"Did you mean '{PROGRAM} conversation'?",
    "rooms": f"Did you mean '{PROGRAM} conversation list'?",
    "kill": f"Did you mean '{PROGRAM} hangup'?",
    "login": _A_PROFILE,
    "configure": _A_PROFILE,
    "init": _A_PROFILE,
    "config": f"Did you mean '{PROGRAM} profile'?",
}
"""Advice to users who try a command of another tool, by the name of that command."""

INSTEAD_OF_OPTION = {
    "--json": "-o json",
    "-j": "-o json",
    "--jsonl": "-o jsonl",
    "--csv": "-o csv",
    "--tsv": "-o tsv",
    "--format": "-o FORMAT",
    "-V": "--version",
    "-v": "--debug",
    "--verbose": "--debug",
    "--number": "--match-to NUMBER",
    "--room": "--conversation ROOM",
    "--force": "--yes",
    "-f": "--yes",
}
"""Options that other tools use, each mapped to the voicectl option with the same meaning."""


class Command(TyperCommand):
    """A command that, besides its own options, accepts the options that all commands have in common."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _keep_examples(self.help or "")
        self.params = [*self.params, *common_options()]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help on the arguments and options of the command."""
        format_options(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands that are loaded on demand."""

    def __init__(self, name: str | None, tree: Tree, path: tuple[str, ...] = ()) -> None:
        super().__init__(
            name=name,
            help=_keep_examples(GROUP_HELP[path[-1] if path else ""]),
            no_args_is_help=True,
            rich_markup_mode=None,
            context_settings=_CONTEXT,
        )
        self.tree = tree
        self.path = path
        self.params = list(common_options())
        if not path:
            self.params.append(version_option())

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the signature is Typer's)
        """Return the names of the commands, in the order of the tree."""
        return list(self.tree)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (as above)
        """Load and return the command or group *cmd_name*, or return None if it does not exist."""
        entry = self.tree.get(cmd_name)
        if isinstance(entry, dict):
            return Group(cmd_name, entry, (*self.path, cmd_name))
        return None if entry is None else load(cmd_name, entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or fail and suggest the most similar command."""
        if args[0] not in self.tree and not args[0].startswith("-") and not ctx.resilient_parsing:
            if advice := INSTEAD_OF_COMMAND.get(args[0]) if not self.path else None:
                ctx.fail(f"No such command {args[0]!r}. {advice}")
            nearest = _nearest(args[0], self.path)
            ctx.fail(
                f"No such command {args[0]!r}." + (f" Did you mean '{PROGRAM} {nearest}'?" if nearest else "")
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the completions of an option or command name without loading any commands."""
        from typer._click.shell_completion import CompletionItem  # noqa: PLC0415 (for completion only)

        if incomplete.startswith("-"):
            return TyperCommand.shell_complete(self, ctx, incomplete)
        names = [name for name in self.tree if name.startswith(incomplete)]
        return [CompletionItem(name, help=_summary(name, self.tree[name])) for name in names]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help on the commands, in sections if there are many, and then on the options."""
        sections = {"Commands": tuple(self.tree)} if self.path else SECTIONS
        width = max(map(len, self.tree))
        for title, names in sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", _summary(name, self.tree[name])) for name in names])
        format_options(self, ctx, formatter)


@cache
def root() -> Group:
    """Return the command tree as a Typer group."""
    return Group(PROGRAM, COMMANDS)


def load(name: str, entry: Entry) -> Any:
    """Import the module of a command, and return the command as a Typer object with the given name."""
    module, _, function_name = entry.function.partition(":")
    function = getattr(import_module(f"{_COMMANDS}.{module}"), function_name)
    text = inspect.getdoc(function) or ""
    if (view := view_of(entry)) is not None:
        text += f"\n\nTSV columns: {', '.join(view.columns)}."
        if view.table:
            text += (
                f"\n\nTable columns (a narrow terminal shows only the first few): {', '.join(view.table)}."
            )
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings = _CONTEXT | ({"allow_interspersed_args": False} if entry.is_wrapper else {})
    single.command(name, cls=Command, context_settings=settings, help=text)(function)
    command = typer.main.get_command(single)
    command.name = name
    return command


def view_of(entry: Entry) -> View | None:
    """Return the view of a command's records, or None if the command writes no records."""
    if entry.view is None:
        return None
    is_own = entry.view.startswith(":")
    module = f"{_COMMANDS}.{entry.function.partition(':')[0]}" if is_own else "voicectl.cli.output.views"
    view: View = getattr(import_module(module), entry.view.removeprefix(":"))
    return view


def _summary(name: str, entry: Entry | Tree) -> str:
    return entry.summary if isinstance(entry, Entry) else GROUP_HELP[name].splitlines()[0]


def _keep_examples(text: str) -> str:
    """Mark the paragraphs that contain indented lines, such as examples, so that the help does not wrap them."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{each}" if "\n  " in each else each for each in paragraphs)


def _nearest(word: str, path: tuple[str, ...]) -> str | None:
    """Return the command that was probably meant, or None if no command is similar.

    In order of preference, it is a command with the same name in another group, a command with a similar name in the
    group *path*, or a command with a similar name in another group.
    """
    commands = list(all_commands())
    prefixes = [words[:depth] for words in commands for depth in range(1, len(words) + 1)]
    everything = sorted(dict.fromkeys(prefixes), key=len)
    if same := [words for words in everything if words[-1] == word]:
        return " ".join(same[0])
    here = [words[-1] for words in everything if words[:-1] == path]
    if near := get_close_matches(word, here, n=1):
        return " ".join((*path, near[0]))
    elsewhere = get_close_matches(word, [words[-1] for words in everything], n=1)
    return next((" ".join(words) for words in everything if elsewhere and words[-1] == elsewhere[0]), None)
