"""``test run|schema``: prove a call flow on a sandbox."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from voicectl.cli import errors
from voicectl.cli.context import current
from voicectl.cli.output.test_report import Lines
from voicectl.cli.output.text import remark, to_json
from voicectl.core.scenarios import reading
from voicectl.core.scenarios.reading import ScenarioError


def run(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR...",
            help="Scenario files, or directories in which all *.call.toml are run.",
            show_default=False,
        ),
    ],
) -> None:
    """Run the tests of scenario files against an application, on a private sandbox.

    Examples:
      $ voicectl test run ivr.call.toml
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    from voicectl.cli.scenario_bench import open_bench  # noqa: PLC0415
    from voicectl.core.scenarios.suite import Suite  # noqa: PLC0415

    try:
        scenarios = reading.read_all(files)
    except ScenarioError as exc:
        for mistake in exc.mistakes:
            remark(mistake)
        raise
    suite = Suite(scenarios, partial(open_bench, environ=app.environ, clock=app.clock))
    lines = Lines(app.terminal)
    for result in suite.run():
        lines.add(result)
    lines.close()
    if lines.has_failed:
        raise typer.Exit(errors.TESTS_FAILED)


def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema for scenario files, for use in an editor.

    Examples:
      $ voicectl test schema > call.schema.json
    """
    current(ctx).terminal.write(to_json(reading.schema(), indent=2) + "\n")
