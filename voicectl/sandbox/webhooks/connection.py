"""One HTTP request over a connection of its own.

A test of a call flow sends many webhooks, and httpx takes three times as long for each.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import cast

import h11
import httpx

from voicectl.loopback import is_loopback

_HAPPY_EYEBALLS_SECONDS = 0.25
MAX_HEAD = 102_400
"""The maximum size of the status line and the headers of a response, in bytes."""

_PART_BYTES = 65_536
_SWITCHING_PROTOCOLS = 101


class CannotConnect(Exception):
    """Raised if there is no connection. The cause says why: a time-out, or an error of the network."""


class Connection:
    """A connection for one request, which the caller must close.

    Args:
        request: The request. Its extension ``timeout`` has the time limits for connecting and for each read, in
            seconds.
    """

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._times = request.extensions["timeout"]
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self) -> h11.Response | h11.InformationalResponse:
        """Connect, send the request, and return the status and the headers of the response.

        Raises:
            CannotConnect: There is no connection.
            TimeoutError: The response did not arrive in time.
            h11.ProtocolError: The response is not HTTP, or incomplete.
            OSError: The connection was lost.
        """
        try:
            async with asyncio.timeout(self._times["connect"]):
                self._reader, self._writer = await _connect(self._request.url)
        except (OSError, UnicodeError) as exc:  # TimeoutError is an OSError
            raise CannotConnect from exc
        self._writer.write(self._encoded())
        while True:
            match await self._next():
                case h11.Response() as response:
                    return response
                case h11.InformationalResponse(status_code=code) as response if code == _SWITCHING_PROTOCOLS:
                    return response

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body as they arrive. The errors are the same as for :meth:`ask`."""
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    def close(self) -> None:
        """Close the connection at once."""
        if self._writer is not None:
            self._writer.transport.abort()

    def _encoded(self) -> bytes:
        request, http = self._request, self._http
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        parts = [http.send(head)]
        if request.content:
            parts.append(http.send(h11.Data(data=request.content)))
        parts.append(http.send(h11.EndOfMessage()))
        return b"".join(part for part in parts if part)

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        """Return the next part of the response."""
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            async with asyncio.timeout(self._times["read"]):
                self._http.receive_data(await self._reader.read(_PART_BYTES))


async def _connect(url: httpx.URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, is_tls = url.raw_host.decode(), url.scheme == "https"
    return await asyncio.open_connection(
        host,
        url.port or (443 if is_tls else 80),
        ssl=_tls() if is_tls else None,
        # A loopback address refuses a connection at once, so that trying two at a time would only cost time.
        happy_eyeballs_delay=None if is_loopback(host) else _HAPPY_EYEBALLS_SECONDS,
    )


@cache
def _tls() -> ssl.SSLContext:
    """Return a TLS context. All requests share it, because creating a context takes longer than sending a request."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
