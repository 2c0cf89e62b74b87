"""``conversation``: list conversations, show who hears whom, and talk, play or record in a conversation."""

from __future__ import annotations

import shutil
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import Room, check_url, given, grouped, whole_seconds
from voicectl.cli.context import App, current
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.options.media import Playback, Speech, refuse_with_stop
from voicectl.cli.output import hearing
from voicectl.cli.output.fields import find, parse_fields
from voicectl.cli.output.text import clean, remark, to_json
from voicectl.cli.output.views import CALL, PARTIES
from voicectl.cli.output.writer import Format, View
from voicectl.cli.targets import ALREADY, ActionRecord, one_target
from voicectl.core.calls import conversations
from voicectl.core.calls.conversations import Hears, Participant, Participants
from voicectl.core.calls.live import live_calls
from voicectl.errors import ApiError, NotFoundError, TransportError, VoicectlError
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from voicectl.core.calls.conversations import ConversationLegs, Heard
    from voicectl.voice.call import Call
    from voicectl.voice.conversation import Conversation

OF_MEMBERS = ("muted", "earmuffed", "member", "member_state", "hears", "hears_not", "hears_unknown")
"""The fields of a leg's record that come from its member record, which is read with one request per leg."""

LISTED = View(
    columns=("id", "name", "legs", "statuses", "since", "state"),
    id="id",
    more=("display_name", "sequence_number", "timestamp.created", "timestamp.updated", "properties.ttl"),
    times=frozenset({"since"}),
    table=("name", "legs", "statuses", "id", "since", "state"),
)
LEG = View(
    columns=(*PARTIES, *OF_MEMBERS),
    more=tuple(path for path in CALL.fields if path not in PARTIES),
    times=frozenset({"start_time"}),
    table=("uuid", "status", "from", "to", "muted", "earmuffed", "direction"),
)
ACTED = View(columns=("id", "action", "outcome"), id="id", line="{id}  {action}  {outcome}")

MAX_DAYS = 400
MAX_SECONDS = 7200

_HEARS = {Hears.YES: "hears", Hears.NO: "hears_not", Hears.UNKNOWN: "hears_unknown"}


class RecordFormat(StrEnum):
    """The audio formats in which a conversation can be recorded."""

    MP3 = "mp3"
    WAV = "wav"
    VORBIS = "vorbis"


class EventMethod(StrEnum):
    """The HTTP methods with which recording and transcription events can be sent."""

    POST = "POST"
    GET = "GET"


@grouped
def list_(
    ctx: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also list conversations without live legs.")] = False,
    *,
    listing: ListOptions,
) -> None:
    """List conversations with live legs: their names, and the number of legs in each status.

    Names are missing if the Conversation API does not answer. At most 5000 conversations are listed.

    Examples:
      $ voicectl conversation list
      $ voicectl conversation list --all --fields name,since
    """
    app = current(ctx)
    with app.terminal.writer(LISTED, is_many=True, is_open=True) as out:
        cuts: list[bool] = []
        listed = conversations.listed(app.conversations, on_trouble=remark, on_cut=lambda: cuts.append(True))
        groups = conversations.grouped(app.live, listed, with_empty=all_)
        for record in listing.arrange(map(_group_record, groups), LISTED):
            app.interrupts.check()
            out.add(record)
        if cuts:
            remark(
                "There are more than 5000 conversations: the older ones are left out, or shown without a name."
            )


def _group_record(group: ConversationLegs) -> dict[str, Any]:
    known = {} if group.conversation is None else group.conversation.raw
    found = {"legs": len(group.calls), "statuses": group.statuses, "since": group.since}
    return {**known, "id": group.id, **found}


