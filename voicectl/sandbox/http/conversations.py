"""The Conversation API routes for conversations, and for the audio and the recordings of whole conversations.

Source: Conversation API reference, "conversations" and "whole-conversation media".
"""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations import paging, representations, searches
from voicectl.sandbox.conversations.conversation_log import ConversationLog
from voicectl.sandbox.conversations.requests import read_conversation, read_recording_change
from voicectl.sandbox.http.access import (
    api_root,
    in_each_version,
    is_there,
    list_url,
    media_answer,
    note_of,
    region_of,
    requested_log,
)
from voicectl.sandbox.http.pipeline import routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing import call_requests
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import refused
from voicectl.sandbox.telephony.actions import Record
from voicectl.sandbox.telephony.exchange import NoAnsweredLeg
from voicectl.sandbox.telephony.sounds import Sound

ALL = "/conversations"
ONE = "/conversations/{conversation}"


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v1/conversations`` and ``/v0.3/conversations``, except those for members and events.

    Talking and streaming to a whole conversation exist only in version 1.
    """
    operations = in_each_version(
        (Operation.LIST_CONVERSATIONS, "GET", ALL, _list),
        (Operation.CREATE_CONVERSATION, "POST", ALL, _create),
        (Operation.GET_CONVERSATION, "GET", ONE, _get),
        (Operation.UPDATE_CONVERSATION, "PUT", ONE, _update),
        (Operation.DELETE_CONVERSATION, "DELETE", ONE, _delete),
        (Operation.RECORD_CONVERSATION, "PUT", f"{ONE}/record", _record),
    )
    return routes_of(
        sandbox,
        *operations,
        (Operation.START_CONVERSATION_TALK, "PUT", f"/v1{ONE}/talk", _talk),
        (Operation.STOP_CONVERSATION_TALK, "DELETE", f"/v1{ONE}/talk", _talk),
        (Operation.START_CONVERSATION_STREAM, "PUT", f"/v1{ONE}/stream", _stream),
        (Operation.STOP_CONVERSATION_STREAM, "DELETE", f"/v1{ONE}/stream", _stream),
    )


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    search = searches.read_conversation_search(request.query_params)
    found = (
        (("", log.number), log)
        for log in list(sandbox.conversations)
        if search.finds(log) and is_there(sandbox, request, log)
    )
    show = partial(representations.conversation_record, base=api_root(request))
    return Json(paging.listing(found, search.window, list_url(request), show, "conversations"))


def _create(sandbox: Sandbox, request: Request, body: Any) -> Response:
    name, settings = read_conversation(body)
    application_id, region = request.state.application.id, region_of(request)
    if name is not None:
        _require_free(sandbox, request, name, application_id, region)
    conversation = sandbox.exchange.rooms.create(name, application_id=application_id, region=region)
    log = sandbox.conversations.open(conversation, settings)
    return Json(representations.conversation_record(log, api_root(request)), 201)


def _get(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    return Json(representations.conversation_record(requested_log(sandbox, request), api_root(request)))


def _update(sandbox: Sandbox, request: Request, body: Any) -> Response:
    name, settings = read_conversation(body)
    log = requested_log(sandbox, request)
    conversation = log.conversation
    if name is not None and name != log.name:
        _require_free(sandbox, request, name, conversation.application_id, conversation.region)
        sandbox.exchange.rooms.rename(conversation, name)
    log.settings |= settings
    log.updated = sandbox.exchange.now
    sandbox.note(note_of(sandbox, log, "conversation:updated", None, {}))
    return Json(representations.conversation_record(log, api_root(request)))


def _delete(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    sandbox.exchange.rooms.delete(requested_log(sandbox, request).conversation)
    return Response(status_code=204)


def _talk(sandbox: Sandbox, request: Request, body: Any) -> Response:
    prompt = None if request.method == "DELETE" else call_requests.read_rest_talk(body)
    conversation = requested_log(sandbox, request).conversation
    sandbox.exchange.media.play_to_all(conversation, Sound.SPEECH, prompt)
    return media_answer("Talk", prompt, conversation.uuid)


def _stream(sandbox: Sandbox, request: Request, body: Any) -> Response:
    prompt = None if request.method == "DELETE" else call_requests.read_rest_stream(body)
    conversation = requested_log(sandbox, request).conversation
    sandbox.exchange.media.play_to_all(conversation, Sound.AUDIO, prompt)
    return media_answer("Stream", prompt, conversation.uuid)


def _record(sandbox: Sandbox, request: Request, body: Any) -> Response:
    change = read_recording_change(body)
    log = requested_log(sandbox, request)
    if change.order is None:
        stop_recording(sandbox, log)
    else:
        start_recording(sandbox, log, change.order, change.retention_days)
    return media_answer("Record", change.order, log.conversation.uuid)


def start_recording(sandbox: Sandbox, log: ConversationLog, order: Record, retention_days: int) -> None:
    """Start a recording of a whole conversation, with the settings in *order*.

    Raises:
        Problem: No leg in the conversation has been answered.
    """
    try:
        sandbox.exchange.record_all(log.conversation, order, retention_days=retention_days)
    except NoAnsweredLeg as exc:
        raise refused(400, "leg:error:not-answered", "No leg in the conversation has been answered.") from exc


def stop_recording(sandbox: Sandbox, log: ConversationLog) -> None:
    """Stop all recordings of a whole conversation.

    Raises:
        Problem: The conversation is not being recorded.
    """
    if not log.conversation.recordings:
        raise refused(404, "audio:error:not-found", "The conversation is not being recorded.")
    for recording in log.conversation.recordings:
        body = {"record_id": recording.uuid}
        sandbox.exchange.base.emit(note_of(sandbox, log, "audio:record:stop", recording.leg_uuid, body))
    sandbox.exchange.media.stop_recordings(log.conversation.recordings)


def _require_free(sandbox: Sandbox, request: Request, name: str, application_id: str, region: str) -> None:
    taken = sandbox.exchange.rooms.find(name, application_id, region)
    log = None if taken is None else sandbox.conversations.get(taken.uuid)
    if log is not None:
        is_there(sandbox, request, log)  # deletes that conversation if its ttl has passed
    if sandbox.exchange.rooms.find(name, application_id, region) is not None:
        raise refused(409, "conversation:error:duplicate-name", "A conversation of this name already exists.")
