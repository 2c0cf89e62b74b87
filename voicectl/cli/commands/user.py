"""``user``: list, create, show and delete app users."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from voicectl.cli.arguments import check_url, given, grouped
from voicectl.cli.context import App, current
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.cli.targets import ALREADY, one_target
from voicectl.errors import ApiError, InputError, NotFoundError
from voicectl.voice.user import PREFIX, check_name, is_user_id

LISTED = View(
    columns=("id", "name", "display_name"),
    more=("_links.self.href",),
    id="id",
    table=("name", "display_name", "id"),
)
VIEW = View(
    columns=(*LISTED.columns, "image_url"),
    more=("properties.custom_data", "channels", *LISTED.more),
    id="id",
)
REMOVED = View(columns=("id", "action", "outcome"), id="id", line="{id}  {action}  {outcome}")

CONFLICT = 409

User = Annotated[
    str,
    typer.Argument(metavar="USER", help="The user's name, or id (USR-...).", show_default=False),
]


@grouped
def list_(ctx: typer.Context, *, listing: ListOptions) -> None:
    """List the application's users, newest first.

    At most 5000 users are listed, and only those in the region of the API host in use.

    Examples:
      $ voicectl user list
      $ voicectl user list -o json
    """
    app = current(ctx)
    with app.terminal.writer(LISTED, is_many=True, is_open=True) as out:
        cuts: list[bool] = []
        found = app.users.list(on_cut=lambda: cuts.append(True))
        for record in listing.arrange((user.raw for user in found), LISTED):
            app.interrupts.check()
            out.add(record)
        if cuts:
            remark("There are more than 5000 users: the older ones are left out.")


def create(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name with which the user signs in (default: a generated name).",
            show_default=False,
        ),
    ] = None,
    display_name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Name to show to other users.")
    ] = None,
    image_url: Annotated[str | None, typer.Option(metavar="URL", help="URL of the user's picture.")] = None,
) -> None:
    """Create an app user, who can be called at app:NAME.

    The request is never retried. If the API does not respond, the outcome is unknown and the exit status is 12.

    Example:
      $ voicectl user create alice --display-name "Alice Jones"
    """
    app = current(ctx)
    if name is not None:
        check_name(name)
    if image_url is not None:
        check_url(image_url, "--image-url")
    body = given(name=name, display_name=display_name, image_url=image_url)
    with app.consent.writer(VIEW, is_many=False) as out:
        app.consent.announce()
        try:
            user = app.users.create(body)
        except ApiError as exc:
            if exc.status == CONFLICT and name is not None:
                look = f"voicectl user show {shlex.quote(name)}"
                exc.hint = f"Nothing was changed. Show the user that has this name: {look}"
            raise
        app.changed_ids.append(user.id)
        out.add(user.raw)


def show(ctx: typer.Context, user: User) -> None:
    """Show an app user.

    Examples:
      $ voicectl user show alice
      $ voicectl user show alice -o json
    """
    app = current(ctx)
    with app.terminal.writer(VIEW, is_many=False, is_open=True) as out:
        out.add(app.users.get(_reference(user)).raw)


def remove(ctx: typer.Context, user: User) -> None:
    """Delete an app user.

    If another program deletes the user at the same moment, the outcome is 'already'.

    Example:
      $ voicectl user remove alice
    """
    app = current(ctx)
    with one_target(app, REMOVED, lambda: _id(app, user), "remove", {}) as acted:
        try:
            app.users.delete(acted.id)
        except NotFoundError:
            acted.outcome = ALREADY


def _id(app: App, user: str) -> str:
    """Return the id of *user*. The API deletes users by id only, but finds them by name, too."""
    return app.users.get(_reference(user)).id


def _reference(text: str) -> str:
    """Return *text* if it is an id or a possible name of a user.

    Raises:
        InputError: *text* is neither.
    """
    if is_user_id(text.strip()):
        return text.strip()
    if text.strip().startswith(PREFIX):
        raise InputError(
            f"{text!r} is neither the name of a user nor a user id.",
            hint="A user id is USR- followed by a UUID. List the users: voicectl user list",
        )
    return check_name(text)
