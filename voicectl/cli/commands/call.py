"""``call list`` and ``call show``: list legs or call records, and show the record of one leg."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import LEG_FORMS, given, grouped
from voicectl.cli.context import App, current
from voicectl.cli.options.listing import ListOptions, Measured
from voicectl.cli.output import views
from voicectl.cli.output.text import is_terminal, remark
from voicectl.core.calls.live import live_calls
from voicectl.core.calls.selection import is_like
from voicectl.core.hosts import SANDBOX_PREFIX
from voicectl.errors import InputError, NotFoundError, VoicectlError
from voicectl.voice import endpoint
from voicectl.voice.call import LIVE, CallStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from voicectl.core.history import History
    from voicectl.voice.call import Call

NAMES_SECONDS = 3.0
"""How long a list waits for each page of the names of rooms, in seconds. After that, names are left out."""

_DETAILS = ("room", "age")
"""Fields that are shown in a list of legs but are not part of a leg's record."""


@grouped
def list_(
    ctx: typer.Context,
    all_: Annotated[
        bool, typer.Option("--all", help="List all call records, newest first, not only live legs.")
    ] = False,
    status: Annotated[
        CallStatus | None,
        typer.Option(metavar="STATUS", help=f"List only legs with this status: {', '.join(CallStatus)}."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="List only legs created at or after this time.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="List only legs created before this time.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="ROOM|CON-ID", help="List only legs of this conversation.")
    ] = None,
    match_to: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB", help="List only legs to numbers that match this pattern, such as '4477*'."
        ),
    ] = None,
    match_from: Annotated[
        str | None, typer.Option(metavar="GLOB", help="List only legs from numbers that match this pattern.")
    ] = None,
    *,
    listing: ListOptions,
) -> None:
    r"""List live legs, or all call records.

    TIME is an RFC 3339 timestamp or a relative time: 10m means 10 minutes ago. On a terminal, the table of live legs
    also shows the room and the age of each; in other output, use --fields to show them. An age of >3m means at least
    3 minutes: the leg was first seen 3 minutes ago.

    Examples:
      $ voicectl call list
      $ voicectl call list --status answered --sort -age --limit 10
      $ voicectl call list --all --since 1h --match-to '4477*'
      $ voicectl call list -o json --fields uuid,to.number,room,age
      $ voicectl call list -o template='{uuid} {to.number}\n'
    """
    app = current(ctx)
    if all_ and status is not None:
        raise InputError("--all and --status cannot be used together.", hint="Give only one of them.")
    is_live = not all_ and (status is None or status in LIVE)
    now = app.clock.time()
    view = views.LISTED if is_live else views.RECORDS
    with app.terminal.writer(view, is_many=True, is_open=True) as out:
        filters = given(
            date_start=None if since is None else times.moment(since, now=now),
            date_end=None if before is None else times.moment(before, now=now),
            conversation_uuid=None if conversation is None else _conversation_id(app, conversation),
        )
        is_counted = is_live and app.terminal.has_table
        calls = _live(app, status, filters, is_whole=is_counted) if is_live else None
        matching = (
            call
            for call in (app.api.get_calls(status=status, **filters) if calls is None else calls)
            if is_like(endpoint.label(call.to), match_to) and is_like(endpoint.label(call.from_), match_from)
        )
        details = _Details(app, [name for name in _DETAILS if out.shows(name) or listing.sort_field == name])
        every_live = app.live if is_counted else []
        chosen = list(matching) if is_counted else matching
        out.tell_apart(call.uuid for call in every_live)
        count = 0
        for record in listing.arrange(details.records(chosen, every_live, listing), view):
            out.add(record)
            count += 1
    if every_live and isinstance(chosen, list):
        remark(_summary(every_live, details.rooms, count, matching=len(chosen)))


def show(
    ctx: typer.Context,
    leg: Annotated[str, typer.Argument(metavar="LEG", help=f"The leg, live or ended: {LEG_FORMS}.")],
) -> None:
    """Show the record of one leg.

    If 'webhook serve' stores events on this machine, the record includes what they report; status_source names the
    source of the status.

    Examples:
      $ voicectl call show "$LEG"
      $ voicectl call show "$LEG" -o json
    """
    app = current(ctx)
    with app.terminal.writer(views.SEEN, is_many=False, is_open=True) as out:
        uuid = app.legs.any_leg(leg)
        call = app.api.get_call(uuid) if app.history is None else _seen(app, uuid, app.history)
        out.add(call.raw)
    if call.is_final and app.target.application_id.startswith(SANDBOX_PREFIX):
        _explain(app, uuid)


