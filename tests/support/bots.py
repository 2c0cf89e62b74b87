"""Voice bots: real WebSocket servers on loopback, as a bot's developer would write them."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from .waiting import PATIENCE_SECONDS, eventually

LOOPBACK = "127.0.0.1"

Message = bytes | str


async def nothing(*_: object) -> None:
    """Do nothing but listen."""


async def echo(connection: ServerConnection, message: Message) -> None:
    """Send back the audio that is heard."""
    if isinstance(message, bytes):
        await connection.send(message)


def saying(*messages: Message, then: int | None = None) -> Callable[[ServerConnection], Awaitable[None]]:
    """Send *messages* once connected, as fast as they go.

    Args:
        then: The code with which to close the connection afterwards.
    """

    async def say(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        if then is not None:
            await connection.close(then)

    return say


class Bot:
    """A WebSocket server on a free port, with an event loop and thread of its own while the block runs.

    Args:
        on_open: Runs when it is connected, while it listens.
        on_message: Runs on each message.
        answer: A status and headers that refuse the handshake; None accepts it.
        reads: False to read no messages until :meth:`read` is called.
        tls: The TLS context; None for plain TCP.

    Attributes:
        handshakes: The handshake requests that it received.
        messages: The messages of all connections, in order.
        closed: The close code of each connection; None for one that was lost.
    """

    def __init__(
        self,
        *,
        on_open: Callable[[ServerConnection], Awaitable[None]] = nothing,
        on_message: Callable[[ServerConnection, Message], Awaitable[None]] = nothing,
        answer: tuple[int, dict[str, str]] | None = None,
        reads: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.handshakes: list[Request] = []
        self.messages: list[Message] = []
        self.closed: list[int | None] = []
        self._on_open = on_open
        self._on_message = on_message
        self._answer = answer
        self._reads = reads
        self._tls = tls

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://{LOOPBACK}:{self._port}/bot"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the text messages, parsed."""
        return [json.loads(message) for message in list(self.messages) if isinstance(message, str)]

    @property
    def frames(self) -> list[bytes]:
        """Return the audio messages."""
        return [message for message in list(self.messages) if isinstance(message, bytes)]

    def read(self) -> None:
        """Start to read messages."""
        self._loop.call_soon_threadsafe(self._reading.set)

    def send(self, message: Message) -> None:
        """Send *message* on the latest connection."""
        asyncio.run_coroutine_threadsafe(self._connection.send(message), self._loop).result(PATIENCE_SECONDS)

    def until(self, happened: Callable[[], object]) -> None:
        """Wait, in real time, for a condition."""
        eventually(happened, "it never happened")

    def __enter__(self) -> Self:
        ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="bot")
        self._thread.start()
        self._port, self._loop, self._stopping = ready.result(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    async def _main(self, ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        stopping = asyncio.Event()
        self._reading = asyncio.Event()
        async with serve(
            self._serve,
            LOOPBACK,
            0,
            process_request=self._meet,
            ssl=self._tls,
            ping_interval=None,
            close_timeout=0.1,
        ) as server:
            port = server.sockets[0].getsockname()[1]
            ready.set_result((port, asyncio.get_running_loop(), stopping))
            await stopping.wait()
            self._reading.set()

    def _meet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        if self._answer is None:
            return None
        status, headers = self._answer
        response = connection.respond(status, "")
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def _serve(self, connection: ServerConnection) -> None:
        if not self._reads:
            connection.transport.pause_reading()
            await self._reading.wait()
            connection.transport.resume_reading()
        opening = asyncio.create_task(self._open(connection))
        with suppress(ConnectionClosed):
            async for message in connection:
                self.messages.append(message)
                await self._on_message(connection, message)
        self.closed.append(connection.close_code)
        await opening

    async def _open(self, connection: ServerConnection) -> None:
        self._connection = connection
        with suppress(ConnectionClosed):
            await self._on_open(connection)
