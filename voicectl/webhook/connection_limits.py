"""Limits on connections to the receiver, and on the heads and bodies of requests.

A request that exceeds a limit is answered with an HTTP error, if the client can still read one, and the connection is
closed. A connection on which the client sends nothing, or sends too slowly, is closed after some time. If a new
connection would be one too many, the connection that has had no complete request for the longest time is closed to
make room for it.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from enum import StrEnum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voicectl.loopback import is_loopback

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_HEAD_ENDS = 4  # bytes in a header line besides the name and the value
_FRAMING = 8  # a chunked body, as sent, may have up to this many times the maximum size of a body


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits that a server sets for its clients.

    Attributes:
        head_bytes: The maximum size of a request's head (the request line and all headers), in bytes.
        headers: The maximum number of headers in a request.
        body_bytes: The maximum size of a request's body, in bytes.
        head_seconds: The longest time from the first byte of a head to its last byte, in seconds.
        body_seconds: The longest time from the end of a head to the end of the body, in seconds.
        idle_seconds: The longest time that a connection may be open without a request, in seconds.
        answer_seconds: The longest time from the end of a request to the end of its response, in seconds.
        linger_seconds: How long a client has to read why its request was refused, in seconds.
        connections: The maximum number of open connections.
        per_address: The maximum number of open connections from one address.
        pipelined: The maximum number of requests on one connection that may wait for an earlier request to be
            answered.
    """

    head_bytes: int = 16 << 10
    headers: int = 64
    body_bytes: int = 64 << 10
    head_seconds: float = 5.0
    body_seconds: float = 5.0
    idle_seconds: float = 15.0
    answer_seconds: float = 30.0
    linger_seconds: float = 1.0
    connections: int = 256
    per_address: int = 32
    pipelined: int = 8


LIMITS = Limits()


class ConnectionState(StrEnum):
    """The state of a connection. If requests are pipelined, this is the state of the latest request."""

    QUIET = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    REFUSED = auto()


