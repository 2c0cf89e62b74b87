"""The receiver, which verifies webhooks, answers calls, and acknowledges events once they are stored.

The receiver is a plain ASGI application, because the routing and the response objects of a framework would double the
cost of a request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from voicectl.errors import SignatureError
from voicectl.loopback import is_loopback
from voicectl.store.events import Arrival, Route, is_for_batch
from voicectl.webhook.call_answers import CallAnswers
from voicectl.webhook.event_receipts import EventReceipts
from voicectl.webhook.messages import (
    BROWSER,
    BUG,
    FOREIGN,
    FORGED,
    HANDSHAKE,
    NOT_POSTED,
    OK,
    UNREADABLE,
    UNSIGNED,
    Request,
    ResponseCache,
)
from voicectl.webhook.status import is_own_host, is_status_page, status_page
from voicectl.webhook.user_app import UserApp

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from voicectl.webhook.call_answers import SeenTokens
    from voicectl.webhook.event_writer import EventWriter
    from voicectl.webhook.messages import Response
    from voicectl.webhook.settings import Settings
    from voicectl.webhook.status import Metrics

PREFIX = "/webhooks/"

_ROUTES = {f"{PREFIX}{route}".encode(): route for route in Route}
"""The routes, by their paths as sent in requests. A path that is equal only after decoding does not match."""

_MAX_SHOWN = 200
_BROWSERS = frozenset({b"origin", b"sec-fetch-site"})
"""Headers that only browsers send. Any web page can make a browser send requests to this machine."""

_METHODS = frozenset({"GET", "POST"})
_OK_MESSAGES = OK.messages()

logger = logging.getLogger(__name__)


class Receiver:
    """The ASGI application that receives webhooks.

    Args:
        tokens: The tokens that were accepted earlier, in requests for an NCCO.
    """

    def __init__(
        self, settings: Settings, *, writer: EventWriter, metrics: Metrics, tokens: SeenTokens
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._metrics = metrics
        self._warn = settings.warn
        self._cache = cache = ResponseCache()
        forwarder = settings.forwarder
        self._app = app = None if forwarder is None else UserApp(forwarder, settings, metrics)
        self._calls = calls = CallAnswers(
            settings=settings, writer=writer, metrics=metrics, tokens=tokens, app=app, cache=cache
        )
        self._events = EventReceipts(settings=settings, writer=writer, calls=calls, app=app, cache=cache)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        route, path = _ROUTES.get(scope["raw_path"]), b""
        is_apps = self._app is not None and not is_status_page(scope)
        if route is None and (is_apps or is_for_batch(scope["raw_path"])):
            # A URL that the user's app or a batch has given to the platform.
            route, path = Route.EVENT, scope["raw_path"]
        try:
            if route is None:
                response: Response | None = status_page(scope, self._writer, self._metrics)
            elif scope["method"] not in _METHODS:
                response = NOT_POSTED
            else:
                response = await self._receive(route, path, scope, receive)
        except Exception:
            logger.exception("A request to %s failed unexpectedly", scope["path"])
            response = BUG
        except asyncio.CancelledError:
            return  # cancelled at shutdown; the server would report this exception as an error
        if response is None:
            return
        if route is not None:
            self._metrics.answered(route, response.status, time.perf_counter() - started)
        for message in _OK_MESSAGES if response is OK else response.messages():
            await send(message)

    async def close(self, seconds: float) -> None:
        """Wait up to *seconds* for requests to the user's app to complete, and then cancel the remaining ones."""
        if self._app is not None:
            await self._app.close(seconds)
        await self._cache.close()
        # This must come last, because it would make a request that is still open count as failed.
        if self._settings.forwarder is not None:
            await self._settings.forwarder.close()

    async def _receive(self, route: Route, path: bytes, scope: Scope, receive: Receive) -> Response | None:
        """Return the response to a webhook, or None if the client disconnected before sending all of it."""
        body = await _body(receive)
        if body is None:
            return None
        method, query, headers, client = (
            scope[key] for key in ("method", "query_string", "headers", "client")
        )
        if any(name in _BROWSERS for name, _ in headers):
            self._warn("browser", "refused a request from a web browser: only the platform may send webhooks")
            return BROWSER
        if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers):
            self._warn(
                "websocket",
                "refused a WebSocket: the receiver passes on webhooks only. In the NCCO, use the address at which"
                " your server itself can be reached",
            )
            return HANDSHAKE
        request = Request(route, method, query, headers, body, client and client[0], path)
        return await self._respond(request, is_foreign=self._is_foreign(scope))

    def _is_foreign(self, scope: Scope) -> bool:
        """Return True if a request on loopback names an unknown host. A web page may have caused such a request."""
        if not is_loopback((scope.get("server") or ("",))[0]):
            return False
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return not is_own_host(hosts, self._settings.public_host)

    async def _respond(self, request: Request, *, is_foreign: bool) -> Response:
        route, method, query, _, body, _, path = request
        if method == "GET" and body:
            return UNREADABLE  # the signature of a GET request does not cover a body
        try:
            jti = self._verify(request)
        except SignatureError as exc:
            hint = f" {exc.hint}" if exc.hint else ""
            self._warn(exc.message, f"refused a request to {_place(request)}: {exc.message}{hint}")
            return UNSIGNED if exc.is_unsigned else FORGED
        if jti is None and is_foreign:
            self._warn(
                "foreign host",
                "refused an unsigned request for another host: on a loopback address, unsigned requests must be for"
                " localhost, an IP address or the host of --set-urls",
            )
            return FOREIGN
        if jti is None:
            self._warn(
                "unsigned", f"accepted an unsigned request to {_place(request)}, because of --allow-unsigned"
            )
        arrival = Arrival.read(
            received=self._settings.clock.time(),
            route=route,
            method=method,
            query=query,
            body=body,
            is_signed=jti is not None,
            jti=jti,
            path=path,
        )
        if arrival.asks_for_ncco:
            return await self._calls.respond(arrival, request)
        return await self._events.respond(arrival, request)

    def _verify(self, request: Request) -> str | None:
        """Verify a request, and return the id of its token, or None if it is accepted without a token."""
        verifier, route = self._settings.verifier, request.route
        tokens = [value.decode("latin-1") for name, value in request.headers if name == b"authorization"]
        if verifier is None or (self._settings.is_unsigned_allowed and not tokens):
            return None
        found = verifier.verify(
            method=request.method, query=request.query, body=request.body, authorization=tokens
        )
        if found.uncovered:
            names = ", ".join(map(repr, found.uncovered))[:_MAX_SHOWN]
            self._warn(
                f"uncovered {route} {names}",
                f"warning: accepted a request to {_place(request)} whose signature does not cover these parameters of"
                f" the webhook's URL, which may have been changed in transit: {names}",
            )
        return found.jti


def _place(request: Request) -> str:
    """Return the path of a request, for messages."""
    return request.path[:_MAX_SHOWN].decode("latin-1") or f"{PREFIX}{request.route}"


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body of a request, or None if the client disconnected before sending all of it.

    The connection limiter limits the size of the body.
    """
    parts: list[bytes] = []
    is_more = True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        is_more = message.get("more_body", False)
    return b"".join(parts)
