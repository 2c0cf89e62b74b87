"""``test run|schema``: prove a call flow on a sandbox."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from voicectl.cli import errors
from voicectl.cli.context import App, current
from voicectl.cli.output.test_report import VIEW, Report
from voicectl.cli.output.text import remark, to_json
from voicectl.core.identity.profiles import ProfileStore
from voicectl.core.scenarios import reading
from voicectl.core.scenarios.model import Scenario
from voicectl.core.scenarios.reading import ScenarioError
from voicectl.core.scenarios.results import Result
from voicectl.core.scenarios.suite import Item, Suite
from voicectl.errors import InputError

MAX_JOBS = 64
MAX_REPEAT = 100_000


def run(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR...",
            help="Scenario files, or directories whose *.call.toml files are run.",
            show_default=False,
        ),
    ],
    chosen: Annotated[
        str | None,
        typer.Option("-k", metavar="TEXT", help="Run only the tests whose names contain this text."),
    ] = None,
    fail_fast: Annotated[bool, typer.Option("-x", "--fail-fast", help="Stop at the first failure.")] = False,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_JOBS,
            help="Run up to N tests at once, each job with its own sandbox and application.",
        ),
    ] = 1,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_REPEAT, help="Run each test N times.")
    ] = 1,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed for the ids and random choices of the sandbox.")
    ] = 1,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the results to this file, as JUnit XML.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also save what the parties heard, as WAV, and the ladder diagrams of the calls, as SVG.",
        ),
    ] = None,
) -> None:
    """Run the tests in scenario files against an application, on a private sandbox.

    A scenario file says how to start the application, and what the people who call it hear, press and say. The
    application is started as the file says, and called over the real protocol. The sandbox's clock does not run in
    real time: it jumps from each event to the next, once the application has responded.

    Each test also fails if the application returns an NCCO with an error, does not answer a webhook in time, plays
    audio that cannot be fetched, calls people faster than the platform allows, or repeats a prompt without end.

    The exit status is 13 if a test failed, and 2 if a file contains an error; in that case, no tests are run. In a
    pipe, there is one line for each test; what failed tests expected and heard goes to standard error.

    Examples:
      $ voicectl test run ivr.call.toml
      $ voicectl test run . --jobs 2 --junit results.xml
      $ voicectl test run ivr.call.toml -k sales -o jsonl
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    items = _items(_read(app, files), chosen, repeat)
    with (
        app.terminal.writer(VIEW, is_many=True) as out,
        Report(out, items, junit=junit) as report,
        ExitStack() as stack,
    ):
        for result in stack.enter_context(_running(app, items, jobs=jobs, seed=seed, save=save)):
            report.add(result)
            if fail_fast and result.has_failed:
                break
    if report.has_failed:
        raise typer.Exit(errors.TESTS_FAILED)


@contextmanager
def _running(
    app: App, items: list[Item], *, jobs: int, seed: int, save: Path | None
) -> Iterator[Iterator[Result]]:
    """Run the tests for the duration of the ``with`` block, and yield an iterator over their results."""
    # The sandbox is slow to load, and is not needed if a file has a mistake.
    from voicectl.cli.private_sandbox import stored_identity  # noqa: PLC0415
    from voicectl.cli.scenario_bench import open_bench  # noqa: PLC0415

    kept = {}
    if save is not None:
        from voicectl.cli.output.test_files import SavedFiles  # noqa: PLC0415 (for this option only)

        kept = {"keep": SavedFiles(save).save}
    with tempfile.TemporaryDirectory(prefix="voicectl-") as directory:
        profiles = ProfileStore(Path(directory) / "config")
        stored_identity(profiles)
        opening = partial(open_bench, environ=app.environ, clock=app.clock, seed=seed, profiles=profiles)
        with Suite(items, opening, jobs=jobs, **kept).running() as results:
            yield results


def _read(app: App, files: list[Path]) -> list[Scenario]:
    try:
        return reading.read_all(files)
    except ScenarioError as exc:
        for mistake in exc.mistakes:
            if app.terminal.has_json_errors:
                app.report(InputError(mistake))
            else:
                remark(mistake)
        raise


def _items(scenarios: list[Scenario], chosen: str | None, repeat: int) -> list[Item]:
    wanted = (chosen or "").casefold()
    found = [
        Item(scenario=scenario, test=test, name=f"{test.name} ({at}/{repeat})" if repeat > 1 else test.name)
        for scenario in scenarios
        for at in range(1, repeat + 1)
        for test in scenario.tests
        if wanted in test.name.casefold()
    ]
    if not found:
        raise InputError(f"No test has a name that contains {chosen!r}.", hint="Check the text after -k.")
    return found


def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema for scenario files, for use in an editor.

    Example:
      $ voicectl test schema > call.schema.json
    """
    current(ctx).terminal.write(to_json(reading.schema(), indent=2) + "\n")
