"""Read NCCOs from files, and check them before they are sent."""

from __future__ import annotations

import codecs
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import strict_json
from voicectl.cli.output.text import is_terminal, remark
from voicectl.errors import InputError
from voicectl.voice import endpoint, ncco

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.cli.terminal import Terminal
    from voicectl.voice.ncco import Ncco
    from voicectl.voice.ncco.findings import Finding

MAX_LINES = 10

_CHECKED_BY_PARSING = {"type", "number", "user", "extension"}
"""The fields of an endpoint that are not linted, because parsing the command line has already checked them."""

NoLint = Annotated[bool, typer.Option("--no-lint", help="Send the NCCO without checking it.")]


def read_ncco(terminal: Terminal, name: str, *, is_linted: bool = False) -> Ncco:
    """Read an NCCO from the file *name*, or from standard input if *name* is ``-``.

    Args:
        is_linted: True to check the NCCO and refuse it if it has errors.

    Raises:
        InputError: The content is not JSON, is not an array of actions, or has errors. The message says where.
    """
    where = "Standard input" if name == "-" else name
    content = terminal.read_input(name, "an NCCO").removeprefix(codecs.BOM_UTF8)
    try:
        flow = strict_json.loads(content.decode())
    except json.JSONDecodeError as exc:
        raise InputError(f"{where} is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{where} is not valid JSON.", hint="Use UTF-8, and no NaN or Infinity.") from exc
    if is_linted:
        from voicectl.voice.ncco.lint import lint_file  # noqa: PLC0415 (only if an NCCO is sent)

        found = ((finding, f"{where}:{line}:{column}: ") for finding, line, column in lint_file(content))
        _refuse(terminal, where, found)
    if not isinstance(flow, list) or not flow:
        raise InputError(
            f"{where} is not an NCCO: it must be an array with at least one action.",
            hint='An NCCO is an array of actions: [{"action": "talk", "text": "Hello"}]',
        )
    return flow


def check_ncco(terminal: Terminal, flow: Ncco) -> None:
    """Check *flow*, an NCCO built from the options of a command.

    Raises:
        InputError: The NCCO has an error.
    """
    from voicectl.voice.ncco.lint import lint  # noqa: PLC0415 (only if an NCCO is sent)

    _refuse(terminal, "The NCCO built from these options", ((finding, "") for finding in lint(flow)))


def check_endpoints(terminal: Terminal, endpoints: list[dict[str, Any]]) -> None:
    """Check the endpoints of new calls by the rules for the endpoints in a ``connect`` action.

    Raises:
        InputError: An endpoint has an error.
    """
    if not any(each.keys() - _CHECKED_BY_PARSING for each in endpoints):
        return
    from voicectl.voice.ncco.lint import lint  # noqa: PLC0415 (only if an option was given)

    for each in endpoints:
        found = lint([ncco.connect(endpoint.in_ncco(each))])
        placed = ((replace(finding, path=("to", *finding.path[2:])), "") for finding in found)
        _refuse(terminal, f"The endpoint {endpoint.label(each)}", placed)


def _refuse(terminal: Terminal, where: str, findings: Iterable[tuple[Finding, str]]) -> None:
    """Report the errors in *findings* and, on a terminal, also the warnings.

    Raises:
        InputError: One of the findings is an error.
    """
    from voicectl.voice.json_places import show  # noqa: PLC0415 (as above)

    lines: dict[bool, list[str]] = {True: [], False: []}
    for finding, place in findings:
        line = f"{place}{finding.severity}: {show(finding.path)}: {finding.message} {finding.hint}"
        lines[finding.is_error].append(line)
    warnings, errors = lines[False], lines[True]
    if is_terminal(sys.stderr) and not terminal.has_json_errors:
        _remark_lines(warnings, "warnings")
    if not errors:
        return
    summary = f"{where} has {len(errors)} error{'s' if len(errors) > 1 else ''}"
    if terminal.has_json_errors:
        summary += ": " + "; ".join(errors[:MAX_LINES])
    else:
        _remark_lines(errors, "errors")
    raise InputError(f"{summary.rstrip('.')}.", hint="Nothing was sent. Add --no-lint to send it unchecked.")


def _remark_lines(lines: list[str], what: str) -> None:
    for line in lines[:MAX_LINES]:
        remark(line)
    if len(lines) > MAX_LINES:
        remark(
            f"... and {len(lines) - MAX_LINES} more {what}. To see them all, check the NCCO with voicectl ncco lint."
        )
