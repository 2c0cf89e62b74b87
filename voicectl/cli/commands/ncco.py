"""``ncco``: check NCCOs, and print a JSON Schema of NCCOs for editors."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from voicectl.cli import errors
from voicectl.cli.context import current
from voicectl.cli.output.text import clean, remark, to_json
from voicectl.cli.output.writer import View
from voicectl.voice.json_places import show
from voicectl.voice.ncco.lint import lint_file
from voicectl.voice.ncco.schema import schema as make_schema

VIEW = View(columns=("line", "column", "severity", "path", "message", "hint"), id="path")


def lint(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="File with the NCCO, as JSON; - reads standard input.", show_default=False
        ),
    ],
) -> None:
    """Check an NCCO, and list each problem with its location.

    An error makes the platform, and also the sandbox, refuse the NCCO. A warning does not: it points out something
    that the platform tolerates, that is deprecated or undocumented, or that may not do what you meant. The exit
    status is 2 if there is an error. Nothing is sent.

    Examples:
      $ echo '[{"action": "talk", "text": "Hello"}]' > flow.json
      $ voicectl ncco lint flow.json
      $ voicectl ncco lint - -o json <flow.json
    """
    app = current(ctx)
    name = "standard input" if file == "-" else file
    where = clean(name).replace("{", "{{").replace("}", "}}")
    view = replace(VIEW, line=where + ":{line}:{column}: {severity}: {path}: {message} {hint}")
    writer = app.terminal.writer(view, is_many=True)
    placed = lint_file(app.terminal.read_input(file, "an NCCO"))
    if not placed and app.terminal.format.is_table:
        remark(f"{name}: no problems found.")
        return
    with writer as out:
        for finding, line, column in placed:
            out.add(
                {
                    "line": line,
                    "column": column,
                    "severity": finding.severity,
                    "path": show(finding.path),
                    "message": finding.message,
                    "hint": finding.hint,
                }
            )
    if any(finding.is_error for finding, _, _ in placed):
        raise typer.Exit(errors.USAGE)


def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema for NCCOs, for use in an editor.

    'ncco lint' also checks what a schema cannot express: rules that span several actions, SSML, and deprecated
    or unknown values.

    Example:
      $ voicectl ncco schema > ncco.schema.json
    """
    current(ctx).terminal.write(to_json(make_schema(), indent=2) + "\n")
