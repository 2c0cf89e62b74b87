"""``sandbox ring|answer|press|say|hangup|hear|advance|log``: act as the parties to a sandbox's calls."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import ID_FORMS, NccoFile, check_text, given, grouped, parse_header
from voicectl.cli.context import App, current
from voicectl.cli.ncco_input import read_ncco
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output import views
from voicectl.cli.output.text import remark, to_json
from voicectl.cli.output.writer import Format, View
from voicectl.errors import AmbiguousError, InputError, LegError
from voicectl.voice import dtmf, endpoint
from voicectl.voice.call import Region

ADVANCE_SECONDS = 600.0
SHORTEST_PREFIX = 4

HEARD = View(
    columns=("at", "kind", "from", "text", "url", "digits", "seconds", "cut"),
    more=("language", "style", "premium", "loop", "level"),
    id="at",
    call_times=frozenset({"at"}),
    table=("at", "kind", "text", "cut", "digits", "from", "seconds", "url"),
)
CLOCK = View(columns=("call_time",), id="call_time", line="{call_time}")
LOG = View(
    columns=("n", "call_time", "kind", "uuid", "what"),
    more=(
        "host_time",
        "operation",
        "method",
        "path",
        "url",
        "event",
        "status",
        "detail",
        "body",
        "attempts",
        "outcome",
        "fault",
        "region",
        "trace_id",
        "from",
        "to",
        "digits",
        "text",
        "reason",
    ),
    id="n",
    utc_times=frozenset({"host_time"}),
    call_times=frozenset({"call_time"}),
    table=("n", "call_time", "kind", "uuid", "what"),
)


def _check_leg(text: str) -> str:
    if not text.strip():
        raise InputError("The LEG argument is empty.", hint=f"Give {ID_FORMS}.")
    return text.strip()


Party = Annotated[
    str,
    typer.Argument(
        metavar="LEG",
        help=f"The leg: {ID_FORMS}.",
        show_default=False,
        callback=_check_leg,
    ),
]


def ring(
    ctx: typer.Context,
    to: Annotated[
        str, typer.Option(metavar="ENDPOINT", help="Call this number, or app:USER.", show_default=False)
    ],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CALLER", help="Number of the caller, a sip: URI, or text such as anonymous."
        ),
    ] = None,
    ncco_file: NccoFile = None,
    region: Annotated[
        Region | None,
        typer.Option(metavar="REGION", help=f"Region of the call: {', '.join(Region)}."),
    ] = None,
    sip_header: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="Send this SIP header: X-NAME or User-to-User. Repeatable."),
    ] = None,
) -> None:
    """Make an inbound call, as a caller would.

    The call reaches the application to which the number is linked; if the number is not linked, the call reaches the
    sandbox's own application. The call runs the NCCO given with --ncco. Without --ncco, the sandbox fetches an NCCO
    from the application's answer_url, as the platform does, passing on the SIP headers; if there is no answer_url,
    the call joins the room 'lobby'.

    Example:
      $ voicectl sandbox ring --to 442079460000 --from 447700900001
    """
    app = current(ctx)
    called = endpoint.parse(to)
    body = {
        "to": to if called["type"] == "app" else endpoint.label(called),
        "from": None if from_ is None else _caller(from_),
        "ncco": None if ncco_file is None else read_ncco(app.terminal, ncco_file),
        "region": region,
        "sip_headers": dict(map(parse_header, sip_header or ())) or None,
    }
    _act(app, "/sandbox/ring", given(**body))


def _caller(text: str) -> str:
    """Return the number in *text*. If *text* is not a number, return it unchanged, as networks pass on any text."""
    try:
        return endpoint.typed(text)
    except InputError:
        return text.strip()


def answer(ctx: typer.Context, leg: Party) -> None:
    """Answer a ringing leg, as the called party.

    Example:
      $ voicectl sandbox answer "$RINGING"
    """
    app = current(ctx)
    _act(app, "/sandbox/answer", {"leg": leg})


def press(
    ctx: typer.Context,
    leg: Party,
    digits: Annotated[
        str,
        typer.Argument(
            metavar="DIGITS",
            help="Keys to press: 0-9, *, # and p (a half-second pause). Quote * and # for the shell.",
            show_default=False,
        ),
    ],
) -> None:
    """Press keys as the person on a leg; the other parties in its conversation hear them.

    Example:
      $ voicectl sandbox press "$LEG" '12#'
    """
    app = current(ctx)
    _act(app, "/sandbox/press", {"leg": leg, "digits": dtmf.check(digits)})


def say(
    ctx: typer.Context,
    leg: Party,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The words to say.", show_default=False)],
) -> None:
    """Say something as the person on a leg; the other parties hear it, and it is recognised and recorded.

    Example:
      $ voicectl sandbox say "$LEG" 'I would like to speak to sales'
    """
    app = current(ctx)
    _act(app, "/sandbox/say", {"leg": leg, "text": check_text(text)})


def hangup(ctx: typer.Context, leg: Party) -> None:
    """Hang up as the person on a leg.

    If the call has not been answered yet, the command declines the call (as the called party) or cancels it (as the
    caller).

    Example:
      $ voicectl sandbox hangup "$LEG"
    """
    app = current(ctx)
    _act(app, "/sandbox/hangup", {"leg": leg})


@grouped
def hear(ctx: typer.Context, leg: Party, listing: ListOptions) -> None:
    """List what the person on a leg heard, in order: speech, audio, keys and music.

    Example:
      $ voicectl sandbox hear "$LEG"
    """
    app = current(ctx)
    with app.terminal.writer(HEARD, is_many=True) as out:
        for heard in listing.arrange(app.control.hear(leg), HEARD, is_newest_last=True):
            out.add(heard)


def advance(
    ctx: typer.Context,
    by: Annotated[
        str, typer.Argument(metavar="DURATION", help="Advance by this long, such as 45s.", show_default=False)
    ],
) -> None:
    """Advance the sandbox's call clock; everything due by the new time happens.

    Example:
      $ voicectl sandbox advance 45s
    """
    app = current(ctx)
    seconds = times.duration(by)
    with app.terminal.writer(CLOCK, is_many=False) as out:
        out.add(app.control.post("/sandbox/advance", {"seconds": seconds}, timeout=ADVANCE_SECONDS))


@grouped
def log(
    ctx: typer.Context,
    leg: Annotated[
        str | None,
        typer.Option(metavar="LEG", help=f"List only entries of this leg: {ID_FORMS}."),
    ] = None,
    *,
    listing: ListOptions,
) -> None:
    """List requests, webhooks, the parties' actions and changes to legs.

    The 'what' field summarises each entry; -o jsonl shows the entries in full. --limit N lists the newest N.

    Examples:
      $ voicectl sandbox log
      $ voicectl sandbox log --leg "$LEG" -o jsonl
    """
    app = current(ctx)
    is_whole = app.terminal.format in (Format.JSON, Format.JSONL) and not app.options.fields
    with app.terminal.writer(LOG, is_many=True, is_open=True) as out:
        entries = app.control.log()
        chosen = entries if leg is None else _of_leg(list(entries), leg.strip().lower())
        records = (entry if is_whole else entry | {"what": _summary(entry)} for entry in chosen)
        for record in listing.arrange(records, LOG, is_newest_last=True):
            out.add(record)


def _of_leg(entries: list[dict[str, Any]], leg: str) -> list[dict[str, Any]]:
    """Return the log entries about the leg whose id begins with *leg*, which must match only one leg."""
    uuids = {str(entry["uuid"]): None for entry in entries if entry.get("uuid")}
    found = [uuid for uuid in uuids if uuid.startswith(leg)] if len(leg) >= SHORTEST_PREFIX else []
    if len(found) != 1:
        counted = (
            f"{len(found)} legs in the log have an id that begins"
            if found
            else "No leg in the log has an id that begins"
        )
        raise (AmbiguousError if found else LegError)(
            f"{counted} with {leg}.",
            hint=f"Legs in the log: {', '.join((found or list(uuids))[-10:]) or 'none'}",
        )
    return [entry for entry in entries if entry.get("uuid") == found[0] or found[0] in entry.get("path", "")]


def _summary(entry: dict[str, Any]) -> str:
    """Return a one-line summary of a log entry."""
    match entry:
        case {"kind": "request", "method": method, "path": path, "status": status}:
            parts = [f"{method} {path} -> {status or 'no response'}", entry.get("fault")]
        case {"kind": "webhook", "event": event, "method": method, "url": url, "outcome": outcome}:
            parts = [event, method, f"{url}:", outcome or "under way"]
        case {"kind": "proxy", "method": method, "target": to, "status": status, "reason": reason}:
            parts = [method, to, f"-> {status or 'no response'}", reason]
        case {"kind": "websocket", "event": event}:
            parts = [event, entry.get("url"), entry.get("reason"), entry.get("text")]
        case {"kind": "party", "what": what}:
            parts = [what, entry.get("digits"), entry.get("text"), entry.get("from"), entry.get("to")]
        case {"kind": "input"}:
            speech = entry.get("speech") or {}
            said = [each.get("text") for each in speech.get("results") or [] if isinstance(each, dict)]
            dtmf = entry.get("dtmf")  # the oldest form is a text
            parts = [dtmf.get("digits") if isinstance(dtmf, dict) else dtmf, *said[:1], speech.get("error")]
        case {"kind": "transfer", "conversation_uuid_to": room}:
            parts = ["to", room]
        case {"kind": "notify", "payload": payload}:
            parts = [to_json(payload)]
        case _:
            fields = ("status", "detail", "sub_state", "reason", "recording_url", "transcription_url", "type")
            parts = [entry.get(name) for name in fields]
    return " ".join(str(each) for each in parts if each)


def _act(app: App, path: str, body: dict[str, Any]) -> None:
    """Send a party's action to the sandbox, and print the record of the party's leg."""
    with app.terminal.writer(views.CALL, is_many=False) as out:
        record = app.control.post(path, body)
        if (said := record.pop("remark", None)) is not None:
            for line in said.splitlines():
                remark(f"The sandbox says: {line}")
        out.add(record)
