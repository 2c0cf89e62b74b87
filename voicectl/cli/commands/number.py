"""``number list|link|unlink``: the account's phone numbers, and the applications that their calls reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.arguments import grouped
from voicectl.cli.context import App, current
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.core import numbers
from voicectl.errors import DryRun
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.api.numbers import NumberApi
    from voicectl.clock import Clock

    Change = Callable[[NumberApi, Clock, str, str], numbers.Update]

VIEW = View(
    columns=(
        "msisdn",
        "country",
        "type",
        "features",
        "app_id",
        "voiceCallbackType",
        "voiceCallbackValue",
        "moHttpUrl",
        "messagesCallbackType",
        "messagesCallbackValue",
    ),
    id="msisdn",
    table=("msisdn", "app_id", "country", "type", "features"),
)

Number = Annotated[
    str,
    typer.Argument(metavar="NUMBER", help="The number: one of the account's numbers.", show_default=False),
]


@grouped
def list_(
    ctx: typer.Context,
    application: Annotated[
        bool, typer.Option("--application", help="List only numbers that are linked to the application.")
    ] = False,
    *,
    listing: ListOptions,
) -> None:
    """List the account's phone numbers, and the applications to which they are linked.

    This needs the account's API key and secret, as 'app show' does.

    Examples:
      $ voicectl number list
      $ voicectl number list --application -q
    """
    app = current(ctx)
    wanted = app.target.application_id if application else None
    with app.terminal.writer(VIEW, is_many=True, is_open=True) as out:
        found = app.numbers.get_numbers(application_id=wanted)
        chosen = (each for each in found if wanted in (None, each.get("app_id")))
        for number in listing.arrange(chosen, VIEW):
            out.add(number)


def link(ctx: typer.Context, number: Number) -> None:
    """Link a number to the application, so that calls to the number reach the application.

    If the number is linked to another application, that link is replaced. All other settings that the API returns
    stay as they are, and nothing is sent if nothing changes. This needs the account's API key and secret, as 'app
    show' does.

    Examples:
      $ voicectl number link 442079460001
      $ voicectl number link 442079460001 --dry-run
    """
    _change(current(ctx), number, numbers.link, "The number is already linked to this application")


def unlink(ctx: typer.Context, number: Number) -> None:
    """Unlink a number from the application, so that calls to the number no longer reach the application.

    A number that is linked to another application is left alone. All other settings that the API returns stay as they
    are, and nothing is sent if nothing changes. This needs the account's API key and secret, as 'app show' does.

    Example:
      $ voicectl number unlink 442079460000
    """
    _change(current(ctx), number, numbers.unlink, "The number is not linked to an application")


def _change(app: App, number: str, change: Change, already: str) -> None:
    """Change the link of a number with *change*, and write the number's record.

    Args:
        already: The remark if there is nothing to change.
    """
    msisdn = endpoint.typed(number)
    with app.consent.writer(VIEW, is_many=False) as out:
        app.consent.announce(app.target.numbers_url)
        try:
            update = change(app.numbers, app.clock, msisdn, app.target.application_id)
        except DryRun as dry:
            app.consent.show_request(dry, app.account)
            return
        if not update.is_changed:
            remark(f"{already}; nothing was sent.")
        else:
            app.changed_ids.append(msisdn)
            remark(
                f"app_id: {update.before.get('app_id') or 'none'} -> {update.after.get('app_id') or 'none'}"
            )
        if not update.is_as_asked:
            remark("warning: the API accepted the change, but still shows the old link")
        if update.after.get("app_id") and update.after.get("voiceCallbackType") in numbers.FORWARDS:
            remark(
                f"warning: calls to the number are forwarded to {update.after.get('voiceCallbackValue')}, so they do"
                " not reach the application"
            )
        if not app.options.dry_run:
            out.add(update.after)
