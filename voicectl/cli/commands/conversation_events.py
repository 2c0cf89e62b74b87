"""``conversation events``: list the events of a conversation, from the API and from stored webhooks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import Room, grouped
from voicectl.cli.context import App, current
from voicectl.cli.options import events as event_options
from voicectl.cli.options.events import Store
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.core.calls import conversation_events
from voicectl.core.calls.conversation_events import ConversationEvents
from voicectl.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.cli.output.writer import Writer
    from voicectl.core.calls.conversation_events import Event

VIEW = View(
    columns=("id", "timestamp", "type", "uuid", "from", "source", "events"),
    more=(
        "body",
        "conversation_id",
        "_embedded.from_user.id",
        "_embedded.from_user.name",
        "_embedded.from_member.id",
        "_links.self.href",
    ),
    id="id",
    times=frozenset({"timestamp"}),
    table=("timestamp", "type", "uuid", "id", "source", "from", "events"),
)
LINE = replace(VIEW, line="{timestamp}  {type:20}  {uuid}  {source}")
"""The view for events that are shown as they happen, with one line for each event instead of a table."""


@grouped
def events(
    ctx: typer.Context,
    room: Room,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="List only events at or after this time.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Also show each new event, until the conversation ends.")
    ] = False,
    store: Store = None,
    *,
    listing: ListOptions,
) -> None:
    """List the events of a conversation, newest last.

    The events come from the Conversation API, and from the webhooks that 'webhook serve' stored. An RTC event that
    both sources report is listed once, with its ids in the event store (the 'events' field). Call events have no id
    in the API, so their 'id' field is empty. Once a conversation has ended, the API no longer lists its events, and
    only stored events are left.

    The bodies of events may contain what a party said or the keys that a party pressed, so they are shown in JSON
    only. TIME is an RFC 3339 timestamp or a relative time: 10m means 10 minutes ago. -q prints the ids of the events.

    Examples:
      $ voicectl conversation events support-17
      $ voicectl conversation events "$CONVERSATION" --since 10m -o json
    """
    app = current(ctx)
    if follow:
        if listing.sort or listing.limit:
            raise InputError(
                "--follow cannot be used together with --sort or --limit.", hint="Use --since TIME."
            )
        app.terminal.stream_records()
    with app.terminal.writer(LINE if follow else VIEW, is_many=True, is_open=not follow) as out:
        may_come = follow or store is not None  # a receiver may be started later
        kept = app.events(store) if may_come else event_options.usable_store(app)
        found = ConversationEvents(
            app.conversations,
            kept,
            conversation_events.conversation_id(app.conversations, kept, room),
            since=-math.inf if since is None else event_options.parse_time(app, since),
            on_trouble=lambda message: remark(f"warning: {message}"),
            on_cut=lambda: remark("There are more events than could be read: the oldest are left out."),
        )
        first = _first(found)
        _write(app, out, listing.arrange(map(_record, first), VIEW, is_newest_last=True))
        if found.absence is not None:
            remark(
                "The Conversation API has no record of this conversation: it has ended, or is in another region."
                " These are the events that webhooks reported."
            )
        elif follow:
            _follow(app, out, found)


def _first(found: ConversationEvents) -> list[Event]:
    try:
        return found.read()
    except NotFoundError as exc:
        exc.hint = (
            "Neither the API nor the event store has any events for this conversation. List the conversations:"
            " voicectl conversation list --all"
        )
        raise


def _follow(app: App, out: Writer, found: ConversationEvents) -> None:
    """Write each new event until the conversation has ended."""
    out.flush()
    for new in found.follow(app.clock):
        app.interrupts.check()
        _write(app, out, map(_record, new))
        out.flush()
    remark("The conversation has ended.")


def _write(app: App, out: Writer, records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        if record["id"] is not None or not app.options.quiet:
            out.add(record)


def _record(event: Event) -> dict[str, Any]:
    own = {"id": event.number, "type": event.type, "uuid": event.leg}
    origin = {"source": ", ".join(event.sources), "events": list(event.stored) or None}
    return {**event.raw, **own, **origin}
