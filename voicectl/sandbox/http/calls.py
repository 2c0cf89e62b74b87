"""The routes of the Voice API, for calls and for the files of recordings and transcriptions."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from voicectl.sandbox import record
from voicectl.sandbox.bodies import Json
from voicectl.sandbox.http.access import base, found_legs, may_read, media_answer, region_of
from voicectl.sandbox.http.pipeline import may_see, routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing import call_requests
from voicectl.sandbox.parsing.call_requests import Verb
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import gateway, no_such_leg, wrong_state
from voicectl.sandbox.telephony.state import Leg


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v1/calls``, ``/v1/files`` and ``/v3/files``.

    Some clients use ``/v3/files`` instead of ``/v1/files``.
    """
    return routes_of(
        sandbox,
        (Operation.GET_CALLS, "GET", "/v1/calls", _get_calls),
        (Operation.CREATE_CALL, "POST", "/v1/calls", _create_call),
        (Operation.GET_CALL, "GET", "/v1/calls/{uuid}", _get_call),
        (Operation.UPDATE_CALL, "PUT", "/v1/calls/{uuid}", _update_call),
        (Operation.START_STREAM, "PUT", "/v1/calls/{uuid}/stream", _stream),
        (Operation.STOP_STREAM, "DELETE", "/v1/calls/{uuid}/stream", _stream),
        (Operation.START_TALK, "PUT", "/v1/calls/{uuid}/talk", _talk),
        (Operation.STOP_TALK, "DELETE", "/v1/calls/{uuid}/talk", _talk),
        (Operation.START_DTMF, "PUT", "/v1/calls/{uuid}/dtmf", _dtmf),
        (Operation.SUBSCRIBE_DTMF, "PUT", "/v1/calls/{uuid}/input/dtmf", _listen),
        (Operation.UNSUBSCRIBE_DTMF, "DELETE", "/v1/calls/{uuid}/input/dtmf", _listen),
        (Operation.GET_FILE, "GET", "/v1/files/{id}", _get_file),
        (Operation.GET_FILE, "GET", "/v3/files/{id}", _get_file),
    )


def _leg(sandbox: Sandbox, request: Request) -> Leg:
    leg = sandbox.exchange.legs.get(request.path_params["uuid"])
    if leg is None or not may_read(sandbox, request, leg):
        raise no_such_leg()
    return leg


def _changeable(sandbox: Sandbox, request: Request) -> Leg:
    """Return the leg that *request* changes.

    Raises:
        Problem: The leg was created too recently to be changed. The option ``settle`` determines this time.
    """
    leg = _leg(sandbox, request)
    if not leg.is_over and sandbox.exchange.now - leg.created < sandbox.options.settle * 1000:
        raise wrong_state()
    return leg


def _get_calls(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    search = record.read_search(request.query_params)
    return Json(record.page(found_legs(sandbox, request, search), search, f"{base(request)}/v1/calls"))


def _create_call(sandbox: Sandbox, request: Request, body: Any) -> Response:
    leg = sandbox.exchange.create(
        call_requests.read_create(body),
        application_id=request.state.application.id,
        region=region_of(request),
    )
    return Json(record.created(leg), 201)


def _get_call(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    return Json(record.call_record(_leg(sandbox, request)))


def _update_call(sandbox: Sandbox, request: Request, body: Any) -> Response:
    change = call_requests.read_change(body)
    leg = _changeable(sandbox, request)
    match change.verb:
        case Verb.HANGUP:
            sandbox.exchange.hangup(leg)
        case Verb.MUTE | Verb.UNMUTE:
            sandbox.exchange.mute(leg, on=change.verb is Verb.MUTE)
        case Verb.EARMUFF | Verb.UNEARMUFF:
            sandbox.exchange.earmuff(leg, on=change.verb is Verb.EARMUFF)
        case Verb.TRANSFER:
            sandbox.exchange.transfer(leg, change.flow)
    return Response(status_code=204)


def _stream(sandbox: Sandbox, request: Request, body: Any) -> Response:
    prompt = None if request.method == "DELETE" else call_requests.read_rest_stream(body)
    leg = _changeable(sandbox, request)
    sandbox.exchange.stream(leg, prompt)
    return media_answer("Stream", prompt, leg.uuid)


def _talk(sandbox: Sandbox, request: Request, body: Any) -> Response:
    prompt = None if request.method == "DELETE" else call_requests.read_rest_talk(body)
    leg = _changeable(sandbox, request)
    sandbox.exchange.talk(leg, prompt)
    return media_answer("Talk", prompt, leg.uuid)


def _dtmf(sandbox: Sandbox, request: Request, body: Any) -> Response:
    digits = call_requests.read_rest_dtmf(body)
    leg = _changeable(sandbox, request)
    sandbox.exchange.dtmf(leg, digits)
    return Json({"message": "DTMF sent", "uuid": leg.uuid})


def _listen(sandbox: Sandbox, request: Request, body: Any) -> Response:
    url = None if request.method == "DELETE" else call_requests.read_listener(body)
    sandbox.exchange.listen(_changeable(sandbox, request), url)
    return Response(status_code=200)


def _get_file(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    """Return the requested file. If *request* has a ``Range`` header, return only the requested parts of the file."""
    file = sandbox.files.get(request.path_params["id"])
    if file is None or not may_see(request, file.application_id, file.region):
        raise gateway(404, "File does not exist, or you do not have access.")
    return FileResponse(file.path, media_type=file.media_type)
