"""The server that runs a receiver until a signal stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvloop

from voicectl.http_server import Server, config, handlers_restored
from voicectl.interrupts import Echoes
from voicectl.store.events import TOKEN_SECONDS, Query, Route
from voicectl.webhook.call_answers import MAX_TOKENS, SeenTokens
from voicectl.webhook.connection_limits import ConnectionState
from voicectl.webhook.event_writer import EventWriter
from voicectl.webhook.receiver import Receiver
from voicectl.webhook.status import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import uvicorn

    from voicectl.store.events import Arrival, EventStore, Kept
    from voicectl.webhook.connection_limits import ConnectionLimiter
    from voicectl.webhook.settings import Settings

HOST = "127.0.0.1"
PORT = 3000

KEEPING_SHARE = 0.3
"""The fraction of the grace time at the end that is reserved for writing events to the event store."""

_TICK_SECONDS = 0.1  # the same as uvicorn's
_BACKLOG = 1024


def listen(host: str = HOST, port: int = PORT) -> socket.socket:
    """Return a socket that listens on *port* at *host*, an address of this machine. Port 0 means any free port.

    Raises:
        OSError: The address or port is not available.
        ValueError: *host* is not an address. An empty string is refused, because it would mean all addresses.
    """
    if not host.isprintable() or not host or " " in host:
        raise ValueError("no address")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def serve(
    settings: Settings,
    sock: socket.socket,
    on_ready: Callable[[], None] = lambda: None,
    *,
    echoes: Echoes | None = None,
) -> None:
    """Serve requests on *sock* until SIGINT, SIGTERM or SIGHUP is received, and then close *sock*.

    A second signal ends the process immediately.

    Args:
        on_ready: Called when the server begins to answer requests.
        echoes: The caller's filter for repeated signals, or None to use a new filter.
    """
    caught: list[int] = []
    echoes = echoes or Echoes()

    async def main() -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()

        def on_signal(signum: int) -> None:
            if echoes.is_echo(signum):
                return
            if caught:
                os._exit(128 + signum)
            caught.append(signum)
            stopping.set()

        for signum in ends:
            loop.add_signal_handler(signum, on_signal, signum)
        await serve_until(settings, sock, on_ready, stopping)

    known = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ends = [signum for signum in known if signal.getsignal(signum) != signal.SIG_IGN]
    with handlers_restored(ends), sock:
        run(main())


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* on a uvloop event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def serve_until(
    settings: Settings, sock: socket.socket, on_ready: Callable[[], None], stopping: asyncio.Event
) -> None:
    """Serve requests on *sock* until *stopping* is set, and then store the events that are not stored yet."""
    metrics = Metrics()
    tokens = SeenTokens()
    writer = _writer(settings, metrics, tokens)
    _show_state(metrics, settings.limiter, writer)
    receiver = Receiver(settings, writer=writer, metrics=metrics, tokens=tokens)
    answering_seconds = settings.grace_seconds * (1 - KEEPING_SHARE)
    http_config = config(receiver, settings.limiter.protocol)
    server = _Server(http_config, settings.limiter, on_ready, stopping, answering_seconds)
    loop = asyncio.get_running_loop()
    try:
        await server.serve(sockets=[sock])
    finally:
        await receiver.close(max(server.stopped_at + answering_seconds - loop.time(), 0.0))
        await writer.close(max(server.stopped_at + settings.grace_seconds - loop.time(), 0.0))


def _writer(settings: Settings, metrics: Metrics, tokens: SeenTokens) -> EventWriter:
    """Return the event writer. When it opens the event store, it adds the tokens in the store to *tokens*."""
    loop = asyncio.get_running_loop()

    def open_store() -> EventStore:
        store = settings.open_store()
        try:
            since = settings.clock.time() - TOKEN_SECONDS
            asked = Query(kinds=(Route.ANSWER, Route.FALLBACK), since=since, last=MAX_TOKENS)
            found = [(each.jti, each.key) for _, each, _ in store.find(asked) if each.jti is not None]
        except BaseException:
            store.close()
            raise
        loop.call_soon_threadsafe(tokens.remember, found)
        return store

    def on_kept(pairs: list[tuple[Arrival, Kept]]) -> None:
        metrics.kept(pairs)
        settings.on_kept(pairs)

    return EventWriter(
        open_store,
        settings.spool,
        on_kept=on_kept,
        on_trouble=settings.warn,
        retry_seconds=settings.retry_seconds,
    )


def _show_state(metrics: Metrics, limiter: ConnectionLimiter, writer: EventWriter) -> None:
    metrics.show("connections", "Connections open.", lambda: limiter.connections)
    metrics.show(
        "connections_unfinished",
        "Connections with an incomplete request.",
        lambda: sum(state in (ConnectionState.HEAD, ConnectionState.BODY) for state in limiter.states()),
    )
    metrics.show(
        "refused", "Requests refused by the connection limits.", lambda: sum(limiter.refused.values())
    )
    metrics.show("waiting", "Webhooks that are not stored yet.", lambda: writer.waiting)
    metrics.show("spooled", "Spool files that are waiting for the store.", lambda: writer.spooled)
    metrics.show("store_up", "1 if the store can be used, else 0.", lambda: writer.has_store)


class _Server(Server):
    """A uvicorn server that stops when *stopping* is set, and regularly enforces the limiter's deadlines."""

    def __init__(
        self,
        config: uvicorn.Config,
        limiter: ConnectionLimiter,
        on_ready: Callable[[], None],
        stopping: asyncio.Event,
        grace_seconds: float,
    ) -> None:
        super().__init__(config)
        self._limiter = limiter
        self._on_ready = on_ready
        self._stopping = stopping
        self._grace_seconds = grace_seconds
        self.stopped_at = 0.0

    async def main_loop(self) -> None:
        self._on_ready()
        ticks = 0
        while not self._stopping.is_set():
            await self.on_tick(ticks)
            self._limiter.sweep()
            ticks = (ticks + 1) % 864_000
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._stopping.wait()
        self.stopped_at = asyncio.get_running_loop().time()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 (closed by its owner)
        tasks, connections = self.server_state.tasks, self.server_state.connections
        for server in self.servers:
            server.close()
        for connection in list(connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        until = self.stopped_at + self._grace_seconds
        while (tasks or connections) and loop.time() < until:
            await asyncio.sleep(0.005)  # some responses may not be sent yet
            self._limiter.sweep()
        await self.break_off(turns=3)
