"""A TCP proxy that cuts, stalls, delays or slices a connection at a chosen byte, and counts the traffic."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from .servers import Listener, Request, read_request


class Side(Enum):
    """A half of an exchange."""

    REQUEST = "request"
    REPLY = "reply"


class What(Enum):
    """The effect of a fault at its byte."""

    CUT = "the connection ends"
    STALL = "nothing more comes"
    DELAY = "the rest comes later"
    SLICE = "the rest comes byte by byte"


@dataclass(frozen=True)
class Fault:
    """A fault on each connection that begins with a request of *method*.

    Attributes:
        at: Number of bytes of that side that are passed on before.
        seconds: The pause of a delay, or between two bytes of a slice.
        is_abrupt: True to cut with a reset rather than an orderly close.
        method: The HTTP method; empty for all.
    """

    what: What
    side: Side
    at: int = 0
    seconds: float = 0.0
    is_abrupt: bool = False
    method: str = "POST"


def cut(side: Side, at: int, *, abrupt: bool = False, method: str = "POST") -> Fault:
    return Fault(What.CUT, side, at, is_abrupt=abrupt, method=method)


class FaultProxy(Listener):
    """A proxy in front of a server.

    Args:
        upstream: The server's base URL.

    Attributes:
        fault: The fault on connections that begin from now on.
        on_request: Called with each request when it has been read whole, before any of it is passed on.
        requests: The requests that were read whole.
        forwarded: The requests that were passed on whole.
        reply_sizes: Bytes that the server sent, by connection.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = urlsplit(upstream)
        self.fault: Fault | None = None
        self.on_request: Callable[[Request], None] = lambda _: None
        self.requests: list[Request] = []
        self.forwarded: list[Request] = []
        self.reply_sizes: list[int] = []

    @property
    def posts(self) -> list[Request]:
        """Return the POSTs that reached the proxy."""
        return [request for request in self.requests if request.method == "POST"]

    @property
    def forwarded_posts(self) -> list[Request]:
        """Return the POSTs that reached the server."""
        return [request for request in self.forwarded if request.method == "POST"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if request is None:
            return
        fault = self.fault
        if fault is not None and fault.method not in ("", request.method):
            fault = None
        assert self._upstream.hostname is not None
        from_server, to_server = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        self.adopt(to_server)
        answering = asyncio.create_task(self._pass_replies(from_server, writer, fault))
        asking = asyncio.create_task(self._pass_requests(request, reader, to_server, fault))
        try:
            done, _ = await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
            to_server.close()
            if fault is not None and fault.is_abrupt:
                _reset(writer)

    async def _pass_requests(
        self,
        request: Request | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: Fault | None,
    ) -> None:
        while request is not None:
            self.requests.append(request)
            self.on_request(request)
            if fault is not None and fault.side is Side.REQUEST:
                if not await _misbehave(writer, request.raw, fault):
                    return
            else:
                writer.write(request.raw)
                await writer.drain()
            self.forwarded.append(request)
            request = await read_request(reader)

    async def _pass_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None
    ) -> None:
        passed, index = 0, len(self.reply_sizes)
        self.reply_sizes.append(0)
        with suppress(OSError):
            while part := await reader.read(65_536):
                self.reply_sizes[index] += len(part)
                if fault is not None and fault.side is Side.REPLY and passed + len(part) > fault.at >= passed:
                    if not await _misbehave(writer, part, fault, passed):
                        return
                else:
                    writer.write(part)
                    await writer.drain()
                passed += len(part)


async def _misbehave(writer: asyncio.StreamWriter, content: bytes, fault: Fault, passed: int = 0) -> bool:
    """Pass *content* on, applying *fault*; return False if the connection must end."""
    before, after = content[: fault.at - passed], content[fault.at - passed :]
    writer.write(before)
    await writer.drain()
    match fault.what:
        case What.CUT:
            return False
        case What.STALL:
            await asyncio.sleep(3600)
        case What.DELAY:
            await asyncio.sleep(fault.seconds)
            writer.write(after)
        case What.SLICE:
            for byte in after:
                await asyncio.sleep(fault.seconds)
                writer.write(bytes([byte]))
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