def _explain(app: App, uuid: str) -> None:
    """Report the sandbox's explanation, if any, of why the call flow of a leg did not run as written."""
    from voicectl.core.sandbox_control import SandboxControl  # noqa: PLC0415 (for legs of a sandbox only)

    with suppress(VoicectlError):  # the record has been shown
        control = SandboxControl(app.target.base_url, source=app.target.name)
        if (reason := control.remark(uuid)) is not None:
            remark(f"The sandbox says: {reason}")


def _seen(app: App, uuid: str, history: History) -> Call:
    """Return a leg as described by its record and its stored events, or by its events alone if it has no record."""
    reported = history.leg(uuid)
    try:
        call = app.api.get_call(uuid)
    except NotFoundError:
        if reported is None:
            raise
        remark("The API has no record of this leg; what is shown comes from the leg's stored events.")
        return reported.alone()
    if reported is not None and is_terminal(sys.stderr) and (contradiction := reported.contradicts(call)):
        remark(contradiction)
    return history.merged(call, reported)


def _conversation_id(app: App, text: str) -> str:
    from voicectl.core.calls.conversations import conversation_id  # noqa: PLC0415 (for this option only)

    return conversation_id(app.conversations, text)


def _live(app: App, status: CallStatus | None, filters: dict[str, Any], *, is_whole: bool) -> Iterable[Call]:
    """Return the live legs that match the options.

    Args:
        is_whole: True if all live legs are needed for other reasons too. If possible, the legs are then selected from
            the list of all live legs, without further requests.
    """
    room = str(filters.get("conversation_uuid", "")).lower()
    if filters.keys() <= {"conversation_uuid"} and (is_whole or not (status or filters)):
        return [
            call
            for call in app.live
            if status in (None, call.status) and room in ("", call.conversation_uuid.lower())
        ]
    return live_calls(app.api, statuses=LIVE if status is None else [status], **filters)


class _Details:
    """Adds the room and the age to the records of listed legs.

    Args:
        names: The fields to add.

    Attributes:
        rooms: The names of rooms by conversation id, or None if they are not known.
    """

    def __init__(self, app: App, names: Collection[str]) -> None:
        self._app = app
        self._names = names
        self.rooms: dict[str, str] | None = None

    def records(
        self, calls: Iterable[Call], every_live: Iterable[Call], listing: ListOptions
    ) -> Iterator[dict[str, Any]]:
        """Yield the records of *calls* with the added fields.

        Args:
            every_live: Further legs whose rooms should be known.
        """
        if not self._names:
            yield from (call.raw for call in calls)
            return
        chosen = list(calls if listing.sort else islice(calls, listing.limit))
        if "room" in self._names:
            self._ask_rooms(chain(chosen, every_live))
        for call in chosen:
            room = (self.rooms or {}).get(call.conversation_uuid)
            found = {"room": room} if "room" in self._names else {}
            yield call.raw | found | ({"age": self._age(call)} if "age" in self._names else {})

    def _ask_rooms(self, calls: Iterable[Call]) -> None:
        from voicectl.core.calls import conversations  # noqa: PLC0415 (only where rooms are shown)

        troubles: list[str] = []
        listed = conversations.listed(
            self._app.conversations,
            on_trouble=troubles.append,
            within=NAMES_SECONDS,
            on_cut=lambda: remark("There are more than 5000 conversations; some room names are missing."),
        )
        ids = {call.conversation_uuid for call in calls if call.conversation_uuid}
        rooms = conversations.room_names(ids, listed)
        for trouble in troubles:
            remark(trouble)
        self.rooms = None if troubles else rooms

    def _age(self, call: Call) -> Measured | None:
        age = None if call.is_final else self._app.ages.of(call)
        return None if age is None else Measured(times.age_text(age[0], is_exact=age[1]), age[0])


def _summary(live: Sequence[Call], rooms: dict[str, str] | None, shown: int, *, matching: int) -> str:
    """Return a line such as ``12 live legs in 4 rooms; 7 not shown, 2 of which match``."""
    if rooms is None:
        inside = [call.conversation_uuid for call in live if call.conversation_uuid]
    else:
        inside = [rooms[call.conversation_uuid] for call in live if call.conversation_uuid in rooms]
    where = _counted(len(set(inside)), "conversation" if rooms is None else "room")
    if not inside:
        where = ""
    elif len(inside) == len(live):
        where = f" in {where}"
    else:
        where = f", {len(inside)} of them in {where}"
    hidden = len(live) - shown
    rest = f"; {hidden} not shown" if hidden > 0 else ""
    if shown < matching < len(live):
        rest += f", {matching - shown} of which match"
    return _counted(len(live), "live leg") + where + rest


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
