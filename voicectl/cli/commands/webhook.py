"""``webhook list|tail|replay|purge|verify``: what the platform told, found again, sent again and judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli import errors, event_options
from voicectl.cli.arguments import check_url
from voicectl.cli.context import App, current
from voicectl.cli.event_options import Store
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.core import history
from voicectl.core.calls import references
from voicectl.errors import InputError, LegError, SignatureError, StoreError, TransportError
from voicectl.store.events import Query, Route
from voicectl.voice.call import is_leg_id
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from voicectl.core.webhooks.replay import Sent
    from voicectl.store.events import EventStore, Stored

WAIT_SECONDS = 1.0
KINDS = (*Kind, *(route for route in Route if route is not Route.EVENT))

REPLAYED = View(columns=("id", "kind", "uuid", "outcome", "http_status"), more=("status",), id="id")
PURGED = View(columns=("before", "events", "outcome"), id="events")
CHECK = View(columns=("check", "outcome", "detail"), id="check", line="{outcome:5}{check:13}{detail}")

Leg = Annotated[
    str | None, typer.Option(metavar="LEG", help="Only of this leg: its id, or the beginning of it.")
]
Conversation = Annotated[str | None, typer.Option(metavar="ID", help="Only of this conversation.")]
Status = Annotated[str | None, typer.Option(metavar="STATUS", help="Only those that tell this status.")]
Kinds = Annotated[
    list[str] | None, typer.Option(metavar="KIND", help=f"Only of this kind: {', '.join(KINDS)}. Repeatable.")
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Received at or after this time.")]
Before = Annotated[str | None, typer.Option(metavar="TIME", help="Received before this time.")]


def list_(
    ctx: typer.Context,
    leg: Leg = None,
    conversation: Conversation = None,
    status: Status = None,
    kind: Kinds = None,
    since: Since = None,
    before: Before = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many, the newest.")
    ] = None,
    store: Store = None,
) -> None:
    """List kept events, the newest last; TIME is RFC 3339, or how long ago: 10m, 2h.

    Examples:
      $ voicectl webhook list --since 1h
      $ voicectl webhook list --leg "$LEG" -o jsonl
    """
    app = current(ctx)
    with app.terminal.writer(views.EVENT, is_many=True) as out:
        kept = event_options.open_store(app, store)
        if kept is None:
            return
        query = _query(app, kept, leg, conversation, status, kind, since, before, last=limit)
        for stored in kept.find(query):
            out.add(event_options.event_record(stored))


def tail(
    ctx: typer.Context,
    last: Annotated[int, typer.Option("-n", "--last", min=0, metavar="N", help="Begin with so many.")] = 10,
    leg: Leg = None,
    conversation: Conversation = None,
    status: Status = None,
    kind: Kinds = None,
    store: Store = None,
) -> None:
    """Show the latest events, and each new one as it is kept.

    Each is shown once, and none is left out. JSON is a line each.

    Examples:
      $ voicectl webhook tail -o jsonl
      $ voicectl webhook tail -n 0 --kind status
    """
    app = current(ctx)
    with event_options.event_writer(app) as out:
        kept = app.events(store)
        shown = 0 if last else max((stored.id for stored in kept.find(Query(last=1))), default=0)
        query = _query(app, kept, leg, conversation, status, kind, after=shown, last=last or None)
        is_told = False
        while True:
            try:
                for stored in kept.find(query):
                    out.add(event_options.event_record(stored))
                    shown = stored.id
                    is_told = False
                out.flush()
                query = replace(query, after=shown, last=None)
                kept.wait(WAIT_SECONDS)
            except StoreError as exc:
                query = replace(query, after=shown)
                if not is_told:
                    remark(f"{exc.message} Waiting for it; what is kept meanwhile is shown then.")
                is_told = True
                app.clock.sleep(WAIT_SECONDS)
                app.interrupts.check()


def replay(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(metavar="URL", help="Where to send them.", show_default=False)],
    ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="ID...", help="The events, as 'webhook list' numbers them.", min=1, show_default=False
        ),
    ] = None,
    sign: Annotated[bool, typer.Option("--sign", help="Sign them anew, as the platform would now.")] = False,
    leg: Leg = None,
    conversation: Conversation = None,
    status: Status = None,
    kind: Kinds = None,
    since: Since = None,
    before: Before = None,
    store: Store = None,
) -> None:
    """Send kept events again, to a URL of yours.

    They go in their order, one after another: method, query and body as they came, and no signature but by --sign.
    What asked for an answer, and rtc, goes only if it is named, by its id or --kind. A recording is of a
    conversation, not of a leg: --conversation finds it.
    Exit status 7: none arrived. 10: some did not.

    Examples:
      $ voicectl webhook replay "$EVENT" --to "$APP_URL/webhooks/event" --sign
      $ voicectl webhook replay --leg "$LEG" --to http://127.0.0.1:8000/events --dry-run
    """
    app = current(ctx)
    check_url(to, "--to")
    if not ids and not any((leg, conversation, status, kind, since, before)):
        raise InputError("Which events?", hint="Name them by their ids, or by --leg, --since and so on.")
    app.check_reach(to)
    replayer = app.replayer(to, is_signed=sign)
    kept = event_options.open_store(app, store)
    if kept is None:
        raise LegError("There is nothing to send.")
    kinds = kind or (None if ids else [*Kind])
    query = _query(
        app, kept, leg, conversation, status, kinds, since, before, ids=tuple(ids) if ids else None
    )
    chosen = _all(kept, query) if ids else kept.find(query)
    if app.options.dry_run:
        for stored in chosen:
            app.terminal.write(replayer.curl(stored.arrival) + "\n")
        if sign:
            remark("Signatures are not shown: a token is a secret while it is fresh.")
        return
    statuses: list[int] = []
    count = 0
    with app.terminal.writer(REPLAYED, is_many=True) as out:
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


def purge(
    ctx: typer.Context,
    before: Annotated[
        str, typer.Option(metavar="TIME", help="Delete what was received before.", show_default=False)
    ],
    store: Store = None,
) -> None:
    """Delete old events for good.

    Their bytes leave the files too. TIME is RFC 3339, or how long ago: 90d. --dry-run only counts them.

    Examples:
      $ voicectl webhook purge --before 90d --dry-run
      $ voicectl webhook purge --before 2026-01-01T00:00:00Z
    """
    app = current(ctx)
    until = event_options.parse_time(app, before)
    if until > app.clock.time():
        raise InputError("That time is yet to come.", hint="Name one that is past; 0 is now: all there is.")
    with app.terminal.writer(PURGED, is_many=False) as out:
        kept = event_options.open_store(app, store)
        if kept is None:
            count = 0
        elif app.options.dry_run:
            count = sum(1 for _ in kept.find(Query(before=until)))
        else:
            count = kept.purge(until)
        if not app.options.dry_run and (aside := app.spool(store).purge(until)):
            remark(f"{aside} files of events that were put aside are deleted too")
        outcome = "counted" if app.options.dry_run else "deleted"
        out.add({"before": times.utc(until), "events": count, "outcome": outcome})


def verify(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The request: its line, headers, an empty line, body; - reads it.",
            show_default=False,
        ),
    ],
    body: Annotated[
        str | None, typer.Option(metavar="FILE", help="The body, if it is in a file of its own.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Judge as of then how fresh it is.")] = None,
) -> None:
    """Check the signature of one request, and explain it.

    Each thing that is claimed is listed with what was found. Exit status 0: the receiver would take it. 2: it would
    not, and why.

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
            exc.hint = "To judge a request of long ago as of then: --at TIME"
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
    """What the options ask for."""
    for kind in kinds or ():
        if kind not in KINDS:
            raise InputError(f"There is no kind {kind!r}.", hint=f"Use one of {', '.join(KINDS)}.")
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
    """The events that *query* names by their ids.

    Raises:
        LegError: Some of them are not there.
    """
    found = list(kept.find(query))
    missing = set(query.ids or ()) - {stored.id for stored in found}
    if missing:
        named = ", ".join(map(str, sorted(missing)))
        raise LegError(f"Not found: event {named}.", hint="Nothing was sent. See them: voicectl webhook list")
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
    """The leg that *text* names, matched with what is kept."""
    if is_leg_id(text):
        return history.known_as(kept, text)
    return references.resolve(
        text,
        candidates=lambda: history.legs_that_begin(kept, text),
        last=app.legs.last_created,
        what="leg in the store",
    )
