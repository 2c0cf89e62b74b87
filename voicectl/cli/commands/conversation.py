"""``conversation``: list conversations, and talk, play or record in a conversation."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import Room, check_url, given, grouped, whole_seconds
from voicectl.cli.context import App, current
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.options.media import Playback, Speech, refuse_with_stop
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.cli.targets import ALREADY, ActionRecord, one_target
from voicectl.core.calls import conversations

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from voicectl.core.calls.conversations import ConversationLegs

LISTED = View(
    columns=("id", "name", "legs", "statuses", "since", "state"),
    id="id",
    more=("display_name", "sequence_number", "timestamp.created", "timestamp.updated", "properties.ttl"),
    times=frozenset({"since"}),
    table=("name", "legs", "statuses", "id", "since", "state"),
)
ACTED = View(columns=("id", "action", "outcome"), id="id", line="{id}  {action}  {outcome}")

MAX_DAYS = 400
MAX_SECONDS = 7200


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

    Names are missing if the Conversation API does not respond. At most 5000 conversations are listed.

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


@grouped
def talk(ctx: typer.Context, room: Room, speech: Speech) -> None:
    """Speak text to everyone in a conversation.

    On a terminal, voicectl asks for TEXT if it is missing. The request is never retried. If the API does not respond,
    the outcome is unknown and the exit status is 12.

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

    The request is never retried. If the API does not respond, the outcome is unknown and the exit status is 12.

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

    The request is never retried, because a retry might start a second recording. If the API does not respond, the
    outcome is unknown and the exit status is 12. Once 'webhook serve' has received the recording event, 'recording
    download' can fetch the file.

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
