"""A forward proxy that answers for the platform's hosts.

A program that uses a proxy sends it a ``CONNECT`` request for each host. For a host of the platform, this proxy
performs the TLS handshake itself, with a certificate for that host, and the sandbox's server answers the requests
that follow. The server also answers a request for an ``https`` URL of such a host. Every other request is refused and
logged. The proxy has no code that opens a connection, so it cannot reach any host.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import h11

from voicectl.sandbox.log import Log
from voicectl.sandbox.tls.authority import Authority
from voicectl.voice.hosts import PLATFORM_HOSTS

REQUEST_SECONDS = 10.0
"""How long a client may take to send its request, in seconds, and then again to perform the TLS handshake."""

MAX_SHOWN = 200

_TARGET = re.compile(rb"([a-z0-9.-]+):443")
_HTTPS_URL = re.compile(rb"https://([a-z0-9.-]+)(?::443)?(/[^#]*)", re.IGNORECASE)
_OF_THE_CONNECTION = frozenset(
    {b"host", b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection"}
)
"""The headers that concern the connection to the proxy, not the request."""

_SHOWN = re.compile(r"((?:\w*:)?//)?(?:[^/?#]*@)?([^/?#]*)")
"""The parts of a target that are logged. A user and password, a path and a query may be secret."""


class Proxy:
    """A proxy in front of a server in the same event loop.

    Args:
        authority: The issuer of the certificates.
        new_server_protocol: A function that returns a new protocol of the server for one connection.
        log: A function that returns the log in which refused requests are recorded.
        patience: How long to wait for a client, as for :data:`REQUEST_SECONDS`.
    """

    def __init__(
        self,
        authority: Authority,
        new_server_protocol: Callable[[], asyncio.Protocol],
        log: Callable[[], Log],
        *,
        patience: float = REQUEST_SECONDS,
    ) -> None:
        self._authority = authority
        self._new_server_protocol = new_server_protocol
        self._log = log
        self._patience = patience
        self._waiting: set[asyncio.Transport] = set()
        self._handshakes: set[asyncio.Task[None]] = set()  # the event loop keeps only weak references

    def new_connection(self) -> asyncio.Protocol:
        """Return a new protocol for a connection to the proxy."""
        return _Request(self, self._patience)

    def close(self) -> None:
        """Close the connections that do not belong to the server yet."""
        for transport in self._waiting:
            transport.abort()

    def begin(self, transport: asyncio.Transport) -> None:
        """Take note of a connection whose request has not arrived yet."""
        self._waiting.add(transport)

    def end(self, transport: asyncio.Transport) -> None:
        """Forget a connection that has ended, or that belongs to the server now."""
        self._waiting.discard(transport)

    def note(self, method: str, target: str, status: int | None, reason: str) -> None:
        """Log a request that was not passed to the server.

        Args:
            status: The status of the reply, or None if the connection failed after the reply.
        """
        shown = _SHOWN.match(target)
        scheme, host = shown.groups("") if shown else ("", "")
        to = (scheme + host)[:MAX_SHOWN]
        self._log().add("proxy", method=method, target=to, status=status, reason=reason)

    def pass_on(self, transport: asyncio.Transport, request: bytes) -> None:
        """Let the server answer a request that arrived without TLS."""
        early = _EarlyData()
        early.data_received(request)
        self.end(transport)
        early.hand_over(transport, self._new_server_protocol())

    def intercept(self, transport: asyncio.Transport, host: str) -> None:
        """Perform the TLS handshake as *host*, and let the server answer what follows."""
        task = asyncio.create_task(self._intercept(transport, host))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _intercept(self, transport: asyncio.Transport, host: str) -> None:
        early, loop = _EarlyData(), asyncio.get_running_loop()
        try:
            context = self._authority.context(host)
            tls = await loop.start_tls(
                transport, early, context, server_side=True, ssl_handshake_timeout=self._patience
            )
        except OSError as exc:  # the client gave up or does not trust the certificate, or the disk is full
            transport.abort()
            why = getattr(exc, "reason", None) or str(exc) or "the client closed the connection"
            self.note("CONNECT", f"{host}:443", None, f"the TLS handshake failed: {why}")
            return
        finally:
            self.end(transport)
        if tls is not None and not early.is_lost:
            early.hand_over(tls, self._new_server_protocol())


class _Request(asyncio.Protocol):
    """A connection to the proxy, until its request is answered."""

    def __init__(self, proxy: Proxy, patience: float) -> None:
        self._proxy = proxy
        self._patience = patience
        self._http = h11.Connection(h11.SERVER)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._proxy.begin(transport)
        self._deadline = asyncio.get_running_loop().call_later(self._patience, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (of the base class)
        self._deadline.cancel()
        self._proxy.end(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            self._http.receive_data(data)
            request = self._http.next_event()
        except h11.RemoteProtocolError as exc:
            self._refuse(b"", b"", exc.error_status_hint, "not a valid request")
            return
        if isinstance(request, h11.Request):
            self._answer(request)

    def _answer(self, request: h11.Request) -> None:
        method, target = request.method, request.target
        host = _platform_host(target)
        if (
            method != b"CONNECT"
            and (url := _HTTPS_URL.fullmatch(target))
            and _platform_host(url[1] + b":443")
        ):
            self._pass_on(request, host=url[1], path=url[2])
        elif method != b"CONNECT":
            self._refuse(
                method, target, 403, "plain HTTP is not passed on, since the platform uses HTTPS only"
            )
        elif host is None:
            self._refuse(method, target, 403, "not a host of the platform on port 443")
        elif self._http.trailing_data[0]:
            self._refuse(method, target, 400, "the client did not wait for the reply to CONNECT")
        else:
            self._deadline.cancel()
            self._transport.pause_reading()  # what follows is for the handshake
            self._send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
            self._proxy.intercept(self._transport, host)

    def _pass_on(self, request: h11.Request, *, host: bytes, path: bytes) -> None:
        """Let the server answer a request for an ``https`` URL, as older versions of axios send it to a proxy."""
        kept = [(name, value) for name, value in request.headers if name not in _OF_THE_CONNECTION]
        headers = [
            (b"Host", host),
            *kept,
            (b"Connection", b"close"),
        ]  # the server expects no second one like this
        passed_on = h11.Request(method=request.method, target=path, headers=headers)
        self._deadline.cancel()
        head = h11.Connection(h11.CLIENT).send(passed_on) or b""
        self._proxy.pass_on(self._transport, head + self._http.trailing_data[0])

    def _refuse(self, method: bytes, target: bytes, status: int, reason: str) -> None:
        self._proxy.note(method.decode("latin-1"), target.decode("latin-1"), status, reason)
        body = f"voicectl sandbox: {reason}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        self._send(h11.Response(status_code=status, headers=headers, reason=reason.encode()))
        self._send(h11.Data(data=body))
        self._transport.close()

    def _send(self, event: h11.Event) -> None:
        self._transport.write(self._http.send(event) or b"")


class _EarlyData(asyncio.Protocol):
    """The protocol of a new TLS connection until the server takes over, which may be after the first data."""

    def __init__(self) -> None:
        self.is_lost = False
        self._data: list[bytes] = []
        self._is_at_end = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (of the base class)
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        self._data.append(data)

    def eof_received(self) -> None:
        self._is_at_end = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Let *protocol* handle the connection, beginning with the data received so far."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._data:
            protocol.data_received(data)
        if self._is_at_end:
            protocol.eof_received()


def _platform_host(target: bytes) -> str | None:
    """Return the host of the platform whose port for HTTPS is *target*, or None if it is anything else."""
    found = _TARGET.fullmatch(target.lower())
    host = found[1].decode() if found else ""
    return host if host in PLATFORM_HOSTS else None