def show(ctx: typer.Context, room: Room) -> None:
    """Show who is in a conversation, who is muted, and who hears whom.

    This takes one request per member, unless -q or --fields makes these requests unnecessary. On a terminal, a table
    shows who hears whom. Otherwise, each leg's line lists the legs that it hears, does not hear, or may or may not
    hear: the platform reports neither the canHear and canSpeak settings with which a leg entered, nor whether a
    moderated room has started. With -o json, the output is one object with "legs", and "hears" for each pair of legs;
    --fields then selects fields of the legs and omits "hears".

    Examples:
      $ voicectl conversation show support-17
      $ voicectl conversation show support-17 -o json
    """
    app = current(ctx)
    options = app.options
    is_json = app.terminal.format in (Format.JSON, Format.JSONL) and not options.quiet
    with app.terminal.writer(LEG, is_many=not is_json) as out:
        paths = parse_fields(options.fields) if options.fields else []
        is_deep = not options.quiet and (
            not paths or any(path.partition(".")[0] in OF_MEMBERS for path in paths)
        )
        id_ = conversations.conversation_id(app.conversations, room)
        conversation, fault = None, None
        try:
            conversation = app.conversations.get(id_)
        except (ApiError, TransportError) as exc:
            fault = exc
        cuts: list[bool] = []
        live = live_calls(app.api, conversation_uuid=id_, on_cut=lambda: cuts.append(True))
        if cuts:
            remark("warning: there are more legs than could be listed")
        if fault is not None:
            if not live and isinstance(fault, NotFoundError):
                raise fault
            if is_deep:
                remark(
                    f"It is unknown which legs are muted, because the Conversation API failed: {fault.message}"
                )
        participants = (
            _participants(app, id_, conversation, live)
            if is_deep
            else Participants(is_room=None, legs=[Participant(call=call) for call in live])
        )
        heard = list(participants.matrix()) if is_deep else []
        if is_json:
            found = _as_json(
                {"id": id_} if conversation is None else conversation.raw, participants, heard, paths
            )
            indent = 2 if app.terminal.format is Format.JSON else None
            app.terminal.write(to_json(found, indent=indent) + "\n")
            return
        for leg in participants.legs:
            out.add(_row(leg, heard))
    if app.terminal.format.is_table and not app.options.quiet and not app.options.fields:
        _draw(app, participants)


def _participants(
    app: App, id_: str, conversation: Conversation | None, live: Sequence[Call]
) -> Participants:
    """Return the legs with their members, and report the legs whose members could not be read."""
    faults: list[VoicectlError] = []
    found = conversations.participants(
        app.conversations,
        id_,
        conversation,
        live,
        app.action_log.since(0),
        check=app.interrupts.check,
        on_fault=faults.append,
    )
    unknown = sum(leg.member is None for leg in found.legs)
    if faults and unknown:
        remark(
            f"For {unknown} of {len(found.legs)} legs, it is unknown whether they are muted, because the member"
            f" records could not be read: {faults[0].message}"
        )
    return found


def _as_json(
    known: dict[str, Any],
    participants: Participants,
    heard: list[tuple[Participant, Participant, Heard]],
    paths: Sequence[str],
) -> dict[str, Any]:
    """Return *known*, the record of a conversation, with the records of its legs added.

    If *paths* is empty, the legs have all fields, and "hears" is added. If not, the legs have the fields in *paths*.
    """
    if paths:
        rows = [_row(leg, heard) for leg in participants.legs]
        return {**known, "legs": [{path: find(row, path) for path in paths} for row in rows]}
    return {
        **known,
        "legs": [_leg(leg) for leg in participants.legs],
        "hears": [_pair(*each) for each in heard],
    }


def _leg(leg: Participant) -> dict[str, Any]:
    member = leg.member
    return {
        **leg.call.raw,
        "muted": leg.muted,
        "earmuffed": leg.earmuffed,
        "member": None if member is None else member.raw,
        "member_state": None if member is None else member.state,
    }


def _row(leg: Participant, heard: list[tuple[Participant, Participant, Heard]]) -> dict[str, Any]:
    """Return the record of *leg*, including its member id and the ids of the legs that it hears."""
    member = None if leg.member is None else leg.member.id
    return {**_leg(leg), "member": member, **_ears(leg, heard)}


def _ears(leg: Participant, heard: list[tuple[Participant, Participant, Heard]]) -> dict[str, str]:
    """Return three fields with comma-separated leg ids: those that *leg* hears, does not hear, and may hear."""
    speakers = [(what.hears, speaker.call.uuid) for listener, speaker, what in heard if listener is leg]
    return {
        name: ",".join(uuid for hears, uuid in speakers if hears is each) for each, name in _HEARS.items()
    }


def _pair(listener: Participant, speaker: Participant, heard: Heard) -> dict[str, Any]:
    return {
        "listener": listener.call.uuid,
        "speaker": speaker.call.uuid,
        "hears": heard.hears,
        "why": heard.why or None,
    }


def _draw(app: App, participants: Participants) -> None:
    """Draw a table of who hears whom, with a row for each listener and a column for each speaker."""
    if len(participants.legs) < 2:
        return
    parties = [
        hearing.Party(clean(leg.call.uuid), clean(endpoint.far_end(leg.call) or "-"))
        for leg in participants.legs
    ]
    verdicts = [
        [
            hearing.SELF if one is other else participants.hears(one, other).hears
            for other in participants.legs
        ]
        for one in participants.legs
    ]
    width = shutil.get_terminal_size().columns
    colored, cut = app.terminal.may_color, app.terminal.cut
    shown = hearing.draw(parties, verdicts, width, is_colored=colored, cut=cut)
    app.terminal.write("\n" + shown)


