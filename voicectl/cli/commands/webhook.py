"""``webhook list|tail|replay|purge|verify``: find, replay and delete stored events, and verify signatures."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from voicectl import times
from voicectl.cli import errors
from voicectl.cli.arguments import ID_FORMS, check_url, grouped
from voicectl.cli.context import App, current
from voicectl.cli.options import events as event_options
from voicectl.cli.options.events import AllEvents, Store
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output import views
from voicectl.cli.output.text import is_terminal, remark
from voicectl.cli.output.writer import View
from voicectl.core import history
from voicectl.core.calls import references
from voicectl.errors import InputError, LegError, SignatureError, StoreError, TransportError
from voicectl.store.events import Query, Route
from voicectl.voice.call import is_leg_id
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.core.webhooks.replay import Replayer, Sent
    from voicectl.store.events import EventStore, Stored

WAIT_SECONDS = 1.0
KINDS = (*Kind, *(route for route in Route if route is not Route.EVENT))

REPLAYED = View(
    columns=("id", "kind", "uuid", "outcome", "http_status"),
    more=("status",),
    id="id",
    table=("id", "outcome", "http_status", "kind", "uuid"),
)
PURGED = View(columns=("before", "events", "outcome"), id="events", utc_times=frozenset({"before"}))
CHECK = View(columns=("check", "outcome", "detail"), id="check", line="{outcome:5}{check:13}{detail}")

Leg = Annotated[
    str | None,
    typer.Option(metavar="LEG", help=f"Only events of this leg: {ID_FORMS}."),
]
Conversation = Annotated[str | None, typer.Option(metavar="CON-ID", help="Only events of this conversation.")]
Status = Annotated[str | None, typer.Option(metavar="STATUS", help="Only events with this status.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND", help=f"Only events of this kind: {', '.join(KINDS)}. Repeatable."),
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only events received at or after this time.")
]
Before = Annotated[str | None, typer.Option(metavar="TIME", help="Only events received before this time.")]


@grouped
def list_(
    ctx: typer.Context,
    leg: Leg = None,
    conversation: Conversation = None,
    status: Status = None,
    kind: Kinds = None,
    since: Since = None,
    before: Before = None,
    store: Store = None,
    *,
    listing: ListOptions,
) -> None:
    """List stored events, newest last.

    The 'repeats' field is the number of times that the same event arrived again. TIME is an RFC 3339 timestamp or a
    relative time: 10m means 10 minutes ago. --limit N lists the newest N events or, with --sort, the first N.

    Examples:
      $ voicectl webhook list --since 1h
      $ voicectl webhook list --leg "$LEG" -o jsonl
    """
    app = current(ctx)
    with app.terminal.writer(views.EVENT, is_many=True) as out:
        kept = event_options.open_store(app, store)
        if kept is None:
            return
        last = None if listing.sort else listing.limit
        query = _query(app, kept, leg, conversation, status, kind, since, before, last=last)
        records = map(event_options.event_record, kept.find(query))
        for record in listing.arrange(records, views.EVENT, is_newest_last=True):
            out.add(record)


def tail(
    ctx: typer.Context,
    last: Annotated[
        int, typer.Option("-n", "--last", min=0, metavar="N", help="Start with the last N stored events.")
    ] = 10,
    leg: Leg = None,
    conversation: Conversation = None,
    status: Status = None,
    kind: Kinds = None,
    store: Store = None,
    all_events: AllEvents = False,
) -> None:
    """Show the latest events, and each new one as it is stored.

    Each event is shown exactly once. On a terminal, RTC events are shown only with --all-events or --kind rtc. JSON
    output has one line per event.

    Examples:
      $ voicectl webhook tail -o jsonl
      $ voicectl webhook tail -n 0 --kind status
    """
    app = current(ctx)
    with event_options.event_writer(app, all_events=all_events or Route.RTC in (kind or ())) as out:
        if event_options.has_lines(app) and not all_events and not kind:
            kind = [each for each in KINDS if each != Route.RTC]
        kept = app.events(store)
        shown = 0 if last else max((stored.id for stored in kept.find(Query(last=1))), default=0)
        query = _query(app, kept, leg, conversation, status, kind, after=shown, last=last or None)
        is_reported = False
        if store is None and is_terminal(sys.stdout) and app.is_receiving is False:
            remark(
                "No receiver is running on this machine, so no new events are stored. To start one: voicectl webhook"
                " serve"
            )
        while True:
            try:
                for stored in kept.find(query):
                    out.add(stored)
                    shown = stored.id
                    is_reported = False
                out.flush()
                query = replace(query, after=shown, last=None)
                kept.wait(WAIT_SECONDS)
            except StoreError as exc:
                query = replace(query, after=shown)
                if not is_reported:
                    remark(
                        f"{exc.message} Waiting for the store; events stored in the meantime will be shown later."
                    )
                is_reported = True
                app.clock.sleep(WAIT_SECONDS)
                app.interrupts.check()


def replay(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(metavar="URL", help="Send the events to this URL.", show_default=False)],
    ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="ID...", help="Ids of the events, from 'webhook list'.", min=1, show_default=False
        ),
    ] = None,
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign the events with a new token, as the platform would.")
    ] = False,
    leg: Leg = None,
    conversation: Conversation = None,
    status: Status = None,
    kind: Kinds = None,
    since: Since = None,
    before: Before = None,
    store: Store = None,
) -> None:
    """Resend stored events to a URL of your choice.

    Events are sent in order, one after another, with the method, query and body that were received, and without a
    signature unless you add --sign. Requests for an NCCO, and RTC events, are sent only if you select them by id or
    --kind. Recording events belong to no leg: select them with --conversation. TIME is an RFC 3339 timestamp or a
    relative time: 10m means 10 minutes ago. The exit status is 7 if no event arrived, and 10 if only some did.

    Examples:
      $ voicectl webhook replay "$EVENT" --to "$APP_URL/webhooks/event" --sign
      $ voicectl webhook replay --leg "$LEG" --to "$APP_URL/events" --dry-run
    """
    app = current(ctx)
    check_url(to, "--to")
    if not ids and not any((leg, conversation, status, kind, since, before)):
        raise InputError(
            "No events are selected.", hint="Give their ids, or select them with --leg, --since and so on."
        )
    app.target.check_reach(to)
    replayer = _replayer(app, to, is_signed=sign)
    kept = event_options.open_store(app, store)
    if kept is None:
        raise LegError("There are no stored events to send.")
    kinds = kind or (None if ids else [*Kind])
    query = _query(
        app, kept, leg, conversation, status, kinds, since, before, ids=tuple(ids) if ids else None
    )
    chosen = _all(kept, query) if ids else kept.find(query)
    statuses: list[int] = []
    count = 0
    with app.consent.writer(REPLAYED, is_many=True) as out:
        if app.options.dry_run:
            _show_requests(app, replayer, chosen, is_signed=sign)
            return
        for stored in chosen:
            app.interrupts.check()
            sent = replayer.send(stored.arrival)
            count += 1
            if sent.trouble is not None:
                trouble = TransportError(f"{sent.trouble}.")
                errors.report(
                    trouble, profile=None, as_json=app.terminal.has_json_errors, about=f"event {stored.id}"
                )
                statuses.append(errors.UNREACHABLE)
            out.add(_replayed(stored, sent))
            out.flush()
    if statuses:
        raise typer.Exit(errors.combined_status(statuses, count))


def _replayer(app: App, url: str, *, is_signed: bool) -> Replayer:
    """Return a replayer that sends stored webhooks to *url*.

    Raises:
        ConfigError: The webhooks should be signed, but no valid secret is set.
    """
    from voicectl.core.webhooks.replay import Replayer, signer  # noqa: PLC0415 (loads PyJWT, for this command only)

    parts = urlsplit(url)
    wire = app.sessions.wire(f"{parts.scheme}://{parts.netloc}")
    secrets = app.signature_secrets() if is_signed else None
    sign = None if secrets is None else signer(secrets, app.target.application_id, app.clock)
    return Replayer(wire, url, timeout=app.sessions.timeout, sign=sign)


def _show_requests(app: App, replayer: Replayer, chosen: Iterable[Stored], *, is_signed: bool) -> None:
    """Print the requests that would send the events again, but without any signatures."""
    for stored in chosen:
        app.consent.show_curl(*replayer.request(stored.arrival), replayer.curl(stored.arrival))
    if is_signed:
        remark("Signatures are not shown, because a signature is a valid token, which must be kept secret.")


def purge(
    ctx: typer.Context,
    before: Annotated[
        str, typer.Option(metavar="TIME", help="Delete events received before this time.", show_default=False)
    ],
    store: Store = None,
) -> None:
    """Delete old events permanently.

    The data is also erased from the files on disk. TIME is an RFC 3339 timestamp or a relative time: 90d means 90
    days ago. --dry-run only counts the events.

    Examples:
      $ voicectl webhook purge --before 90d --dry-run
      $ voicectl webhook purge --before 2026-01-01T00:00:00Z
    """
    app = current(ctx)
    until = event_options.parse_time(app, before)
    if until > app.clock.time():
        raise InputError(
            "--before is in the future.",
            hint="Give a time in the past; 0 means now, which deletes all events.",
        )
    with app.terminal.writer(PURGED, is_many=False) as out:
        kept = event_options.open_store(app, store)
        if kept is None:
            count = 0
        elif app.options.dry_run:
            count = sum(1 for _ in kept.find(Query(before=until)))
        else:
            count = kept.purge(until)
        if not app.options.dry_run and (aside := app.spool(store).purge(until)):
            remark(f"Files with events waiting for the store were deleted too: {aside}")
        outcome = "counted" if app.options.dry_run else "deleted"
        out.add({"before": times.utc(until), "events": count, "outcome": outcome})


def verify(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="File with the request line, headers, an empty line and the body; - reads standard input.",
            show_default=False,
        ),
    ],
    body: Annotated[
        str | None, typer.Option(metavar="FILE", help="File with the body, if it is not in FILE.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Check the age of the signature token as of this time (default: now)."
        ),
    ] = None,
) -> None:
    """Check the signature of a request, and explain the result.

    This command lists each check with its result. TIME is an RFC 3339 timestamp or a relative time: 10m means 10
    minutes ago. The exit status is 0 if 'webhook serve' would accept the request, and 2 if it would refuse the
    request; the error says why.

    Examples:
      $ voicectl webhook verify request.txt
      $ voicectl webhook verify - --at 30s <request.txt
    """
    from voicectl.webhook import verify as checks  # noqa: PLC0415 (loads PyJWT, for this command only)
    from voicectl.webhook.signature import Verifier  # noqa: PLC0415 (as above)

    app = current(ctx)
    secrets = app.signature_secrets
    request = checks.read_request(
        app.terminal.read_input(file, "a request"),
        None if body is None else app.terminal.read_input(body, "a body"),
    )
    now = app.clock.time() if at is None else event_options.parse_time(app, at)
    application_id = app.target.application_id
    failed: list[str] = []
    with app.terminal.writer(CHECK, is_many=True) as out:
        for check, is_good, detail in checks.examine(
            request, secrets(), application_id=application_id, now=now
        ):
            outcome = "-" if is_good is None else "ok" if is_good else "fail"
            out.add({"check": check, "outcome": outcome, "detail": detail})
            failed += [check] if is_good is False else []
    claims = checks.claims_of(request)
    try:
        Verifier(secrets, application_id=application_id, now=lambda: now).verify(
            method=request.method,
            query=request.query,
            body=request.body(claims.get("payload_hash")),
            authorization=request.authorization,
        )
    except SignatureError as exc:
        if failed == ["time"] and checks.moment(claims.get("iat")) is not None and at is None:
            exc.hint = "To check an old request as of the time it was sent: --at TIME"
        raise


def _query(
    app: App,
    kept: EventStore,
    leg: str | None,
    conversation: str | None,
    status: str | None,
    kinds: list[str] | None,
    since: str | None = None,
    before: str | None = None,
    **more: Any,
) -> Query:
    """Return the query for stored events that the options describe."""
    for kind in kinds or ():
        if kind not in KINDS:
            raise InputError(f"{kind!r} is not a kind of event.", hint=f"Use one of {', '.join(KINDS)}.")
    return Query(
        leg=None if leg is None else _leg(app, kept, leg),
        conversation=conversation,
        status=status,
        kinds=None if not kinds else tuple(kinds),
        since=None if since is None else event_options.parse_time(app, since),
        before=None if before is None else event_options.parse_time(app, before),
        **more,
    )


def _all(kept: EventStore, query: Query) -> list[Stored]:
    """Return all events whose ids *query* lists.

    Raises:
        LegError: Some of the events are not in the store.
    """
    found = list(kept.find(query))
    missing = set(query.ids or ()) - {stored.id for stored in found}
    if missing:
        named = ", ".join(map(str, sorted(missing)))
        raise LegError(
            f"Events not found: {named}.", hint="Nothing was sent. List the events: voicectl webhook list"
        )
    return found


def _replayed(stored: Stored, sent: Sent) -> dict[str, Any]:
    return {
        "id": stored.id,
        "kind": stored.arrival.kind,
        "status": stored.arrival.status,
        "uuid": stored.arrival.leg,
        "outcome": "done" if sent.trouble is None else "failed",
        "http_status": sent.status,
    }


def _leg(app: App, kept: EventStore, text: str) -> str:
    """Return the id of the leg that *text* names, in the spelling that the stored events use."""
    text = text.strip()
    if is_leg_id(text):
        return history.known_as(kept, text)
    return references.resolve(
        text,
        candidates=lambda: history.legs_that_begin(kept, text),
        last=app.legs.last_created,
        is_known=lambda uuid: history.is_stored(kept, uuid),
        what="stored leg",
    )
