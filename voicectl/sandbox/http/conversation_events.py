"""The Conversation API routes for events.

A client can post an audio event, which affects one leg or all legs of the conversation.

Source: Conversation API reference, "events".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations import paging, searches
from voicectl.sandbox.conversations.conversation_log import ConversationLog
from voicectl.sandbox.conversations.log import EPHEMERAL
from voicectl.sandbox.conversations.requests import (
    RETENTION_DAYS,
    AudioEvent,
    PostedEvent,
    is_message,
    read_event,
    read_record,
)
from voicectl.sandbox.http.access import api_root, in_each_version, list_url, note_of, requested_log, speaker
from voicectl.sandbox.http.conversations import start_recording, stop_recording
from voicectl.sandbox.http.pipeline import routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing.fields import MISSING, Fields, Invalid
from voicectl.sandbox.parsing.ncco import read_stream, read_talk
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import no_such, refused
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.exchange import LegNotAnswered
from voicectl.sandbox.telephony.sounds import Sound
from voicectl.sandbox.telephony.state import Leg

Do = Callable[[Sandbox, ConversationLog, Leg | None, Fields], None]


ALL = "/conversations/{conversation}/events"
ONE = "/conversations/{conversation}/events/{event}"


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v1/conversations/{id}/events`` and ``/v0.3/conversations/{id}/events``."""
    operations = in_each_version(
        (Operation.LIST_EVENTS, "GET", ALL, _list),
        (Operation.CREATE_EVENT, "POST", ALL, _create),
        (Operation.GET_EVENT, "GET", ONE, _get),
        (Operation.DELETE_EVENT, "DELETE", ONE, _delete),
    )
    return routes_of(sandbox, *operations)


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    search = searches.read_event_search(request.query_params)
    log = requested_log(sandbox, request)
    hidden = log.deleted or set() if search.without_deleted else set()
    found = (
        (("", number), (number, note))
        for number, note in log.events(search.first, search.last)
        if number not in hidden and (not search.types or note.type in search.types)
    )
    root = api_root(request)
    return Json(
        paging.listing(
            found,
            search.window,
            list_url(request),
            lambda event: sandbox.conversations.event(log, *event, root),
        )
    )


async def _create(sandbox: Sandbox, request: Request, body: Any) -> Response:
    posted = read_event(body)
    log = requested_log(sandbox, request)
    author = speaker(request, log, posted.from_)
    if posted.type in list(AudioEvent):
        number, note = await _act(sandbox, log, posted, None if author is None else author.id)
    else:
        note = note_of(sandbox, log, posted.type, None if author is None else author.id, posted.body)
        sandbox.note(note)
        if posted.type == EPHEMERAL:
            return Json(sandbox.conversations.event_fields(log, None, note), 201)
        number = log.last_id
    return Json(sandbox.conversations.event(log, number, note, api_root(request)), 201)


