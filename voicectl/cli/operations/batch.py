"""Running a batch, for the commands that do so."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from voicectl.cli import errors
from voicectl.cli.arguments import refuse_password
from voicectl.cli.output.text import has_screen, remark
from voicectl.cli.output.writer import Format, View, Writer
from voicectl.core.batch import places, report
from voicectl.core.batch.attempts import Outcome
from voicectl.core.batch.load import Screen
from voicectl.core.batch.place import MAX_CALLS
from voicectl.core.batch.run import runner
from voicectl.errors import GuardError, Interrupted
from voicectl.store.batches.process import this_process
from voicectl.store.batches.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.cli.context import App
    from voicectl.core.batch.ledger import Change, Tally
    from voicectl.core.batch.place import Place
    from voicectl.core.batch.settings import Settings
    from voicectl.store.batches.records import BatchInfo, BatchStore

CHANGE = View(
    columns=(
        "at",
        "to",
        "state",
        "outcome",
        "attempt",
        "attempt_outcome",
        "detail",
        "uuid",
        "reference",
        "person",
    ),
    utc_times=frozenset({"at"}),
)
SUMMARY = View(columns=("outcome", "people"), id="outcome")


def place_of(app: App, store: str | None) -> Place:
    """Return the place where batches are kept.

    Args:
        store: The value of ``--store``.

    Raises:
        GuardError: This is a rehearsal, and the database is on another machine.
    """
    if store is None:
        return places.local(app.state_directory, app.clock)
    check_store(app, store)
    found = places.shared(store, app.state_directory, app.target.application_id, app.clock)
    app.closing.callback(found.close)
    return found


def check_store(app: App, url: str) -> None:
    """Check that a database given on the command line may be used.

    Raises:
        InputError: The URL contains a password.
        GuardError: This is a rehearsal, and the database is on another machine.
    """
    refuse_password(url)
    app.target.check_reach(url)


def screen_of(app: App, place: Place, settings: Settings) -> Screen:
    """Return the object that decides who must not be called by a batch that exists."""
    exclude = None if settings.exclude is None else Path(settings.exclude)
    return Screen(app.target.policy, exclude, place.opt_outs)


def check_target(app: App, info: BatchInfo) -> None:
    """Check that a batch belongs to the application on which the command acts.

    Raises:
        GuardError: It belongs to another application or base URL.
    """
    target = app.target
    if (info.application_id, info.base_url) != (target.application_id, target.base_url):
        raise GuardError(
            f"The batch {info.name} belongs to application {info.application_id} on {info.base_url}.",
            hint="Choose the profile with which it was started. No call was made.",
        )


def go(
    app: App,
    place: Place,
    store: BatchStore,
    settings: Settings,
    screen: Screen,
    *,
    prepare: Callable[[BatchStore], None] | None,
) -> None:
    """Run a batch until every person has an outcome, or until it pauses or is stopped, and show the outcomes.

    Args:
        store: The batch, opened to be run.
        prepare: A function that is called with the batch before the first call, once the lease is taken. With None,
            the process joins others, and a request to stop or pause that another command made holds.
    """
    info = store.info()
    earlier = store.take_lease(this_process(place.clock.time()))
    if earlier is not None:
        remark(f"Taking over from process {earlier.pid}, which has ended.")
    is_lines = app.terminal.format is Format.JSONL
    with ExitStack() as stack:
        release = stack.enter_context(_releasing(store))
        if prepare is not None:
            prepare(store)
            store.set_stop(Stop.NO)
            store.set_pause("")
        app.consent.announce()
        out = stack.enter_context(app.terminal.writer(CHANGE if is_lines else SUMMARY, is_many=True))
        running = runner(
            info.name,
            store,
            settings,
            info.columns,
            screen,
            place,
            app,
            on_change=partial(_write_change, out) if is_lines else lambda _: None,
            on_tick=stack.enter_context(_progress(app, store)),
            remark=remark,
        )
        people = store.totals().people
        release.pop_all()  # the runner releases it
        stack.enter_context(place.hand_out(store, settings.concurrent or MAX_CALLS))
        try:
            running.run()
        except Interrupted:
            remark(f"The batch is not finished. To continue it: voicectl batch resume {info.name}")
            raise
        finally:
            counts = report.outcomes(running.parts.ledger.tally.totals(people))
            for outcome, count in () if is_lines else counts.items():
                out.add({"outcome": outcome, "people": count})
    if counts.keys() & {Outcome.IN_DOUBT, Outcome.NOT_CALLED}:
        remark(
            f"Some people were not called, or their calls are in doubt. See: voicectl batch report {info.name}"
        )
        raise typer.Exit(errors.PARTIAL)


@contextmanager
def _releasing(store: BatchStore) -> Iterator[ExitStack]:
    """Yield a stack that releases the lease after the ``with`` block."""
    with ExitStack() as stack:
        stack.callback(store.release_lease)
        yield stack


def _write_change(out: Writer, change: Change) -> None:
    out.add(report.change(change))
    out.flush()


@contextmanager
def _progress(app: App, store: BatchStore) -> Iterator[Callable[[Tally], None]]:
    """Yield a function that shows the progress, if standard error is a terminal that can show it."""
    if not has_screen(app.environ, sys.stderr):
        yield lambda _: None
        return
    from voicectl.cli.output.batch_progress import BatchBar  # noqa: PLC0415 (loads rich; only on a terminal)

    with BatchBar(sys.stderr, store.totals().people, app.clock.monotonic, environ=app.environ) as bar:
        yield bar.update
