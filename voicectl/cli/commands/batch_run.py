"""``batch run`` and ``batch resume``: call many people, each at most once per attempt."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from voicectl.cli.arguments import grouped
from voicectl.cli.context import App, current
from voicectl.cli.operations.batch import SUMMARY, check_target, go, place_of, screen_of
from voicectl.cli.options.batch import (
    BatchStoreUrl,
    Concurrent,
    LimitOptions,
    MessageOptions,
    PeopleOptions,
    Rate,
    check_rate,
    check_receiver,
    settings_of,
)
from voicectl.cli.output.text import remark
from voicectl.core.batch.load import Screen, load
from voicectl.core.batch.message import Message
from voicectl.core.batch.people import Columns
from voicectl.core.batch.plan import MAX_LISTED, Plan
from voicectl.core.batch.settings import Settings
from voicectl.errors import DryRun, GuardError, InputError
from voicectl.store.batches.records import BatchHead
from voicectl.voice import ncco

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from voicectl.core.batch.load import Loaded
    from voicectl.core.batch.people import BadRow
    from voicectl.store.batches.directory import NewBatch
    from voicectl.store.batches.records import BatchStore

MAX_FAULTS = 1000
"""The maximum number of bad rows that are listed."""

DRY_REQUESTS = 3


@grouped
def run(
    ctx: typer.Context,
    list_file: Annotated[
        str,
        typer.Argument(
            metavar="LIST",
            help="The people: a CSV file with a header, or JSON lines; - reads standard input.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--id", metavar="NAME", help="The name of the batch.", show_default=False)
    ],
    *,
    message: MessageOptions,
    people: PeopleOptions,
    limits: LimitOptions,
    store: BatchStoreUrl = None,
    accept_new_list: Annotated[
        bool,
        typer.Option(
            "--accept-new-list", help="If the list has changed, also call the people who were added."
        ),
    ] = False,
) -> None:
    """Call many people, each at most once per attempt.

    The whole list is checked before the first call. Numbers that are listed more than once, even if they are written
    differently, are called only once. The first call is made alone; the others follow once a call has succeeded. If
    the command is interrupted, run it again: it continues, and does not repeat any call that was made or may have
    been made.

    A person counts as reached if the outcome is 'answered': a person, not a machine, answered. If voicectl cannot
    find out whether it was a person, the outcome is 'unverified'; 'webhook serve' makes this rarer. If the API's
    response is lost and the call cannot be found, the outcome is 'in-doubt'.

    With --confirm-key, only people who press that key count as reached ('confirmed'). People who press --opt-out-key
    are never called by a batch again ('opted-out').

    The batch pauses (exit status 9) if the API refuses the first call, if 5 calls in a row fail for the same reason,
    or if more than 5 % of at least 20 calls are in doubt. The exit status is 10 if people were not called or are in
    doubt. With -o jsonl, each change is printed; otherwise, the number of people by outcome is printed at the end.

    Examples:
      $ voicectl batch run people.csv --id alert-17 --talk "Hello {name}" --yes
      $ voicectl batch run people.csv --id alert-18 --ncco flow.json --dry-run
    """
    app = current(ctx)
    if list_file == "-" and not (app.options.yes or app.options.dry_run):
        raise GuardError("A list on standard input needs confirmation in advance.", hint="Add --yes.")
    settings = settings_of(app, message, people, limits)
    app.target.policy.check_dialled(ncco.dialled(settings.ncco))
    place = place_of(app, store)
    if store is None:
        check_receiver(app, settings)
        app.journal.check()
    screen = Screen(app.target.policy, people.exclude, place.opt_outs)
    with ExitStack() as stack:
        new = stack.enter_context(place.batches.new(name))
        file, where = stack.enter_context(_opened(app, list_file))
        with _faults() as on_fault:
            loaded = load(file, where, _columns(settings), new, screen, on_fault)
        made = Message(settings, loaded.columns)
        batch = place.open(name) if place.batches.exists(name) else None
        if batch is not None:
            stack.callback(batch.close)
            _check_same(app, batch, settings)
        if app.options.dry_run:
            _show_requests(app, name, settings, new, loaded, made)
            return
        plan = _plan(settings, new, loaded)
        if batch is None:
            question = f"Call {_people(plan.people)} as batch {name} {app.consent.where()}"
            _confirm(app, question, plan.lines(), plan.people, limits.max_people)
            _keep(app, name, settings, new, loaded)
            batch = place.open(name)
            stack.callback(batch.close)
        else:
            left = batch.totals()
            _confirm(app, f"Continue batch {name} {app.consent.where()}", (f"To be called: {left.waiting}.",))
        update = _Update(new=new, loaded=loaded, is_accepted=accept_new_list, most=limits.max_people)
        go(app, place, batch, settings, screen, prepare=update.apply)


def resume(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the batch.", show_default=False)],
    rate: Rate = None,
    concurrent: Concurrent = None,
    store: BatchStoreUrl = None,
) -> None:
    """Continue a batch that was paused, stopped or interrupted.

    The command keeps the settings and the list with which the batch was started, and does not repeat any call that
    was made or may have been made. Outcomes and exit statuses are those of 'batch run'.

    Example:
      $ voicectl batch resume "$BATCH"
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    place = place_of(app, store)
    with closing(place.open(name)) as batch:
        info = batch.info()
        check_target(app, info)
        settings = Settings.from_json(info.settings)
        settings = replace(
            settings,
            rate=settings.rate if rate is None else check_rate(app, rate),
            concurrent=concurrent or settings.concurrent,
        )
        go(app, place, batch, settings, screen_of(app, place, settings), prepare=lambda _: None)