class ConnectionLimiter:
    """Keeps track of the open connections, and enforces limits on them.

    Args:
        limits: The limits to enforce.
        proxies: The IP addresses of the proxies in front of the server. The limit per address does not apply to them.
        is_local: A function that returns True if its argument is an address of this machine. The limit per address
            does not apply to these addresses either, because a tunnel or proxy may end there.
        monotonic: A function that returns the time in seconds on a clock that never goes backward.

    Attributes:
        refused: The number of refused requests, by HTTP status. The value for the key 0 is the number of connections
            that were closed to make room.
    """

    def __init__(
        self,
        *,
        limits: Limits = LIMITS,
        proxies: Iterable[str] = (),
        is_local: Callable[[str], bool] = is_loopback,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.monotonic = monotonic
        self.refused: dict[int, int] = {}
        self._proxies = frozenset(map(_address, proxies))
        self._is_local = is_local
        self._connections: dict[_Connection, str] = {}

    def protocol(self, *args: Any, **options: Any) -> HttpToolsProtocol:
        """Return the protocol for a new connection. Uvicorn calls this method with its own arguments."""
        return _Connection(self, *args, **options)

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def states(self) -> list[ConnectionState]:
        """Return the state of each open connection."""
        return [each.state for each in self._connections]

    def sweep(self) -> None:
        """Close each connection whose deadline has passed. The server must call this a few times per second."""
        now = self.monotonic()
        for connection in list(self._connections):
            if now >= connection.deadline:
                connection.expire()

    def admit(self, connection: _Connection, host: str) -> bool:
        """Add *connection*, after closing another one if there is no room. Return False if there is still no room."""
        address = _address(host)
        if not (self._is_local(address) or address in self._proxies):
            own = [each for each, its in self._connections.items() if its == address]
            if len(own) >= self.limits.per_address and not self._evict(own):
                return False
        if len(self._connections) >= self.limits.connections and not self._evict(self._connections):
            return False
        self._connections[connection] = address
        return True

    def forget(self, connection: _Connection) -> None:
        """Stop keeping track of *connection*, which is closed."""
        self._connections.pop(connection, None)

    def count(self, status: int) -> None:
        """Count a refused request, or a connection that was closed to make room.

        Args:
            status: The HTTP status of the refusal, or 0 for a connection that was closed to make room.
        """
        self.refused[status] = self.refused.get(status, 0) + 1

    def _evict(self, candidates: Iterable[_Connection]) -> bool:
        """Close the candidate that has been without a complete request for the longest time.

        Candidates that are waiting for a response are not closed. Return False if there are no other candidates.
        """
        waiting = [each for each in candidates if not each.is_owed]
        if not waiting:
            return False
        loser = min(waiting, key=lambda each: each.worth)
        self.count(0)
        self.forget(loser)
        loser.transport.abort()
        return True


class _Refused(Exception):
    """The exception that a parser callback raises to stop the parser and refuse a request."""


class _Connection(HttpToolsProtocol):
    """A client's connection, on which the limits are enforced."""

    def __init__(self, limiter: ConnectionLimiter, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limiter = limiter
        self._limits = limiter.limits
        self._refusal: tuple[int, str] | None = None
        self._head = 0  # number of bytes in the complete lines of the head
        self._read = 0  # number of bytes received for the head, or for the body
        self._length: int | None = None
        self._codings: list[bytes] = []
        self.state = ConnectionState.QUIET
        self.deadline = 0.0
        self.completed = (
            False,
            0.0,
        )  # True and the time of the last complete request, or False and the time of opening

    @property
    def is_owed(self) -> bool:
        """True if a complete request has not been answered yet."""
        # Before the first request this is None, although uvicorn declares another type.
        cycle: RequestResponseCycle | None = self.cycle
        return bool(self.pipeline) or not (cycle is None or cycle.response_complete or cycle.more_body)

    @property
    def worth(self) -> tuple[bool, bool, float]:
        """The sort key for closing connections to make room. The connection with the lowest key is closed first.

        Connections that have had no complete request come before all others, and those of them that are receiving
        their first request come before the rest. Within each of these groups, connections are sorted by the time of
        their last complete request or, if they have had none, by the time at which they were opened.
        """
        is_proven, since = self.completed
        return is_proven, is_proven or self.state is ConnectionState.QUIET, since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # always TCP
        super().connection_made(transport)
        now = self._limiter.monotonic()
        self.completed = (False, now)
        self.deadline = now + self._limits.idle_seconds
        if not self._limiter.admit(self, self.client[0] if self.client else ""):
            self._limiter.count(HTTPStatus.SERVICE_UNAVAILABLE)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limiter.forget(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # True keeps it open
        """Close the connection once its open requests have been answered, as the client will send nothing more."""
        if self.state is ConnectionState.REFUSED or not self.is_owed:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state is ConnectionState.REFUSED:
            return  # discarded, so that the client can finish sending and then read the refusal
        if state is ConnectionState.QUIET:
            self._begin()
        super().data_received(data)
        state = self.state
        if state is ConnectionState.HEAD:
            self._read += len(data)
            if self._read > self._limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too long")
        elif state is ConnectionState.BODY:
            self._read += len(data)
            if self._read > _FRAMING * self._limits.body_bytes:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")

    def on_message_begin(self) -> None:
        if self.state is not ConnectionState.HEAD:
            self._begin()
        self._head = self._read = 0
        self._length = None
        self._codings = []
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state is ConnectionState.BODY:
            self._stop(HTTPStatus.BAD_REQUEST, "a header follows the body")
        super().on_header(name, value)
        self._head += len(name) + len(value) + _HEAD_ENDS
        headers = self.headers
        if len(headers) > self._limits.headers:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers")
        name = headers[-1][0]
        if name == b"content-length":
            if self._length is not None or not value.isdigit():
                self._stop(HTTPStatus.BAD_REQUEST, "its Content-Length is repeated, or is not a number")
            self._length = int(value[:20])
        elif name == b"transfer-encoding":
            self._codings.append(value.strip().lower())
        elif name == b"content-encoding" and value.strip().lower() not in (b"identity", b""):
            self._stop(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body has a Content-Encoding")

    def on_headers_complete(self) -> None:
        limits = self._limits
        if self._head + len(self.url) > limits.head_bytes:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too long")
        if self._codings and (self._length is not None or self._codings != [b"chunked"]):
            self._stop(
                HTTPStatus.BAD_REQUEST,
                "its Transfer-Encoding is not chunked, or it also has a Content-Length",
            )
        if self._length is not None and self._length > limits.body_bytes:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
        if len(self.pipeline) >= limits.pipelined:
            self._stop(HTTPStatus.BAD_REQUEST, "too many requests at once")
        is_upgrade = self.parser.should_upgrade()
        if is_upgrade and (self._length or self._codings):
            # httptools would skip the body
            self._stop(HTTPStatus.BAD_REQUEST, "an upgrade request must not have a body")
        super().on_headers_complete()
        if is_upgrade:
            self.cycle.keep_alive = False
        self.state = ConnectionState.BODY
        self._read = 0
        self.deadline = self._limiter.monotonic() + limits.body_seconds

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if len(self.cycle.body) > self._limits.body_bytes:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")

    def on_message_complete(self) -> None:
        now = self._limiter.monotonic()
        self.completed = (True, now)
        if self.cycle.response_complete:  # the request was answered before it was complete
            self._rest(now)
        else:
            self.state = ConnectionState.ANSWERING
            self.deadline = now + self._limits.answer_seconds
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.state is ConnectionState.ANSWERING and self.cycle.response_complete:
            self._rest(self._limiter.monotonic())
        self._unset_keepalive_if_required()  # the limiter has its own idle limit

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the parser's message, for logs)
        """Refuse a request that the parser could not read or that exceeded a limit."""
        status, why = self._refusal or (HTTPStatus.BAD_REQUEST.value, "it is not valid HTTP")
        self._refuse(status, why)

    def expire(self) -> None:
        """Close the connection, or refuse its current request, because its deadline has passed."""
        if self.state in (ConnectionState.HEAD, ConnectionState.BODY):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request took too long")
        elif self.state is ConnectionState.QUIET and not self.transport.is_closing():
            self.deadline += self._limits.linger_seconds
            self.transport.close()
        else:
            self.transport.abort()

    def _begin(self) -> None:
        self.state = ConnectionState.HEAD
        self._read = 0
        self.deadline = self._limiter.monotonic() + self._limits.head_seconds

    def _rest(self, now: float) -> None:
        self.state = ConnectionState.QUIET
        self.completed = (True, now)
        self.deadline = now + self._limits.idle_seconds

    def _stop(self, status: int, why: str) -> None:
        """Stop the parser from one of its callbacks. The refusal is sent after the parser has stopped."""
        self._refusal = status, why
        raise _Refused

    def _refuse(self, status: int, why: str) -> None:
        """Refuse the current request with an HTTP error, and close the connection.

        If an earlier request has not been answered yet, no error is sent, and the connection is closed after the
        answer to that request.
        """
        state, self.state = self.state, ConnectionState.REFUSED
        if state is ConnectionState.REFUSED or self.transport.is_closing():
            return
        self._limiter.count(status)
        now, cycle = self._limiter.monotonic(), self.cycle
        if state is ConnectionState.HEAD and self.is_owed:
            cycle.keep_alive = False
            self.deadline = now + self._limits.answer_seconds
            return
        self.deadline = now + self._limits.linger_seconds
        if state is ConnectionState.BODY and (self.pipeline or cycle.response_started):
            self.transport.abort()
            return
        phrase = HTTPStatus(status).phrase
        text = f"{phrase}: {why}\n"
        head = f"content-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
        self.transport.write(f"HTTP/1.1 {status} {phrase}\r\n{head}{text}".encode())
        if state is ConnectionState.BODY:  # makes the application stop reading the body
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write_eof()
        self.flow.resume_reading()


def _address(host: str) -> str:
    """Return *host* in canonical form if it is an IP address. Otherwise, return it unchanged."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
