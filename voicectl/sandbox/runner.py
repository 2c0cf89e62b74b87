"""Functions that serve a sandbox on a loopback address, in the foreground or in a thread.

A sandbox listens on a port for its base URL, and on one more port for each region.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from voicectl.http_server import Server, config, handlers_restored, in_thread, url
from voicectl.sandbox.http.app import app as app_of
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.tls.authority import Authority
from voicectl.sandbox.tls.proxy import Proxy
from voicectl.voice.call import Region

LOOPBACK = ("127.0.0.1", "::1")
"""The only addresses on which a sandbox can be served.

Other machines must not reach a sandbox, because any client can control the simulated parties.
"""

PORT = 4010
MAX_PORT = 65_535 - len(Region) - 1
"""The highest possible port of the base URL. The regions use the ports that follow, and HTTPS the one after those."""

GRACE_SECONDS = 2.0
"""How long a request that is in progress may continue after the server begins to stop, in seconds."""


class PortTaken(OSError):
    """Raised if a port is not available, so that the server cannot be started.

    Attributes:
        port: The port that is not available. A sandbox needs seven ports, and one more for HTTPS.
    """

    def __init__(self, port: int, exc: OSError) -> None:
        super().__init__(exc.errno, exc.strerror)
        self.port = port


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sockets:
    """The sockets on which a sandbox listens.

    Attributes:
        plain: The socket of the base URL, followed by those of the regions.
        tls: The socket for HTTPS, or None.
        proxy: The socket of the proxy that answers for the platform's hosts, or None.
        authority: The issuer of the certificates, or None if no socket needs any.
    """

    plain: list[socket.socket]
    tls: socket.socket | None = None
    proxy: socket.socket | None = None
    authority: Authority | None = None


def serve(
    sandbox: Sandbox,
    *,
    host: str = LOOPBACK[0],
    port: int = PORT,
    tls: Authority | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> int | None:
    """Serve *sandbox* until SIGINT, SIGTERM or a ``POST /sandbox/stop`` request is received.

    Args:
        sandbox: The sandbox, which can be served only once.
        host: A loopback address.
        port: The port of the base URL, at most ``MAX_PORT``. The regions use the next higher ports, in the order of
            :class:`Region`. If *port* is 0, free ports are chosen.
        tls: The issuer of the certificates with which the sandbox is also served by HTTPS, on the port after those of
            the regions. If it is None, the sandbox is not served by HTTPS.
        on_ready: A function that is called with the base URL as soon as the server accepts requests.

    Returns:
        The number of the signal that stopped the server, or None if a request stopped the server.

    Raises:
        PortTaken: A port is not available, so the server was not started.
        ValueError: *host* is not a loopback address.
    """
    caught: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def on_signal(signum: int) -> None:
            caught.append(signum)
            sandbox.stop()

        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, on_signal, signum)
        await _serve(sandbox, sockets, on_ready)

    with (
        handlers_restored((signal.SIGINT, signal.SIGTERM)),
        _listening(host, port, tls=tls) as sockets,
        _all_descriptors(),
    ):
        asyncio.run(main())
    return caught[0] if caught else None


@contextmanager
def running(sandbox: Sandbox, *, port: int = 0, intercept: Authority | None = None) -> Iterator[str]:
    """Serve *sandbox* in a thread for the duration of the ``with`` block, and yield the base URL.

    Args:
        sandbox: The sandbox, which can be served only once.
        port: The port of the base URL, as for :func:`serve`.
        intercept: The issuer of the certificates with which a proxy, at ``sandbox.proxy_url``, answers for the
            platform's hosts. So does ``sandbox.tls_url``, for programs that use no proxy. If it is None, there is
            neither.

    Raises:
        PortTaken: A port is not available, so the server was not started.
    """

    async def main(on_ready: Callable[[Callable[[], None]], None]) -> None:
        await _serve(sandbox, sockets, lambda _url: on_ready(sandbox.stop))

    with _listening(LOOPBACK[0], port, tls=intercept, intercept=intercept) as sockets, in_thread(main):
        yield sandbox.url


@contextmanager
def _all_descriptors() -> Iterator[None]:
    """Raise the limit on open files to its maximum for the duration of the ``with`` block.

    A high limit is needed because each connection uses a file descriptor.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems have a lower limit of their own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def _listening(
    host: str, port: int, *, tls: Authority | None = None, intercept: Authority | None = None
) -> Iterator[_Sockets]:
    """Open the sockets of a sandbox. Close the sockets at the end of the ``with`` block."""
    if host not in LOOPBACK:
        raise ValueError(f"{host!r} is not a loopback address; use {' or '.join(LOOPBACK)}")
    *ports, tls_port = range(port, port + 2 + len(Region)) if port else [0] * (2 + len(Region))
    with ExitStack() as opened:

        def listen(each: int) -> socket.socket:
            return opened.enter_context(_listen(host, each))

        yield _Sockets(
            plain=[listen(each) for each in ports],
            tls=listen(tls_port) if tls else None,
            proxy=listen(0) if intercept else None,
            authority=tls or intercept,
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Name TCP explicitly. Otherwise, asyncio leaves Nagle's algorithm on, and each response takes 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as exc:
        sock.close()
        raise PortTaken(port, exc) from exc
    return sock


async def _serve(sandbox: Sandbox, sockets: _Sockets, on_ready: Callable[[str], None]) -> None:
    sandbox.loop = asyncio.get_running_loop()
    sandbox.url, *regional = map(url, sockets.plain)
    sandbox.region_urls = dict(zip(map(str, Region), regional, strict=True))
    sandbox.tls_url = None if sockets.tls is None else url(sockets.tls, "https")
    sandbox.proxy_url = None if sockets.proxy is None else url(sockets.proxy)

    answering = app_of(sandbox)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):  # raised on shutdown, and the server would log it as an error
            await answering(scope, receive, send)

    # The front sets the Date header from the sandbox's host clock.
    http_config = config(app, _protocol(sandbox), loop="asyncio", date_header=False)
    server = _Server(http_config, sandbox, sockets, on_ready)
    async with asyncio.TaskGroup() as tasks:
        keeping_time = tasks.create_task(sandbox.keep_time())
        await server.serve(sockets=sockets.plain)
        keeping_time.cancel()