def _columns(settings: Settings) -> Columns:
    return Columns(
        to=settings.to_column,
        second=settings.second_column,
        consent=settings.consent_column,
        timezone=settings.timezone_column,
    )


@contextmanager
def _opened(app: App, name: str) -> Iterator[tuple[IO[bytes], str]]:
    """Yield the list as bytes, and its name for messages."""
    if name == "-":
        yield app.terminal.open_stdin("the list"), "The list on standard input"
        return
    try:
        with Path(name).open("rb") as file:
            yield file, name
    except OSError as exc:
        if exc.filename != name:
            raise
        raise InputError(f"{name} cannot be read: {exc.strerror}.", hint="Check the path.") from exc


@contextmanager
def _faults() -> Iterator[Callable[[BadRow], None]]:
    """Yield a function that shows faults of the list, up to a limit."""
    count = 0

    def show(fault: BadRow) -> None:
        nonlocal count
        count += 1
        if count <= MAX_FAULTS:
            remark(str(fault))

    try:
        yield show
    finally:
        if count > MAX_FAULTS:
            remark(f"and {count - MAX_FAULTS} more")


def _check_same(app: App, store: BatchStore, settings: Settings) -> None:
    """Check that a batch that exists may be run again with these settings and on this application."""
    info = store.info()
    check_target(app, info)
    Settings.from_json(info.settings).check_same(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Update:
    """The list with which a batch is run again, and whether people who are only in this list are called, too."""

    new: NewBatch
    loaded: Loaded
    is_accepted: bool
    most: int

    def apply(self, store: BatchStore) -> None:
        """Add the people who are only in the new list, if that is accepted. The lease must have been taken.

        Raises:
            InputError: The list has changed.
            GuardError: There are too many new people.
        """
        info, columns = store.info(), self.loaded.columns
        if self.loaded.digest == info.digest:
            return
        path = self.new.finish()
        found = store.difference(path)
        if not found and columns == info.columns:
            return
        for line in found.examples:
            remark(f"  {line}")
        if not self.is_accepted or columns != info.columns:
            what = "list has" if columns == info.columns else "columns have"
            raise InputError(
                f"The {what} changed since the batch was started:"
                f" {found.added} added, {found.removed} removed, {found.changed} changed.",
                hint="No call was made. Use the old list, or 'batch resume', or --accept-new-list, which adds only"
                " the people who are new.",
            )
        if found.added > self.most:
            raise GuardError(
                f"The new list adds {found.added} people, but --max is {self.most}.",
                hint=f"Add --max {found.added}. No call was made.",
            )
        added = store.add_people(path, self.loaded.digest)
        remark(f"People added: {added}. Rows that were removed or changed stay as they were.")


def _plan(settings: Settings, new: NewBatch, loaded: Loaded) -> Plan:
    return Plan(
        settings=settings,
        people=new.count(waiting=True),
        uncalled=new.outcomes(),
        duplicates=loaded.duplicates,
        first_duplicates=new.duplicates(MAX_LISTED),
        first=[(line, to) for line, to, *_ in new.first(MAX_LISTED)],
    )


def _confirm(app: App, question: str, lines: Iterable[str], people: int = 0, most: int = 0) -> None:
    """Show the plan, and ask for confirmation unless it was given in advance.

    Raises:
        GuardError: There are more than *most* people, or the user does not confirm.
    """
    remark(f"{question}:")
    for line in lines:
        remark(line)
    if people > most:
        raise GuardError(
            f"The list has {people} people to call, but --max is {most}.",
            hint=f"Add --max {people}, or shorten the list. No call was made.",
        )
    if app.options.yes:
        return
    if not app.terminal.can_ask:
        raise GuardError(
            "Calling a list needs confirmation, but standard input or standard error is not a terminal.",
            hint="Add --yes. No call was made.",
        )
    if app.terminal.ask(f"{question}? [y/N]").lower() not in ("y", "yes"):
        raise GuardError("No call was made.")


def _keep(app: App, name: str, settings: Settings, new: NewBatch, loaded: Loaded) -> None:
    new.keep(
        BatchHead(
            name=name,
            application_id=app.target.application_id,
            base_url=app.target.base_url,
            created_at=app.clock.time(),
            settings=settings.to_json(),
            columns=loaded.columns,
            digest=loaded.digest,
        )
    )


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _show_requests(
    app: App, name: str, settings: Settings, new: NewBatch, loaded: Loaded, message: Message
) -> None:
    """Show the plan, and the first requests as curl."""
    plan = _plan(settings, new, loaded)
    remark(f"Would call {_people(plan.people)} as batch {name}:")
    for line in plan.lines():
        remark(line)
    with app.consent.writer(SUMMARY, is_many=True):
        for _, to, _, row in new.first(DRY_REQUESTS):
            try:
                app.api.create_call(message.order(to, row, "TOKEN").body)
            except DryRun as dry:
                app.consent.show_request(dry)