@grouped
def talk(ctx: typer.Context, room: Room, speech: Speech) -> None:
    """Speak text to everyone in a conversation.

    On a terminal, voicectl asks for TEXT if it is missing. The request is never retried: if the API does not answer,
    the exit status is 12.

    Examples:
      $ voicectl conversation talk support-17 "The engineer on call is here."
      $ voicectl conversation talk support-17 --stop
    """
    app = current(ctx)
    if speech.is_asked_for(app.terminal):
        room = conversations.conversation_id(app.conversations, room)
    body = speech.body(app.terminal)
    if body is None:
        with _one_conversation(app, room, "talk --stop") as acted:
            app.conversations.stop_talk(acted.id)
    else:
        with _one_conversation(app, room, "talk", characters=len(body["text"])) as acted:
            app.conversations.start_talk(acted.id, body)


@grouped
def stream(ctx: typer.Context, room: Room, playback: Playback) -> None:
    """Play an audio file to everyone in a conversation.

    The request is never retried: if the API does not answer, the exit status is 12.

    Examples:
      $ voicectl conversation stream support-17 https://cdn.example.org/hold.mp3
      $ voicectl conversation stream support-17 --stop
    """
    app = current(ctx)
    body = playback.body()
    if body is None:
        with _one_conversation(app, room, "stream --stop") as acted:
            app.conversations.stop_stream(acted.id)
    else:
        with _one_conversation(app, room, "stream") as acted:
            app.conversations.start_stream(acted.id, body)


def record(
    ctx: typer.Context,
    room: Room,
    format_: Annotated[
        RecordFormat | None,
        typer.Option("--format", metavar="FORMAT", help="Audio format: mp3, wav or vorbis."),
    ] = None,
    split: Annotated[bool, typer.Option("--split", help="Record each leg on its own channel.")] = False,
    event_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Send the recording event to this URL.")
    ] = None,
    event_method: Annotated[
        EventMethod | None,
        typer.Option(
            metavar="METHOD", help="HTTP method for --event-url: POST or GET.", case_sensitive=False
        ),
    ] = None,
    retention_ttl: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_DAYS, metavar="DAYS", help="Keep the recording for this many days."),
    ] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Stop recording after this long (at most 2 h).")
    ] = None,
    transcription_language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Transcribe the recording as speech in this language, such as en-GB."
        ),
    ] = None,
    transcription_sentiment_analysis: Annotated[
        bool,
        typer.Option(
            "--transcription-sentiment-analysis", help="Also report the sentiment of each sentence."
        ),
    ] = False,
    transcription_event_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Send the transcription event to this URL.")
    ] = None,
    transcription_event_method: Annotated[
        EventMethod | None,
        typer.Option(
            metavar="METHOD",
            help="HTTP method for --transcription-event-url: POST or GET.",
            case_sensitive=False,
        ),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the recording.")] = False,
) -> None:
    """Record everyone in a conversation.

    The request is never retried, because that might start a second recording: if the API does not answer, the exit
    status is 12. Once 'webhook serve' has received the recording event, 'recording download' can fetch the file.

    Examples:
      $ voicectl conversation record support-17 --format wav --split
      $ voicectl conversation record support-17 --transcription-language en-GB
      $ voicectl conversation record support-17 --stop
    """
    app = current(ctx)
    transcription = given(
        language=transcription_language,
        sentiment_analysis=transcription_sentiment_analysis or None,
        event_url=_urls(transcription_event_url, "--transcription-event-url"),
        event_method=transcription_event_method,
    )
    options = given(
        format=format_,
        split="conversation" if split else None,
        event_url=_urls(event_url, "--event-url"),
        event_method=event_method,
        retention_ttl=retention_ttl,
        timeout=None if limit is None else whole_seconds(limit, "--limit", 1, MAX_SECONDS),
        transcription=transcription or None,
    )
    if stop:
        others = {f"transcription_{name}": value for name, value in transcription.items()}
        refuse_with_stop(**options | {"timeout": None, "transcription": None, "limit": limit} | others)
        with _one_conversation(app, room, "record --stop") as acted:
            if not conversations.stop_recording(app.conversations, acted.id):
                acted.outcome = ALREADY
    else:
        with _one_conversation(app, room, "record") as acted:
            app.conversations.start_recording(acted.id, options)


def _urls(url: str | None, option: str) -> list[str] | None:
    return None if url is None else [check_url(url, option)]


def _one_conversation(
    app: App, room: str, action: str, **detail: Any
) -> AbstractContextManager[ActionRecord]:
    """Return a context manager for an action on *room*. It yields a record, and logs and writes it at the end."""
    return one_target(
        app, ACTED, lambda: conversations.conversation_id(app.conversations, room), action, detail
    )
