"""``call reconcile``: find out what became of calls for which the API's response was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import grouped
from voicectl.cli.context import App, current
from voicectl.cli.operations.batch import place_of
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output import views
from voicectl.core.calls.hangup import hang_up
from voicectl.core.calls.in_doubt import LostCallFinder, in_doubt
from voicectl.errors import InputError, LegError
from voicectl.store.journal import IntentState
from voicectl.voice.call import is_leg_id

if TYPE_CHECKING:
    from voicectl.store.intents import Intents
    from voicectl.store.journal import Intent

NOT_CREATED = "not-created"


@grouped
def reconcile(
    ctx: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(metavar="REF", help="The reference that 'call create' reported.", show_default=False),
    ] = None,
    hangup: Annotated[bool, typer.Option("--hangup", help="End the call if it is found.")] = False,
    assume: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT", help="Record this outcome without a search: 'not-created', or the leg's id."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Reason for --assume, kept in the journal.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Use the calls of the batches in this database, postgresql://USER@HOST/DATABASE, instead of the"
            " journal on this machine.",
        ),
    ] = None,
    *,
    listing: ListOptions,
) -> None:
    """Find out what became of calls for which the API's response was lost.

    Without REF, the command lists all calls whose outcome is unknown. With REF, it looks for that call; the exit
    status is 0 if the call is found, and 12 if its outcome is still unknown. A stored event with that reference
    proves that the call was created; without such an event, voicectl searches the API's records for a matching call.
    'call reconcile' never places a call.

    Examples:
      $ voicectl call reconcile
      $ voicectl call reconcile "$REF" --assume not-created --reason "no call"
    """
    app = current(ctx)
    journal = app.journal if store is None else place_of(app, store).open_journal()
    if reference is None:
        if hangup or assume or reason:
            raise InputError(
                "--hangup, --assume and --reason need a reference.",
                hint="Get it from the list: voicectl call reconcile",
            )
        with app.terminal.writer(views.INTENT, is_many=True) as out:
            for record in listing.arrange(map(_record, journal.in_doubt()), views.INTENT):
                out.add(record)
        return
    if (assume is None) != (reason is None):
        raise InputError(
            "--assume and --reason must be used together.",
            hint="Give both; the reason is kept in the journal.",
        )
    if assume is not None and hangup:
        raise InputError("--assume and --hangup cannot be used together.", hint="Give only one of them.")
    intent = journal.get(reference.strip())
    if intent is None:
        raise LegError(
            f"The journal has no call {reference!r}.", hint="List the calls in doubt: voicectl call reconcile"
        )
    is_dry = hangup and app.options.dry_run
    with (app.consent if is_dry else app.terminal).writer(views.INTENT, is_many=False) as out:
        found = _settle(app, journal, intent, assume, reason or "")
        if not is_dry:
            out.add(_record(found))
            out.flush()
        if hangup and found.uuid:
            app.consent.announce()
            hang_up(app.api, app.clock, found.uuid, app.history)
            app.changed_ids.append(found.uuid)


def _settle(app: App, journal: Intents, intent: Intent, assume: str | None, reason: str) -> Intent:
    if not intent.state.is_open:
        if assume is not None:
            what = f"its leg is {intent.uuid}" if intent.uuid else f"its state is {intent.state.value}"
            raise InputError(
                f"The call {intent.reference} is not in doubt: {what}.",
                hint="There is nothing to settle. Nothing was changed.",
            )
        return intent
    if not intent.is_abandoned(app.clock.time()):
        raise in_doubt(intent, "Another voicectl process is still creating the call.")
    if assume is None:
        return LostCallFinder(app.api, journal, app.clock, app.history).find_again(intent)
    app.consent.refuse_dry_run()
    if assume == NOT_CREATED:
        return journal.settle(intent.reference, IntentState.NOT_CREATED, reason)
    if not is_leg_id(assume := assume.strip()):
        raise InputError(f"--assume takes 'not-created' or a leg's id, not {assume!r}.")
    call = app.api.get_call(assume)
    found = journal.created(intent.reference, call.uuid, call.raw, certainty="assumed", reason=reason)
    if found is None:
        raise InputError(f"Leg {assume} belongs to another call in the journal.")
    return found


def _record(intent: Intent) -> dict[str, Any]:
    return {
        "reference": intent.reference,
        "asked_at": times.utc(intent.asked_at),
        "to": intent.to,
        "from": intent.from_,
        "state": intent.state.value,
        "uuid": intent.uuid,
        "certainty": intent.certainty,
        "reason": intent.reason,
        "idempotency_key": intent.key,
    }
