"""``test crawl``: explore the menu of an application, and draw its map."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from voicectl.cli import errors
from voicectl.cli.context import App, current
from voicectl.cli.output import menu_map
from voicectl.cli.output.text import has_screen, may_color, remark
from voicectl.cli.output.writer import View
from voicectl.core.crawl.caller import Caller
from voicectl.core.crawl.explore import MAX_STATES, Explorer
from voicectl.core.crawl.menus import Map
from voicectl.core.identity.profiles import ProfileStore
from voicectl.core.scenarios import reading
from voicectl.core.scenarios.model import CALLER, Scenario
from voicectl.core.scenarios.reading import ScenarioError
from voicectl.errors import InputError
from voicectl.voice import endpoint

MAX_DEPTH = 50
JOBS = 4
"""The number of calls at once. While one waits for the application, others go on: four take half the time of one."""

MAX_JOBS = 64
VIEW = View(
    columns=("to", "state_count", "walks", "complete", "finding_count"), more=("states", "findings"), id="to"
)


def crawl(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Scenario file whose [app] section describes the application.",
            show_default=False,
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="NUMBER", help="Number to call.", show_default=False)],
    caller: Annotated[str, typer.Option("--from", metavar="NUMBER", help="Number of the caller.")] = CALLER,
    depth: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_DEPTH, help="Press keys at most N times in one call.")
    ] = 8,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_JOBS,
            help="Make up to N calls at once, each job with its own sandbox and application.",
        ),
    ] = JOBS,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also save the map in this file, as SVG.")
    ] = None,
    mermaid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also save the map in this file, as Mermaid.")
    ] = None,
) -> None:
    """Explore the menu of an application, and find its faults.

    Wherever the application waits for keys, voicectl presses each key, then none, then too many. Each attempt is a
    separate call from the beginning of the menu. voicectl recognises each place in the menu by what the application
    says there, ignoring numbers and dates.

    Standard error lists dead ends, menus that have no way out or are repeated endlessly, errors, and keys that are
    offered ("press 2") but treated like keys that are not offered. If there are any, the exit status is 13.

    Examples:
      $ voicectl test crawl ivr.call.toml --to 442079460000
      $ voicectl test crawl ivr.call.toml --to 442079460000 --svg menu.svg -o json
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    endpoint.parse(to)  # refuses anything else before the sandbox starts
    try:
        scenario = reading.read(file, needs_tests=False)
    except ScenarioError as exc:
        for mistake in exc.mistakes:
            remark(mistake)
        raise
    drawings = [(path, draw) for path, draw in ((svg, menu_map.svg), (mermaid, menu_map.mermaid)) if path]
    for path, _ in drawings:
        _write(path, "")  # before the calls, which take time
    fields = {"to": to, "from": caller}
    count = jobs if scenario.app.url is None else 1  # there is only one of an application that runs already
    with _callers(app, scenario, fields, count=count) as callers, _shown(app) as show:
        menu = Explorer(to, callers, depth=depth, progress=show).explore()
    for path, draw in drawings:
        _write(path, draw(menu))
    counts = {"state_count": len(menu.states), "finding_count": len(menu.findings)}
    with app.terminal.writer(VIEW, is_many=False) as out:
        out.add(menu.to_json() | counts)
    _tell(menu)
    if menu.findings:
        raise typer.Exit(errors.TESTS_FAILED)


def _tell(menu: Map) -> None:
    for finding in menu.findings:
        way = " ".join(finding.path)
        remark(f"{finding.kind}: {finding.message}" + (f" Way: {way}." if way else ""))
    if len(menu.states) >= MAX_STATES:
        remark(f"The exploration stopped at {MAX_STATES} states; the menu may have more.")
    elif not menu.is_complete:
        remark("The menu continues beyond what was explored. Give a larger --depth to see more.")


@contextmanager
def _shown(app: App) -> Iterator[Callable[[Map], None]]:
    """Yield a function that shows the progress on a terminal."""
    if not has_screen(app.environ, sys.stderr):
        yield lambda _menu: None
        return
    from voicectl.cli.output.crawl_progress import CrawlLine  # noqa: PLC0415 (for a terminal only)

    line = CrawlLine(sys.stderr, is_colored=may_color(app.environ, sys.stderr))
    with line:
        yield line.show


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc.strerror}.", hint="Check the path.") from exc


@contextmanager
def _callers(app: App, scenario: Scenario, fields: dict[str, str], *, count: int) -> Iterator[list[Caller]]:
    """Yield callers for the duration of the ``with`` block, each with a sandbox and an application."""
    # The sandbox is slow to load, and is not needed if the file has a mistake.
    from voicectl.cli.private_sandbox import stored_identity  # noqa: PLC0415
    from voicectl.cli.scenario_bench import open_bench  # noqa: PLC0415

    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="voicectl-"))
        profiles = ProfileStore(Path(directory) / "config")
        stored_identity(profiles)
        callers = []
        for _ in range(count):
            bench = stack.enter_context(open_bench(scenario, app.environ, app.clock, profiles=profiles))
            callers.append(Caller(scenario.app, bench, fields))
            stack.callback(callers[-1].close)
        yield callers
