"""Requests to the receiver, and the receiver's responses."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message

    from voicectl.store.events import Route

SUCCESSES = range(200, 206)
"""The HTTP statuses of the responses that the platform accepts."""

MAX_REMEMBERED = 4_096
MAX_REMEMBERED_BYTES = 16 << 20

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Request(NamedTuple):
    """A webhook as received, with all that is needed to pass it on to the user's app.

    Attributes:
        headers: The headers, as pairs of a name in lower case and a value.
        peer: The address from which the request came, or None if the address is not known.
        path: The path as it was sent, or empty if it is one of the receiver's own paths.
    """

    route: Route
    method: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    peer: str | None
    path: bytes = b""


class Response(NamedTuple):
    """A response from the receiver or from the user's own app.

    Attributes:
        fault: The reason why the platform refuses the response, whatever its body contains, or None.
    """

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    fault: str | None = None

    def messages(self) -> tuple[Message, Message]:
        """Return the ASGI messages that send this response."""
        headers = [(b"content-length", str(len(self.body)).encode()), *self.headers]
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type.encode("latin-1", "replace")))
        return (
            {"type": "http.response.start", "status": self.status, "headers": headers},
            {"type": "http.response.body", "body": self.body},
        )


class ResponseCache:
    """A cache of successful responses. Its size is limited, and the oldest responses are dropped first."""

    def __init__(self) -> None:
        self._responses: OrderedDict[bytes, Response] = OrderedDict()
        self._bytes = 0
        self._pending: dict[bytes, asyncio.Task[Response]] = {}

    async def get(self, key: bytes | None, make: Callable[[], Awaitable[Response]]) -> Response:
        """Return the cached response for *key*. If no response is cached, make one, and cache it if it is successful.

        While a response is being made, other calls with the same key wait for it and get the same response.

        Args:
            key: The key, or None to make a response without caching it.
            make: A function that makes the response.
        """
        if key is None:
            return await make()
        if (known := self._responses.get(key)) is not None:
            return known
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.ensure_future(self._make(key, make))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel all responses that are still being made."""
        for task in (late := list(self._pending.values())):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _make(self, key: bytes, make: Callable[[], Awaitable[Response]]) -> Response:
        try:
            response = await make()
        finally:
            del self._pending[key]
        if response.status in SUCCESSES:
            self._responses[key] = response
            self._bytes += len(response.body)
            while len(self._responses) > MAX_REMEMBERED or self._bytes > MAX_REMEMBERED_BYTES:
                self._bytes -= len(self._responses.popitem(last=False)[1].body)
        return response


OK = Response(200)
UNREADABLE = Response(400, b"Bad Request: no JSON object\n", TEXT)
FORGED = Response(401, b"Unauthorized\n", TEXT)
BROWSER = Response(403, b"Forbidden: web pages may not send webhooks\n", TEXT)
FOREIGN = Response(403, b"Forbidden: the host must be an IP address or localhost\n", TEXT)
NOWHERE = Response(404, b"Not Found\n", TEXT)
NOT_POSTED = Response(405, b"Method Not Allowed\n", TEXT, ((b"allow", b"GET, POST"),))
NOT_READ = Response(405, b"Method Not Allowed\n", TEXT, ((b"allow", b"GET, HEAD"),))
BUG = Response(500, b"Internal Server Error\n", TEXT)
HANDSHAKE = Response(501, b"Not Implemented: WebSockets are not passed on\n", TEXT)
UNSIGNED = Response(503, b"Service Unavailable: the webhook is not signed\n", TEXT)
NOT_TAKEN = Response(503, b"Service Unavailable: the webhook cannot be stored now\n", TEXT)
LATE = Response(504, b"Gateway Timeout\n", TEXT)