def _get(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    log = requested_log(sandbox, request)
    return Json(sandbox.conversations.event(log, *_asked(request, log), api_root(request)))


def _delete(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    log = requested_log(sandbox, request)
    number, note = _asked(request, log)
    if number in (log.deleted or ()):
        raise _no_such_event()
    if not is_message(note.type):
        raise refused(403, "event:error:delete-not-allowed", "Only message and custom events can be deleted.")
    log.erase(number)
    sandbox.note(note_of(sandbox, log, "event:delete", note.uuid, {"event_id": number}))
    return Response(status_code=204)


async def _act(
    sandbox: Sandbox, log: ConversationLog, posted: PostedEvent, author: str | None
) -> tuple[int, Note]:
    """Perform the action that a posted audio event requests, for the member *author* if one is given.

    Returns:
        The number and the content of the logged event.
    """
    is_lenient = posted.type in (AudioEvent.SAY, AudioEvent.PLAY)
    fields = Fields(posted.body, "body", is_lenient=is_lenient)
    leg_id = fields.text("rtc_id")
    leg = None if leg_id is None else log.conversation.legs.get(leg_id)
    if leg_id is not None and leg is None:
        raise refused(404, "leg:error:not-found", "There is no such leg in the conversation.")
    before = log.last_id
    try:
        _ACTS[AudioEvent(posted.type)](sandbox, log, leg, fields)
    except LegNotAnswered as exc:
        raise refused(400, "leg:error:not-answered", "The leg has not been answered yet.") from exc
    if author is not None:
        sandbox.exchange.base.attribute(posted.type, author)
    await sandbox.catch_up()  # records the resulting events
    uuid = None if leg is None else leg.uuid
    for number, note in log.events(before + 1):
        if note.type == posted.type and uuid in (None, note.uuid):
            return number, note
    # The request changed nothing (a second mute, for example), but it still causes an event.
    note = replace(note_of(sandbox, log, posted.type, uuid, posted.body), author=author)
    sandbox.note(note)
    return log.last_id, note


def _say(sandbox: Sandbox, log: ConversationLog, leg: Leg | None, fields: Fields, *, on: bool) -> None:
    prompt = read_talk(fields) if on else None
    fields.done()
    if leg is None:
        sandbox.exchange.media.play_to_all(log.conversation, Sound.SPEECH, prompt)
    else:
        sandbox.exchange.talk(leg, prompt)


def _play(sandbox: Sandbox, log: ConversationLog, leg: Leg | None, fields: Fields, *, on: bool) -> None:
    prompt = read_stream(fields, "stream_url") if on else None
    fields.done()
    if leg is None:
        sandbox.exchange.media.play_to_all(log.conversation, Sound.AUDIO, prompt)
    else:
        sandbox.exchange.stream(leg, prompt)


def _dtmf(sandbox: Sandbox, log: ConversationLog, leg: Leg | None, fields: Fields) -> None:
    name = "digit" if "digit" in fields.raw else "digits"
    digits = fields.keys(name, required=True) or ""
    fields.done()
    for each in [leg] if leg is not None else list(log.conversation.legs.values()):
        if leg is not None or each.is_up:
            sandbox.exchange.dtmf(each, digits)
            sandbox.exchange.base.emit(note_of(sandbox, log, AudioEvent.DTMF, each.uuid, fields.raw))


def _record(sandbox: Sandbox, log: ConversationLog, _leg: Leg | None, fields: Fields) -> None:
    order = read_record(fields)
    fields.done()
    start_recording(sandbox, log, order, RETENTION_DAYS)


def _stop_record(sandbox: Sandbox, log: ConversationLog, _leg: Leg | None, fields: Fields) -> None:
    fields.done()
    stop_recording(sandbox, log)


def _mute(sandbox: Sandbox, _page: ConversationLog, leg: Leg | None, fields: Fields, *, on: bool) -> None:
    sandbox.exchange.mute(_required(leg, fields), on=on)


def _earmuff(sandbox: Sandbox, _page: ConversationLog, leg: Leg | None, fields: Fields, *, on: bool) -> None:
    sandbox.exchange.earmuff(_required(leg, fields), on=on)


def _required(leg: Leg | None, fields: Fields) -> Leg:
    if leg is not None:
        return leg
    fields.refuse("rtc_id", MISSING)
    raise Invalid(fields.errors)


def _asked(request: Request, log: ConversationLog) -> tuple[int, Note]:
    """Return the event number from the path of *request*, and the event that has this number."""
    text = request.path_params["event"]
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(searches.LAST_ID))
    note = log.event(int(text)) if is_number else None
    if note is None:
        raise _no_such_event()
    return int(text), note


def _no_such_event() -> Exception:
    return no_such("Event", "event:error:not-found")


_ACTS: dict[AudioEvent, Do] = {
    AudioEvent.SAY: partial(_say, on=True),
    AudioEvent.STOP_SAY: partial(_say, on=False),
    AudioEvent.PLAY: partial(_play, on=True),
    AudioEvent.STOP_PLAY: partial(_play, on=False),
    AudioEvent.DTMF: _dtmf,
    AudioEvent.RECORD: _record,
    AudioEvent.STOP_RECORD: _stop_record,
    AudioEvent.MUTE: partial(_mute, on=True),
    AudioEvent.UNMUTE: partial(_mute, on=False),
    AudioEvent.EARMUFF: partial(_earmuff, on=True),
    AudioEvent.UNEARMUFF: partial(_earmuff, on=False),
}
