"""Small servers on loopback that record each byte they read and send canned answers."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from .waiting import PATIENCE_SECONDS

LOOPBACK = "127.0.0.1"
LEG = "63f61863-4a51-4f6b-86e1-46edebcf9356"


@dataclass(frozen=True)
class Request:
    """One HTTP request as it was read."""

    raw: bytes

    @cached_property
    def _head(self) -> list[str]:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")

    @property
    def method(self) -> str:
        return self._head[0].split(" ")[0]

    @property
    def target(self) -> str:
        return self._head[0].split(" ")[1]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @cached_property
    def headers(self) -> dict[str, str]:
        """The headers, by their names in lower case."""
        pairs = (line.partition(":") for line in self._head[1:])
        return {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the JSON body, or else of the query."""
        return self.json if self.body else self.query

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass(frozen=True)
class Drip:
    """A reply that is sent a few bytes at a time."""

    content: bytes
    pause: float
    step: int = 1


Answer = bytes | Drip | Callable[[Request], "bytes | Drip"]


def reply(status: int = 200, body: object = b"", **headers: str) -> bytes:
    """Return a whole HTTP reply; *body* is bytes or becomes JSON, and ``content_type="x"`` is a header."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content_type": "application/json", "content_length": str(len(content))} | headers
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def page(*records: dict[str, Any], following: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the body of a page of call records.

    Args:
        following: The href of ``_links.next``.
    """
    links = {} if following is None else {"next": {"href": following}}
    return {"count": len(records), "_embedded": {"calls": list(records)}, "_links": links, **more}


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request; None if the peer sends no more."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = Request(head).headers.get("content-length", "0")
        return Request(head + await reader.readexactly(int(length)))
    except (asyncio.IncompleteReadError, OSError):
        return None


class Listener:
    """A TCP server on a free port of loopback, with an event loop and thread of its own while the block runs.

    Args:
        tls: The TLS context; None for plain TCP.

    Attributes:
        connections: Number of accepted connections (with TLS: of completed handshakes).
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.port = 0
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[Exception] = []

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle a connection, which is closed afterwards."""
        raise NotImplementedError

    def adopt(self, writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
        """Close *writer* at the end in any case."""
        self._writers.add(writer)
        return writer

    def drop(self) -> None:
        """Abort all open connections."""

        def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def __enter__(self) -> Self:
        ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="listener")
        self._thread.start()
        self._loop, self._stopping = ready.result(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        if self._failures:
            raise self._failures[0]

    async def _main(self, ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # failed handshakes
        server = await asyncio.start_server(self._accept, LOOPBACK, 0, ssl=self._tls, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        ready.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()
        for sock in server.sockets:
            asyncio.get_running_loop().remove_reader(sock)
        # Sockets accepted just now become connections first: a closed server would lose them.
        for _ in range(2):
            await asyncio.sleep(0)
        server.close()
        for _ in range(3):  # a connection may have been accepted just now
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.adopt(writer)
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                await self.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the server stops
        except Exception as exc:  # noqa: BLE001 (of the test itself: raised where it can be seen)
            self._failures.append(exc)
        finally:
            writer.close()


class Canned(Listener):
    """A server that sends each of its *answers* in turn, and then repeats the last one.

    Args:
        keeps: Keep connections open for the next request, unless the client asks for them to be closed.

    Attributes:
        requests: The requests received.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None, keeps: bool = True) -> None:
        super().__init__(tls=tls)
        self._answers = list(answers)
        self._keeps = keeps
        self.requests: list[Request] = []

    async def answer(self, request: Request) -> bytes | Drip:
        """Return the answer to *request*."""
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(request) if callable(answer) else answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            self.requests.append(request)
            content = await self.answer(request)
            if isinstance(content, Drip):
                for start in range(0, len(content.content), content.step):
                    writer.write(content.content[start : start + content.step])
                    await writer.drain()
                    await asyncio.sleep(content.pause)
                return
            writer.write(content)
            await writer.drain()
            is_framed = b"content-length:" in content.lower()
            wants_more = request.headers.get("connection", "").lower() != "close"
            if not (self._keeps and is_framed and wants_more):
                return


class Eavesdropper(Listener):
    """A server that reads and never answers.

    Attributes:
        read: All bytes received.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.read = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65_536):
            self.read += part
            if not self._tls:
                return  # plain bytes that are not HTTP
