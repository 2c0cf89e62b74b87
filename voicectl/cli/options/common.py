"""The options that every command accepts, before or after its name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperOption

from voicectl import __version__
from voicectl.cli.context import App
from voicectl.cli.output.writer import FORMATS, Format
from voicectl.cli.tree import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.cli.terminal import Options


def _option(
    *names: str, text: str, metavar: str | None = None, store: Callable[[Options, str], None] | None = None
) -> TyperOption:
    """Return an option that stores its value in the field of ``app.options`` with the same name.

    Args:
        store: A function that stores the value in another way, or None.
    """
    field = names[-1].removeprefix("--").replace("-", "_")

    def remember(ctx: typer.Context, _param: Any, value: Any) -> None:
        app = ctx.find_object(App)
        if app is not None and value not in (None, False):
            if store is None:
                setattr(app.options, field, value)
            else:
                store(app.options, value)

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
def common_options() -> tuple[TyperOption, ...]:
    """Return the options that every command accepts. Their values are stored in ``app.options``."""
    return (
        _option("-p", "--profile", metavar="NAME", text="Use this profile."),
        _option(
            "-o",
            "--output",
            metavar="FORMAT",
            text=f"Output format: {FORMATS}, where TEXT is, for example, '{{uuid}}\\t{{to.number}}\\n'.",
            store=_store_format,
        ),
        _option("-q", "--quiet", text="Print only ids, one per line."),
        _option(
            "--fields",
            metavar="LIST",
            text="Show these fields ('--fields help' lists all), e.g. uuid,to.number.",
        ),
        _option("--utc", text="Show times in full and in UTC, even on a terminal."),
        _option("--request-timeout", metavar="DURATION", text="Time limit for each request (default 10 s)."),
        _option(
            "--ca-file", metavar="FILE", text="Trust the CA certificates in this file, not the system's."
        ),
        _option("--dry-run", text="Change nothing; print each request as a curl command."),
        _option(
            "-y",
            "--yes",
            text="Do not ask for confirmation before acting on legs that are read from standard input or selected"
            " with options.",
        ),
        _option("--debug", text="Log requests and responses to standard error."),
    )


def version_option() -> TyperOption:
    """Return the option that prints the version and exits."""

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


def format_options(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the help on the arguments and options of *command*, and a line about the common options."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    common = common_options()
    for param in command.get_params(ctx):
        record = None if param in common else param.get_help_record(ctx)
        if record is not None:
            sections["Arguments" if param.param_type_name == "argument" else "Options"].append(record)
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    formatter.write_paragraph()
    formatter.write_text(f"For options that all commands share, such as -o and -q: {PROGRAM} help options")


def _store_format(options: Options, text: str) -> None:
    name, template = (
        (Format.TEMPLATE, text.removeprefix(Format.TEMPLATE))
        if text.startswith(Format.TEMPLATE)
        else (text, None)
    )
    try:
        options.output, options.template = Format(name), template
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {FORMATS}.", param_hint="-o") from None
