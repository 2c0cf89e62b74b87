"""The stages in the handling of an API request: authentication, faults, rate limits and the operation itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.account.tokens import check_token
from voicectl.sandbox.bodies import BodyTooLarge, UnreadableBody, is_json, logged, parse_json, read_body
from voicectl.sandbox.fault_types import FaultType
from voicectl.sandbox.faults import Fault
from voicectl.sandbox.http.front import DropConnection, refuse
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing.fields import Invalid
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import Problem, gateway, invalid, no_such_leg, wrong_state
from voicectl.sandbox.telephony.exchange import LegNotAnswered, LegOver

Handler = Callable[[Sandbox, Request, Any], Response | Awaitable[Response]]
Reader = Callable[[Request], Awaitable[Any]]
OperationRoute = tuple[Operation, str, str, Handler]
"""An operation, its HTTP method, its path and its handler."""


def routes_of(
    sandbox: Sandbox,
    *operations: OperationRoute,
    admit: Callable[[Request], None] | None = None,
    read: Reader | None = None,
) -> list[Route]:
    """Return one route for each of *operations*.

    Args:
        sandbox: The sandbox that the operations act on.
        operations: The operations. A handler is called with the sandbox, the request, and the parsed JSON body or
            None. ``request.state.application`` is the application whose token was sent. ``request.state.region`` is
            the region whose port received the request, or None for the port of the base URL. A handler can raise
            :class:`Problem`, :class:`Invalid`, :class:`LegOver` and :class:`LegNotAnswered`.
        admit: A function that is called instead of the check of the token. It raises :class:`Problem` to refuse a
            request. If *admit* is given, ``request.state.application`` is not set.
        read: A function that is called instead of the JSON parser. It sets ``request.state.size`` to the size of the
            body in bytes, and returns the parsed body, or a Problem if the body cannot be parsed.
    """
    return [
        Route(path, _endpoint(sandbox, operation, do, admit, read or _body), methods=[method])
        for operation, method, path, do in operations
    ]


def _endpoint(
    sandbox: Sandbox,
    operation: Operation,
    do: Handler,
    admit: Callable[[Request], None] | None,
    read: Reader,
) -> Callable[[Request], Awaitable[Response]]:

    async def endpoint(request: Request) -> Response:
        entry = request.state.entry
        entry["operation"] = operation
        try:
            body = await read(request)
        except BodyTooLarge as exc:
            raise gateway(413, "The body is larger than 1 MiB.") from exc
        if admit is None:
            request.state.application = check_token(
                request.headers.get("authorization"),
                request.method,
                request.scope["path"],
                applications=sandbox.applications.by_id,
                now=sandbox.clock.time(),
            )
        else:
            admit(request)
        entry["body"] = None if isinstance(body, Problem) else logged(body, request.state.size)
        fault = sandbox.faults.strike(operation)
        entry["fault"] = what = None if fault is None else fault.what
        request.state.is_out_of_region = what is FaultType.REGION and request.state.region is None
        if what is FaultType.LOST_REQUEST:
            return DropConnection(sandbox)
        if fault is not None:
            _refuse_by(fault)
        _count(sandbox, operation)
        await sandbox.catch_up()
        try:
            if isinstance(body, Problem):
                raise body
            answer = await _do(sandbox, request, body, do)
        except Problem as problem:
            answer = refuse(request, problem)
        await sandbox.catch_up()
        if what is FaultType.LOST_REPLY:
            return DropConnection(sandbox)
        if fault is not None and fault.seconds is not None:
            await sandbox.wait(fault.seconds)
        return answer

    return endpoint


def may_see(request: Request, application_id: str, region: str) -> bool:
    """Return True if the sender of *request* is allowed to see the resources of an application in *region*.

    A request to the base URL can see the resources in all regions, unless a ``region`` fault affects the request.
    """
    if request.state.is_out_of_region:
        return False
    return application_id == request.state.application.id and request.state.region in (None, region)


async def _body(request: Request) -> Any:
    """Return the parsed JSON body, or None if there is no body.

    If the body cannot be parsed, return a Problem. The caller can make other checks before it raises the Problem.
    """
    data = await read_body(request)
    request.state.size = len(data)
    if not data:
        return None
    if not is_json(request):
        return gateway(415, "The body's Content-Type is not application/json.")
    try:
        return parse_json(data)
    except UnreadableBody as exc:
        return gateway(400, f"The body is {exc}.")


def _refuse_by(fault: Fault) -> None:
    if fault.what is FaultType.STATUS and fault.code is not None:
        raise gateway(fault.code, "This error comes from a fault that was added to this sandbox.")
    if fault.what is FaultType.KEY_REVOKED:
        raise gateway(401, "The token is not signed with the application's private key.")
    if fault.what is FaultType.RATE_LIMIT:
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        raise gateway(429, "This error comes from a fault that was added to this sandbox.", headers=headers)


def _count(sandbox: Sandbox, operation: Operation) -> None:
    limits = sandbox.limits
    allowed = limits.allow_create() if operation is Operation.CREATE_CALL else limits.allow_other()
    if not allowed:
        raise gateway(429, "The limit of requests per second was exceeded.")


async def _do(sandbox: Sandbox, request: Request, body: Any, do: Handler) -> Response:
    try:
        answer = do(sandbox, request, body)
        return await answer if isawaitable(answer) else answer
    except Invalid as exc:
        raise invalid(exc) from exc
    except LegOver as exc:
        raise no_such_leg() from exc
    except LegNotAnswered as exc:
        raise wrong_state() from exc
