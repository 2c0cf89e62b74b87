"""The command tree: the name and summary of every command.

The tree contains only the name of each command's module. The module is loaded when the command runs. For example,
``dtmf`` does not load ``profile add``, and ``--help`` loads no command.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from voicectl import __version__
from voicectl.cli.context import App
from voicectl.cli.output.writer import Format, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = "voicectl"
COMPLETION_VARIABLE = "_VOICECTL_COMPLETE"


class Entry(NamedTuple):
    """A command in the tree.

    Attributes:
        function: The function of the command, as ``MODULE:FUNCTION`` in the package ``commands``.
        summary: The first sentence of the function's docstring.
        view: The name of the view whose columns the help lists, or None. It is written as ``NAME`` if the view is in
            ``views``, or as ``:NAME`` if it is in the module of the function.
        is_wrapper: True if the command runs another command, whose options are passed through.
    """

    function: str
    summary: str
    view: str | None = None
    is_wrapper: bool = False


Tree = dict[str, "Entry | Tree"]

COMMANDS: Tree = {
    "call": {
        "create": Entry("create:create", "Call one or more people, at most once each.", "CREATED"),
        "list": Entry("call:list_", "List live legs, or all call records.", "CALL"),
        "show": Entry("call:show", "Show the record of one leg.", "SEEN"),
        "reconcile": Entry(
            "reconcile:reconcile", "Find out what became of calls whose reply was lost.", "INTENT"
        ),
    },
    "talk": Entry("talk_stream:talk", "Speak a text on a live leg.", "LEG"),
    "stream": Entry("talk_stream:stream", "Play an audio file on a live leg.", "LEG"),
    "dtmf": Entry("dtmf:dtmf", "Press keys on a live leg.", "LEG"),
    "mute": Entry("mute_hangup:mute", "Keep the others from hearing a leg.", "LEG"),
    "unmute": Entry("mute_hangup:unmute", "Let the others hear a leg again.", "LEG"),
    "earmuff": Entry("mute_hangup:earmuff", "Keep a leg from hearing the others.", "LEG"),
    "unearmuff": Entry("mute_hangup:unearmuff", "Let a leg hear the others again.", "LEG"),
    "hangup": Entry("mute_hangup:hangup", "End legs, even while they are ringing.", "LEG"),
    "transfer": Entry("transfer:transfer", "Transfer a leg to another call flow.", "LEG"),
    "move": Entry("move:move", "Move legs into a room (a named conversation).", "LEG"),
    "wait": Entry("wait:wait", "Wait until every leg reaches a status.", "SEEN"),
    "watch": Entry(
        "watch:watch", "Watch live legs: as a table on a terminal, otherwise one line per change.", ":VIEW"
    ),
    "trace": Entry("trace:trace", "Show what happened to a leg or in a conversation, in order.", ":VIEW"),
    "conversation": {
        "list": Entry("conversation:list_", "List conversations with live legs.", ":LISTED"),
        "show": Entry(
            "conversation:show", "Show who is in a conversation, who is muted, and who hears whom.", ":LEG"
        ),
        "talk": Entry("conversation:talk", "Speak a text to everyone in a conversation.", ":ACTED"),
        "stream": Entry("conversation:stream", "Play an audio file to everyone in a conversation.", ":ACTED"),
        "record": Entry("conversation:record", "Record everyone in a conversation.", ":ACTED"),
    },
    "ncco": {
        "lint": Entry("ncco:lint", "Check an NCCO, and list each problem with its location.", ":VIEW"),
        "schema": Entry("ncco:schema", "Print the JSON Schema for NCCOs, for use in an editor."),
    },
    "webhook": {
        "serve": Entry("serve:serve", "Receive webhooks: answer calls, and store every event.", "EVENT"),
        "list": Entry("webhook:list_", "List stored events.", "EVENT"),
        "tail": Entry("webhook:tail", "Show the latest events, and each new one as it is stored.", "EVENT"),
        "replay": Entry("webhook:replay", "Resend stored events to a URL of your choice.", ":REPLAYED"),
        "purge": Entry("webhook:purge", "Delete old events permanently.", ":PURGED"),
        "verify": Entry(
            "webhook:verify", "Check the signature of a request, and explain the result.", ":CHECK"
        ),
    },
    "recording": {
        "list": Entry("recording:list_", "List the recordings reported by stored events.", ":RECORDING"),
        "download": Entry("recording:download", "Download recordings and transcriptions.", ":FILE"),
    },
    "profile": {
        "add": Entry("profile:add", "Store an application, its key and its guards under a name.", ":VIEW"),
        "list": Entry("profile:list_", "List the profiles.", ":VIEW"),
        "show": Entry("profile:show", "Show a profile, and where each setting comes from.", ":IN_FORCE"),
        "use": Entry("profile:use", "Make a profile the default."),
        "remove": Entry("profile:remove", "Delete a profile and its secrets."),
    },
    "jwt": {
        "create": Entry("jwt:create", "Create a token for the application, and print it."),
        "show": Entry(
            "jwt:show", "Decode a token: show its claims, times, and whether your key signed it.", ":VIEW"
        ),
    },
    "app": {
        "show": Entry("application:show", "Show the application's settings on the platform.", ":VIEW"),
        "urls": Entry("application:urls", "Show or set the application's webhook URLs.", ":URLS"),
    },
    "doctor": Entry("doctor:doctor", "Check the set-up, from the private key to the API.", ":VIEW"),
    "sandbox": {
        "start": Entry("sandbox:start", "Start a sandbox on this machine.", ":VIEW"),
        "stop": Entry("sandbox:stop", "Stop the sandbox."),
        "status": Entry("sandbox:status", "Show the state of the sandbox.", ":VIEW"),
        "reset": Entry("sandbox:reset", "Delete the sandbox's calls and faults."),
        "exec": Entry(
            "sandbox:exec_", "Run a command with a private sandbox in place of the platform.", is_wrapper=True
        ),
        "log": Entry(
            "sandbox_parties:log",
            "List requests, webhooks, actions by parties and changes to legs.",
            ":LOG",
        ),
        "ring": Entry("sandbox_parties:ring", "Make an inbound call, as a caller would.", "CALL"),
        "answer": Entry("sandbox_parties:answer", "Answer a ringing leg, as the person called.", "CALL"),
        "press": Entry("sandbox_parties:press", "Press keys as the person on a leg.", "CALL"),
        "say": Entry("sandbox_parties:say", "Say something as the person on a leg.", "CALL"),
        "hangup": Entry("sandbox_parties:hangup", "Hang up as the person on a leg.", "CALL"),
        "hear": Entry("sandbox_parties:hear", "List what the person on a leg heard, in order.", ":HEARD"),
        "advance": Entry("sandbox_parties:advance", "Advance the sandbox's call clock.", ":CLOCK"),
        "fault": {
            "add": Entry("fault:add", "Add a fault that makes the sandbox misbehave.", ":VIEW"),
            "list": Entry("fault:list_", "List the faults that were added.", ":VIEW"),
            "clear": Entry("fault:clear", "Remove all faults, or one."),
        },
    },
    "demo": Entry("demo:demo", "Watch a call from dialling to hang-up, on a private sandbox."),
    "completion": {
        "bash": Entry("completion:bash", "Print the completion script for bash."),
        "zsh": Entry("completion:zsh", "Print the completion script for zsh."),
        "fish": Entry("completion:fish", "Print the completion script for fish."),
    },
}

_GROUP_HELP = {
    "": f"""Control live phone calls through the Vonage Voice API.

    A LEG is one party's connection. Name it by its id, at least the first 4 characters of a live leg's id, to:NUMBER
    or from:NUMBER (the whole number, or at least its first 4 digits), @last (the last call created; on a terminal
    only), or - for standard input.

    To get started:
      {PROGRAM} demo                  watch a call, with no account and no phone
      {PROGRAM} profile add NAME --application-id ID --private-key FILE
      {PROGRAM} doctor                check the set-up

    Exit statuses: 0 done, 1 internal error, 2 invalid usage or input, 3 credentials or configuration, 4 not found or
    ambiguous, 5 rejected by the API, 6 rate limited, 7 no usable answer from the API, 8 a wait timed out, 9 refused
    by a guard, 10 some targets failed, 11 a wait ended in another status, 12 outcome unknown, 130 interrupted, 143
    terminated.
    """,
    "call": "Create calls and show them.",
    "conversation": "Show conversations, and speak, play audio or record in them. A ROOM is a name, or an id that"
    " begins with CON-.",
    "ncco": "Check call flows (NCCOs).",
    "webhook": "Answer calls, and receive and store their events.",
    "recording": "List and download recordings and transcriptions.",
    "profile": "Manage profiles: applications, their keys and guards (limits on their calls).",
    "jwt": "Create and decode an application's tokens.",
    "app": "Show the application's settings, and set its webhook URLs.",
    "sandbox": """Run a stand-in for the voice platform: no account, no phone, no cost.

    The last three digits of a number from 447700900000 to 447700900999 determine how the other party behaves. All
    other numbers answer after 2 s and stay silent. With 'sandbox ring', callers ending in 1NN, 5NN or 7NN do the same
    once answered.

    Numbers ending in:
      000-099  answers after 2 s         300  is voicemail with a beep
      1NN      presses the keys NN       301  is voicemail without a beep
      200      is busy                   4NN  answers after NN s
      201      declines                  5NN  hangs up NN s after the answer
      202      rings until it times out  600  answers on 'sandbox answer'
      203      cannot be routed          7NN  says phrase NN
      204      is unavailable
      205      is not a valid number

    Keys (one per prompt) and phrases come 1 s after the flow starts to listen.

    Phrases (10 to 99 repeat these):
      00  yes            05  sales
      01  no             06  support
      02  hello          07  one two three four
      03  help           08  I would like to speak to somebody
      04  operator       09  please call me back tomorrow

    docs/sandbox-choices.md lists what the sandbox does where the platform's documentation is silent.
    """,
    "fault": "Make the sandbox misbehave, to test a runbook against failures.",
    "completion": "Print the completion script for a shell.",
}

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command that also takes the common options, which its help lists last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _keep_examples(self.help or "")
        self.params = [*self.params, *_common_options()]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help on the arguments and options of the command, and then on the common options."""
        _format_options(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands that are loaded on demand."""

    def __init__(self, name: str | None, tree: Tree, path: tuple[str, ...] = ()) -> None:
        super().__init__(
            name=name,
            help=_keep_examples(_GROUP_HELP[path[-1] if path else ""]),
            no_args_is_help=True,
            rich_markup_mode=None,
            context_settings=_CONTEXT,
        )
        self.tree = tree
        self.path = path
        self.params = list(_common_options())
        if not path:
            self.params.append(_version_option())

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the signature is Typer's)
        """Return the names of the commands, in the order of the tree."""
        return list(self.tree)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (as above)
        """Load and return the command or group *cmd_name*, or return None if it does not exist."""
        entry = self.tree.get(cmd_name)
        if isinstance(entry, dict):
            return Group(cmd_name, entry, (*self.path, cmd_name))
        return None if entry is None else _load(cmd_name, entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or fail and suggest the most similar command."""
        if args[0] not in self.tree and not args[0].startswith("-") and not ctx.resilient_parsing:
            nearest = _nearest(args[0], self.path)
            ctx.fail(
                f"No such command {args[0]!r}." + (f" Did you mean '{PROGRAM} {nearest}'?" if nearest else "")
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the completions of an option or of a command name. Commands are not loaded for this."""
        from typer._click.shell_completion import CompletionItem  # noqa: PLC0415 (for completion only)

        if incomplete.startswith("-"):
            return TyperCommand.shell_complete(self, ctx, incomplete)
        names = [name for name in self.tree if name.startswith(incomplete)]
        return [CompletionItem(name, help=_summary(name, self.tree[name])) for name in names]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help on the commands, and then on the options."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name, entry)) for name, entry in self.tree.items()])
        _format_options(self, ctx, formatter)


@cache
def root() -> Group:
    """Return the command tree as a Typer group."""
    return Group(PROGRAM, COMMANDS)


def all_commands(tree: Tree = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield each command as a tuple of its words, such as ``("call", "list")``."""
    for name, entry in tree.items():
        if isinstance(entry, Entry):
            yield (*path, name)
        else:
            yield from all_commands(entry, (*path, name))


def _load(name: str, entry: Entry) -> Any:
    module_name, _, function_name = entry.function.partition(":")
    module = import_module(f"voicectl.cli.commands.{module_name}")
    function = getattr(module, function_name)
    text = inspect.getdoc(function) or ""
    if entry.view is not None:
        views = module if entry.view.startswith(":") else import_module("voicectl.cli.output.views")
        view: View = getattr(views, entry.view.removeprefix(":"))
        text += f"\n\nTSV columns: {', '.join(view.columns)}."
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings = _CONTEXT | ({"allow_interspersed_args": False} if entry.is_wrapper else {})
    single.command(name, cls=Command, context_settings=settings, help=text)(function)
    command = typer.main.get_command(single)
    command.name = name
    return command


def _summary(name: str, entry: Entry | Tree) -> str:
    return entry.summary if isinstance(entry, Entry) else _GROUP_HELP[name].splitlines()[0]


def _keep_examples(text: str) -> str:
    """Mark the paragraphs that contain indented lines, such as examples, so that the help does not wrap them."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{each}" if "\n  " in each else each for each in paragraphs)


def _nearest(word: str, path: tuple[str, ...]) -> str | None:
    """Return the command that was probably meant, or None if no command is similar.

    The same word in another group is preferred, then a similar word in this group, then a similar word in another
    group.
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


def _option(
    *names: str, text: str, metavar: str | None = None, read: Callable[[str], Any] = str
) -> TyperOption:
    """Return an option that stores its value in the field of ``app.options`` with the same name."""
    field = names[-1].removeprefix("--").replace("-", "_")

    def remember(ctx: typer.Context, _param: Any, value: Any) -> None:
        app = ctx.find_object(App)
        if app is not None and value not in (None, False):
            setattr(app.options, field, value if value is True else read(value))

    return TyperOption(
        param_decls=list(names),
        is_flag=metavar is None,
        metavar=metavar,
        type=None if metavar is None else str,
        default=False if metavar is None else None,
        show_default=False,
        expose_value=False,
        callback=remember,
        help=text,
    )


@cache
def _common_options() -> tuple[TyperOption, ...]:
    return (
        _option("-p", "--profile", metavar="NAME", text="Use this profile."),
        _option(
            "-o", "--output", metavar="FORMAT", text=f"Output format: {', '.join(Format)}.", read=_format
        ),
        _option("-q", "--quiet", text="Print only ids, one per line."),
        _option(
            "--fields",
            metavar="LIST",
            text="Show these fields ('--fields help' lists all), e.g. uuid,to.number.",
        ),
        _option("--request-timeout", metavar="DURATION", text="Time limit for each request (default 10 s)."),
        _option(
            "--ca-file", metavar="FILE", text="Trust the CA certificates in this file, not the system's."
        ),
        _option("--dry-run", text="Change nothing; print each request as a curl command."),
        _option("-y", "--yes", text="Skip the confirmation for a list or selection."),
        _option("--debug", text="Log requests and replies to standard error."),
    )


def _version_option() -> TyperOption:
    def show(ctx: typer.Context, _param: Any, value: bool) -> None:
        app = ctx.find_object(App)
        if value and app is not None and not ctx.resilient_parsing:
            app.terminal.write(f"{PROGRAM} {__version__}\n")
            raise typer.Exit

    return TyperOption(
        param_decls=["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Print the version and exit.",
    )


def _format_options(command: Any, ctx: Any, formatter: Any) -> None:
    """Write three sections of the help: arguments, options, and common options."""
    sections: dict[str, list[tuple[str, str]]] = {
        "Arguments": [],
        "Options": [],
        "Options of every command": [],
    }
    common = _common_options()
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            kind = "Options of every command" if param in common else "Options"
            sections["Arguments" if param.param_type_name == "argument" else kind].append(record)
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _format(text: str) -> Format:
    try:
        return Format(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(Format)}.", param_hint="-o") from None