class _Server(Server):
    """A Uvicorn server that stops as soon as ``sandbox.stopping`` is set, and that also serves HTTPS and the proxy.

    The original Uvicorn server takes up to 100 ms to notice that it must stop.
    """

    def __init__(
        self, config: uvicorn.Config, sandbox: Sandbox, sockets: _Sockets, on_ready: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._sandbox = sandbox
        self._sockets = sockets
        self._on_ready = on_ready
        self._proxy: Proxy | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop, authority = asyncio.get_running_loop(), self._sockets.authority
        if authority is None:
            return
        if self._sockets.tls is not None:
            context = authority.context_by_name
            server = await loop.create_server(self._new_protocol, sock=self._sockets.tls, ssl=context)
            self.servers.append(server)
        if self._sockets.proxy is not None:
            self._proxy = Proxy(authority, self._new_protocol, lambda: self._sandbox.log)
            server = await loop.create_server(self._proxy.new_connection, sock=self._sockets.proxy)
            self.servers.append(server)

    def _new_protocol(self) -> asyncio.Protocol:
        """Return a new protocol for a connection of any kind, as Uvicorn makes them for plain ones."""
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def main_loop(self) -> None:
        self._on_ready(self._sandbox.url)
        await self._sandbox.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 (closed by serve)
        loop, tasks = asyncio.get_running_loop(), self.server_state.tasks
        for sock in (sock for server in self.servers for sock in server.sockets):
            loop.remove_reader(sock)
        # First let a socket that was just accepted become a connection. A closed server would lose the socket.
        for _ in range(2):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        if self._proxy is not None:
            self._proxy.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        await self.break_off(turns=1)


def _protocol(sandbox: Sandbox) -> type[H11Protocol]:
    """Return a Uvicorn protocol class that registers each connection with *sandbox*, so that a fault can close it."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            sandbox.connections[self.client, self.server] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            sandbox.connections.pop((self.client, self.server), None)
            super().connection_lost(exc)

    return Protocol
