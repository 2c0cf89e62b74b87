"""The first stage in the handling of a request.

This stage checks the ``Host`` header, determines the region of the request, and adds a ``Date`` header to the
response. It also logs each request to the platform's APIs, and assigns a trace id to the request.
"""

from __future__ import annotations

import logging
import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicectl.sandbox.bodies import Json
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import Problem, gateway, in_shape_of
from voicectl.voice.hosts import PLATFORM_HOSTS, REGION_HOSTS

CONTROL = "/sandbox/"
"""The prefix of the paths of control routes. All other paths belong to the platform's APIs."""

logger = logging.getLogger(__name__)

_SECRET = re.compile(r"(?<=api_secret=)[^&]+", re.IGNORECASE)
_REGION_OF = {host: region for region, host in REGION_HOSTS.items()}
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")


class Front:
    """An ASGI application that checks and logs each request, and passes it to *app*. Control requests are not logged.

    A request is refused unless its ``Host`` header names a loopback address or a host of the platform; a control
    request must name a loopback address. The check prevents DNS rebinding, an attack in which the domain of a web
    page resolves to 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the wrapped application, or refuse the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sandbox = self._sandbox
        await sandbox.catch_up()
        host = Headers(scope=scope).get("host", "").lower().removesuffix(":443")
        trace_id, entry, region = "", {}, _region(scope, sandbox, host)
        if not (is_control := scope["path"].startswith(CONTROL)):
            trace_id = sandbox.new_trace_id()
            entry = sandbox.log.add("request", **_line(scope), region=region, trace_id=trace_id)
            sandbox.traffic.requests += 1
        scope["state"] = {**scope.get("state", {}), "trace_id": trace_id, "entry": entry, "region": region}

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Date"] = formatdate(sandbox.clock.time(), usegmt=True)
                if trace_id:
                    headers["x-nexmo-trace-id"] = trace_id
            await send(message)

        if is_control:
            await self._check_host_and_serve(scope, receive, stamped, host)
            return
        sandbox.traffic.open += 1
        try:
            await self._check_host_and_serve(scope, receive, stamped, host)
        finally:
            sandbox.traffic.open -= 1

    async def _check_host_and_serve(self, scope: Scope, receive: Receive, send: Send, host: str) -> None:
        is_control = scope["path"].startswith(CONTROL)
        if _LOOPBACK.fullmatch(host) or (host in PLATFORM_HOSTS and not is_control):
            await self._serve(scope, receive, send)
        else:
            known = "this machine" if is_control else "this machine or a host of the platform"
            problem = gateway(403, f"The Host header does not name {known}.")
            await refusal(problem, scope["state"]["trace_id"])(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            pass  # the client disconnected before it had sent the whole body, so no response is possible
        except Exception:
            # This is a bug in the sandbox. The client has received a 500 response; keep the connection open.
            logger.exception("Could not answer a request to %s", scope["path"])


class DropConnection(Response):
    """A response that closes the connection without sending any data."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._connections = sandbox.connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (nothing is sent)
        """Close the connection, and wait until it is closed.

        If this method did not wait, the server would send a response.
        """
        connection = self._connections.get((scope["client"], scope["server"]))
        if connection is not None:  # None if the client closed it first
            connection.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def refusal(problem: Problem, trace_id: str) -> Response:
    """Return the HTTP response for *problem*. For control routes, which have no trace ids, *trace_id* is empty."""
    if problem.status == HTTPStatus.NOT_MODIFIED:  # a 304 has no body, and the server refuses to send one
        return Response(status_code=problem.status, headers=problem.headers)
    body = problem.body | ({"instance": trace_id} if "instance" in problem.body else {})
    return Json(body, problem.status, problem.headers)


def refuse(request: Request, exc: Exception) -> Response:
    """Return the error response for an exception that was raised while *request* was handled."""
    match exc:
        case Problem():
            problem = exc
        case HTTPException():
            detail = (
                "This route does not support this method."
                if exc.status_code == 405
                else "There is no such route."
            )
            problem = gateway(exc.status_code, detail, headers=dict(exc.headers or {}))
        case _:
            problem = gateway(500, "")
    is_signed = "authorization" in request.headers
    problem = in_shape_of(request.scope["path"], problem, is_signed=is_signed)
    return refusal(problem, request.state.trace_id)


def _region(scope: Scope, sandbox: Sandbox, host: str) -> str | None:
    """Return the region whose host or port received the request, or None if it was that of the base URL."""
    if host in _REGION_OF:
        return _REGION_OF[host]
    port = f":{scope['server'][1]}"
    return next((region for region, url in sandbox.region_urls.items() if url.endswith(port)), None)


def _line(scope: Scope) -> dict[str, Any]:
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    query = _SECRET.sub("(not logged)", query)
    return {
        "method": scope["method"],
        "path": f"{path}?{query}" if query else path,
        "operation": None,
        "body": None,
        "status": None,
        "fault": None,
    }
