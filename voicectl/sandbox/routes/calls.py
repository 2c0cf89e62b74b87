"""The routes of the Voice API: each request checked, faulted, limited and done, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox import orders, record
from voicectl.sandbox.bodies import BodyTooLarge, Json, UnreadableBody, parse_json, read_body
from voicectl.sandbox.checks import Invalid
from voicectl.sandbox.faults import Fault, What
from voicectl.sandbox.front import DropConnection, refusal, trace_id
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.orders import Verb
from voicectl.sandbox.problems import Problem, gateway, invalid, no_such_leg, wrong_state
from voicectl.sandbox.telephony.exchange import LegNotAnswered, LegOver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from voicectl.sandbox.sandbox import Sandbox
    from voicectl.sandbox.telephony.leg import Leg

    Handler = Callable[[Sandbox, Request, Any], Response]


def routes(sandbox: Sandbox) -> list[Route]:
    """The platform's routes, served by *sandbox*."""
    return [
        Route(path, _endpoint(sandbox, operation, do), methods=[method])
        for operation, method, path, do in (
            (Operation.GET_CALLS, "GET", "/v1/calls", _get_calls),
            (Operation.CREATE_CALL, "POST", "/v1/calls", _create_call),
            (Operation.GET_CALL, "GET", "/v1/calls/{uuid}", _get_call),
            (Operation.UPDATE_CALL, "PUT", "/v1/calls/{uuid}", _update_call),
            (Operation.START_STREAM, "PUT", "/v1/calls/{uuid}/stream", _start_stream),
            (Operation.STOP_STREAM, "DELETE", "/v1/calls/{uuid}/stream", _stop_stream),
            (Operation.START_TALK, "PUT", "/v1/calls/{uuid}/talk", _start_talk),
            (Operation.STOP_TALK, "DELETE", "/v1/calls/{uuid}/talk", _stop_talk),
            (Operation.START_DTMF, "PUT", "/v1/calls/{uuid}/dtmf", _start_dtmf),
            (Operation.SUBSCRIBE_DTMF, "PUT", "/v1/calls/{uuid}/input/dtmf", _subscribe_dtmf),
            (Operation.UNSUBSCRIBE_DTMF, "DELETE", "/v1/calls/{uuid}/input/dtmf", _unsubscribe_dtmf),
        )
    ]


def _endpoint(
    sandbox: Sandbox, operation: Operation, do: Handler
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        entry = request.state.entry
        entry["operation"] = operation
        body = await _body(request)
        entry["body"] = None if isinstance(body, Problem) else body
        sandbox.doorkeeper.check(request.headers.get("authorization"), request.method, request.scope["path"])
        fault = sandbox.faults.strike(operation)
        if fault is not None:
            entry["fault"] = fault.what
            if fault.what is What.LOST_REQUEST:
                return DropConnection(sandbox)
            _refuse_by(fault)
        _count(sandbox, operation)
        await sandbox.catch_up()
        try:
            if isinstance(body, Problem):
                raise body
            answer = _do(sandbox, request, body, do)
        except Problem as problem:
            answer = refusal(problem, trace_id(request))
        await sandbox.catch_up()
        if fault is not None and fault.what is What.LOST_REPLY:
            return DropConnection(sandbox)
        if fault is not None and fault.seconds is not None:
            await sandbox.wait(fault.seconds)
        return answer

    return endpoint


async def _body(request: Request) -> Any:
    """The body as JSON; None if there is none, and a Problem, for later, if it cannot be read."""
    try:
        data = await read_body(request)
    except BodyTooLarge as exc:
        raise gateway(413, "The body is larger than 1 MiB.") from exc
    if not data:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return gateway(415, "The body's Content-Type is not application/json.")
    try:
        return parse_json(data)
    except UnreadableBody as exc:
        return gateway(400, f"The body is {exc}.")


def _refuse_by(fault: Fault) -> None:
    if fault.what is What.STATUS and fault.code is not None:
        raise gateway(fault.code, "A fault of this sandbox answers so.")
    if fault.what is What.RATE_LIMIT:
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        raise gateway(429, "A fault of this sandbox answers so.", headers=headers)


def _count(sandbox: Sandbox, operation: Operation) -> None:
    limits = sandbox.limits
    allowed = limits.allow_create() if operation is Operation.CREATE_CALL else limits.allow_other()
    if not allowed:
        raise gateway(429, "More requests came than the limit for one second.")


def _do(sandbox: Sandbox, request: Request, body: Any, do: Handler) -> Response:
    try:
        return do(sandbox, request, body)
    except Invalid as exc:
        raise invalid(exc) from exc
    except LegOver as exc:
        raise no_such_leg() from exc
    except LegNotAnswered as exc:
        raise wrong_state() from exc


def _leg(sandbox: Sandbox, request: Request) -> Leg:
    leg = sandbox.exchange.legs.get(request.path_params["uuid"])
    if leg is None:
        raise no_such_leg()
    return leg


def _changeable(sandbox: Sandbox, request: Request) -> Leg:
    """The leg to be changed; one younger than the settling time refuses, as a new one does on the platform."""
    leg = _leg(sandbox, request)
    if not leg.is_over and sandbox.exchange.now - leg.created < sandbox.options.settle * 1000:
        raise wrong_state()
    return leg


def _get_calls(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    search = record.read_search(request.query_params)
    base = f"http://{request.headers['host']}"
    return Json(record.page(sandbox.exchange.legs.values(), search, base))


def _create_call(sandbox: Sandbox, _request: Request, body: Any) -> Response:
    return Json(record.created(sandbox.exchange.create(orders.read_create(body))), 201)


def _get_call(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    return Json(record.call_record(_leg(sandbox, request)))


def _update_call(sandbox: Sandbox, request: Request, body: Any) -> Response:
    change = orders.read_change(body)
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


def _start_stream(sandbox: Sandbox, request: Request, body: Any) -> Response:
    prompt = orders.read_rest_stream(body)
    leg = _changeable(sandbox, request)
    sandbox.exchange.stream(leg, prompt)
    return _done("Stream started", leg)


def _stop_stream(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    leg = _changeable(sandbox, request)
    sandbox.exchange.stream(leg, None)
    return _done("Stream stopped", leg)


def _start_talk(sandbox: Sandbox, request: Request, body: Any) -> Response:
    prompt = orders.read_rest_talk(body)
    leg = _changeable(sandbox, request)
    sandbox.exchange.talk(leg, prompt)
    return _done("Talk started", leg)


def _stop_talk(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    leg = _changeable(sandbox, request)
    sandbox.exchange.talk(leg, None)
    return _done("Talk stopped", leg)


def _start_dtmf(sandbox: Sandbox, request: Request, body: Any) -> Response:
    digits = orders.read_rest_dtmf(body)
    leg = _changeable(sandbox, request)
    sandbox.exchange.dtmf(leg, digits)
    return _done("DTMF sent", leg)


def _subscribe_dtmf(sandbox: Sandbox, request: Request, body: Any) -> Response:
    url = orders.read_listener(body)
    sandbox.exchange.listen(_changeable(sandbox, request), url)
    return Response(status_code=200)


def _unsubscribe_dtmf(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    sandbox.exchange.listen(_changeable(sandbox, request), None)
    return Response(status_code=200)


def _done(message: str, leg: Leg) -> Json:
    return Json({"message": message, "uuid": leg.uuid})
