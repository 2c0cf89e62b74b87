"""``batch work`` and ``batch store``: batches that several machines run together, in a PostgreSQL database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.context import App, current
from voicectl.cli.operations.batch import SUMMARY as SUMMARY
from voicectl.cli.operations.batch import check_store, check_target, go, place_of, screen_of
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.core.batch import places
from voicectl.core.batch.settings import Settings
from voicectl.errors import GuardError, JournalError, StoreError
from voicectl.store.batches.records import Stop

if TYPE_CHECKING:
    from voicectl.store.batches.records import BatchInfo

OUTCOME = View(columns=("outcome",), id="outcome")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

Url = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="The database, postgresql://USER@HOST/DATABASE.",
        show_default=False,
    ),
]


def work(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the batch.", show_default=False)],
    store: Url,
) -> None:
    """Join a batch that was started with 'batch run --store', and help run it from this machine.

    All workers together keep to the batch's rate and limits, and no person is called by two of them. If a worker
    ends, the others take over its calls within a minute. If the database cannot be reached, the worker waits for it.
    The command ends when the batch does. Outcomes and exit statuses are those of 'batch run'.

    Example:
      $ voicectl batch work "$BATCH" --store "$STORE"
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = app.clock.monotonic()
        try:
            _work(app, name, store)
        except (StoreError, JournalError) as exc:
            if not exc.is_temporary:
                raise
            if app.clock.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            remark(f"{exc.message} Trying again in {pause:.0f} s.")
            with app.interrupts.waiting():
                app.clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            return


def _work(app: App, name: str, store: str) -> None:
    place = place_of(app, store)
    with closing(place.open(name)) as batch:
        info = batch.info()
        check_target(app, info)
        _check_running(info)
        settings = Settings.from_json(info.settings)
        go(app, place, batch, settings, screen_of(app, place, settings), prepare=None)


def _check_running(info: BatchInfo) -> None:
    if info.stop is not Stop.NO or info.pause:
        why = f"is paused: {info.pause}" if info.pause else "was stopped"
        raise GuardError(
            f"The batch {info.name} {why}.",
            hint=f"Continue it: voicectl batch resume {info.name} --store URL",
        )


def store_init(ctx: typer.Context, store: Url) -> None:
    """Create the tables for batches in a PostgreSQL database.

    The tables are in a schema of their own, voicectl_batches. If they exist, nothing is changed.

    Example:
      $ voicectl batch store init --store "$STORE"
    """
    _prepare(current(ctx), store, is_new=True)


def store_upgrade(ctx: typer.Context, store: Url) -> None:
    """Bring the tables for batches in a PostgreSQL database up to date.

    Stop all workers first. If the tables are up to date, nothing is changed.

    Example:
      $ voicectl batch store upgrade --store "$STORE"
    """
    _prepare(current(ctx), store, is_new=False)


def _prepare(app: App, url: str, *, is_new: bool) -> None:
    app.consent.refuse_dry_run()
    check_store(app, url)
    is_changed = places.prepare(url, is_new=is_new)
    with app.terminal.writer(OUTCOME, is_many=False) as out:
        out.add({"outcome": "done" if is_changed else "already"})
