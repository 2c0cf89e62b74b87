"""``batch list``, ``status``, ``stop`` and ``report``: see and control batches from any terminal."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli import errors
from voicectl.cli.context import App, current
from voicectl.cli.operations.batch import place_of
from voicectl.cli.options.batch import BatchStoreUrl
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.core.batch import report as reports
from voicectl.core.batch.settings import Settings
from voicectl.core.calls.hangup import hang_up
from voicectl.errors import Interrupted, VoicectlError
from voicectl.store.batches.records import Stop

if TYPE_CHECKING:
    from voicectl.store.batches.records import BatchStore

BATCH = View(
    columns=(
        "batch",
        "state",
        "people",
        "done",
        "reached",
        "under_way",
        "waiting",
        "in_doubt",
        "attempts",
        "spent",
        "created_at",
        "pause",
        "pid",
    ),
    more=("duplicates", "outcomes"),
    id="batch",
    utc_times=frozenset({"created_at"}),
    table=(
        "batch",
        "state",
        "people",
        "done",
        "reached",
        "in_doubt",
        "waiting",
        "under_way",
        "pause",
        "created_at",
    ),
)
PERSON = View(
    columns=(
        "line",
        "to",
        "outcome",
        "reached",
        "detail",
        "attempts",
        "called_at",
        "ended_at",
        "duration",
        "price",
        "detection",
        "called",
        "uuid",
        "reference",
    ),
    more=("calls", "duplicates", "row"),
    id="to",
    utc_times=frozenset({"called_at", "ended_at"}),
    table=("line", "to", "outcome", "detail", "attempts", "called_at", "duration", "uuid"),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the batch.", show_default=False)]


def list_(ctx: typer.Context, store: BatchStoreUrl = None) -> None:
    """List the application's batches.

    Example:
      $ voicectl batch list
    """
    app = current(ctx)
    batches = place_of(app, store).batches
    with app.terminal.writer(BATCH, is_many=True) as out:
        for name in batches.names():
            try:
                with closing(batches.open(name)) as batch:
                    out.add(reports.status(batch, app.clock.time()))
            except VoicectlError as exc:  # the other batches are still listed
                remark(f"{name}: {exc.message}")


def status(ctx: typer.Context, name: Name, store: BatchStoreUrl = None) -> None:
    """Show the progress of a batch.

    The state is 'running', 'stopping', 'paused', 'stopped', 'interrupted' (its process has ended) or 'done'.

    Example:
      $ voicectl batch status "$BATCH"
    """
    app = current(ctx)
    with closing(place_of(app, store).batches.open(name)) as batch:
        _show(app, batch)


def stop(
    ctx: typer.Context,
    name: Name,
    hang_up_: Annotated[bool, typer.Option("--hang-up", help="Also end the calls under way.")] = False,
    store: BatchStoreUrl = None,
) -> None:
    """Stop a batch: no new calls are started after one second at most.

    Calls under way continue unless --hang-up is given. To continue later, use 'batch resume'.

    Example:
      $ voicectl batch stop "$BATCH"
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    statuses: list[int] = []
    with ExitStack() as stack:
        batch = place_of(app, store).batches.open(name)
        stack.callback(batch.close)
        batch.set_stop(Stop.HANG_UP if hang_up_ else Stop.STOP)
        legs = reports.live_legs(batch) if hang_up_ else []
        if not reports.has_process(batch.info(), app.clock.time()):
            remark("No process is running this batch.")
            for uuid in legs:
                _hang_up(app, uuid, statuses)
        _show(app, batch)
    if statuses:
        raise typer.Exit(errors.combined_status(statuses, len(legs)))


def report(
    ctx: typer.Context,
    name: Name,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also save a diagram of the outcomes over time in this file, as SVG."
        ),
    ] = None,
    store: BatchStoreUrl = None,
) -> None:
    """List every person in a batch, with the outcome.

    The values of the list's columns are in 'row', as in --fields to,outcome,row.name. All attempts are in 'calls',
    and the lines that repeat a person's number are in 'duplicates'.

    Examples:
      $ voicectl batch report "$BATCH" -o csv
      $ voicectl batch report "$BATCH" --svg report.svg
    """
    app = current(ctx)
    with closing(place_of(app, store).batches.open(name)) as batch:
        info = batch.info()
        settings = Settings.from_json(info.settings)
        if svg is not None:
            from voicectl.cli.output import batch_svg  # noqa: PLC0415 (only for a picture)

            batch_svg.write(svg, info.name, batch)
        with app.terminal.writer(PERSON, is_many=True, is_open=True) as out:
            for each in batch.people():
                out.add(reports.person(each, settings))


def _show(app: App, store: BatchStore) -> None:
    record: dict[str, Any] = reports.status(store, app.clock.time())
    with app.terminal.writer(BATCH, is_many=False) as out:
        out.add(record)


def _hang_up(app: App, uuid: str, statuses: list[int]) -> None:
    """End a leg. An error is only reported, so that the other legs are still ended."""
    try:
        hang_up(app.api, app.clock, uuid, app.history)
        app.changed_ids.append(uuid)
    except Interrupted:
        raise
    except VoicectlError as exc:
        app.report(exc, f"hanging up {uuid}")
        statuses.append(errors.exit_status(exc))
