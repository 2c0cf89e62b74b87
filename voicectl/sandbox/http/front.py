"""What every request meets first: the Host check, its region, the trace id and Date of its answer, and the log."""

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

CONTROL = "/sandbox/"
"""Where the control routes begin; all other paths are the platform's."""

logger = logging.getLogger(__name__)

_SECRET = re.compile(r"(?<=api_secret=)[^&]+", re.IGNORECASE)
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


class Front:
    """An ASGI application around *app*.

    Names other than loopback's are refused in ``Host``: a web page whose own name was re-pointed at 127.0.0.1
    (DNS rebinding) gets no further.
    """

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sandbox = self._sandbox
        await sandbox.catch_up()
        trace_id, entry, region = "", {}, _region(scope, sandbox)
        if not scope["path"].startswith(CONTROL):
            trace_id = sandbox.new_trace_id()
            entry = sandbox.log.add("request", **_line(scope), region=region, trace_id=trace_id)
        scope["state"] = {**scope.get("state", {}), "trace_id": trace_id, "entry": entry, "region": region}

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Date"] = formatdate(sandbox.clock.time(), usegmt=True)
                if trace_id:
                    headers["x-nexmo-trace-id"] = trace_id
            await send(message)

        if _LOOPBACK.fullmatch(Headers(scope=scope).get("host", "")):
            await self._serve(scope, receive, stamped)
        else:
            problem = gateway(403, "The Host header names no loopback address.")
            await refusal(problem, trace_id)(scope, receive, stamped)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            pass  # it went before its body was there: nobody is left to answer
        except Exception:
            # A bug of ours: it was answered with 500, and the connection can go on.
            logger.exception("A request to %s went wrong", scope["path"])


class DropConnection(Response):
    """No answer at all: closes the connection without a byte."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._connections = sandbox.connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (nothing is sent)
        """Close it, and wait until it is closed: the server would answer for us if we returned before."""
        connection = self._connections.get((scope["client"], scope["server"]))
        if connection is not None:  # else the client was faster
            connection.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def refusal(problem: Problem, trace_id: str) -> Response:
    """The answer for *problem*; control routes have no trace id, which is empty then."""
    if problem.status == HTTPStatus.NOT_MODIFIED:  # HTTP gives it no body, and the server refuses to send one
        return Response(status_code=problem.status, headers=problem.headers)
    body = problem.body | ({"instance": trace_id} if "instance" in problem.body else {})
    return Json(body, problem.status, problem.headers)


def refuse(request: Request, exc: Exception) -> Response:
    """The answer for what was raised while *request* was served."""
    match exc:
        case Problem():
            problem = exc
        case HTTPException():
            detail = "This route has no such method." if exc.status_code == 405 else "There is no such route."
            problem = gateway(exc.status_code, detail, headers=dict(exc.headers or {}))
        case _:
            problem = gateway(500, "")
    is_signed = "authorization" in request.headers
    problem = in_shape_of(request.scope["path"], problem, is_signed=is_signed)
    return refusal(problem, request.state.trace_id)


def _region(scope: Scope, sandbox: Sandbox) -> str | None:
    """The region whose port was connected to, whatever ``Host`` says; None for the global one."""
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
