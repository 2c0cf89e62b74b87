"""A receiver on a real port, with a store and a spool on a real disk, and clients that send it bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.clock import FakeClock
from tests.support.waiting import PATIENCE_SECONDS
from voicectl import http_server
from voicectl.loopback import is_loopback
from voicectl.store.event_stores import open_events
from voicectl.store.events import Arrival, EventStore, Kept, Outcome, Query, Stored
from voicectl.store.events_spool import Spool
from voicectl.webhook import server
from voicectl.webhook.connection_limits import LIMITS, ConnectionLimiter, Limits
from voicectl.webhook.settings import Settings
from voicectl.webhook.signature import Verifier
from voicectl.webhook.warnings import Warnings

from .signing import API_KEY, APPLICATION, NOW, SECRET, event, token


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A client's connection."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str | None = None) -> None:
        self.sock = socket.create_connection(
            (host, port), PATIENCE_SECONDS, source_address=None if source is None else (source, 0)
        )
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, content: bytes) -> Self:
        self.sock.sendall(content)
        return self

    def ask(self, *args: Any, **options: Any) -> Reply:
        return self.send(request(*args, **options)).reply()

    def reply(self) -> Reply:
        """Read the next reply; fail if the connection ends before."""
        while b"\r\n\r\n" not in self._left:
            self._read()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._left) < length:
            self._read()
        body, self._left = self._left[:length], self._left[length:]
        return Reply(int(first.split(" ")[1]), headers, body)

    def is_closed(self) -> bool:
        """Return True if the other side closes the connection without a further byte."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _read(self) -> None:
        part = self.sock.recv(65_536)
        if not part:
            raise ConnectionError(f"it was closed after {self._left!r}")
        self._left += part


def request(
    method: str = "POST",
    target: str = "/webhooks/event",
    body: bytes = b"",
    headers: Sequence[tuple[str, str]] = (),
    *,
    host: str = "127.0.0.1",
) -> bytes:
    """Return the bytes of a request, with a Content-Length unless *headers* set the framing."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def signed_request(
    body: bytes | None = None,
    route: str = "event",
    *,
    headers: Sequence[tuple[str, str]] = (),
    **changes: Any,
) -> bytes:
    """Return a request as the platform sends it, with *changes* to its token's claims."""
    content = event() if body is None else body
    authorization = ("Authorization", f"Bearer {token(content, **changes)}")
    return request("POST", f"/webhooks/{route}", content, [authorization, *headers])


class Held:
    """A store that blocks until the test releases it.

    Attributes:
        is_asked: Set once an event is to be added.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.arrivals: list[Arrival] = []
        self.is_asked = threading.Event()
        self._may_go = threading.Event()

    def find(self, query: Query) -> Iterator[Stored]:
        return iter(())

    def go(self) -> None:
        self._may_go.set()

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        self.is_asked.set()
        assert self._may_go.wait(PATIENCE_SECONDS)
        self.arrivals += arrivals
        return [Kept(Outcome.NEW, len(self.arrivals))] * len(arrivals)

    def close(self) -> None:
        return


@dataclass
class Serving:
    """A running receiver.

    Attributes:
        warnings: The warnings so far.
        kept: The kept events, as reported.
    """

    url: str
    directory: Path
    clock: FakeClock
    limiter: ConnectionLimiter
    warnings: list[str] = field(default_factory=list, init=False, repr=False)
    kept: list[tuple[Arrival, Kept]] = field(default_factory=list, init=False, repr=False)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> Client:
        return Client(self.port, **options)

    def ask(self, content: bytes) -> Reply:
        """Send one request over a new connection and return the reply."""
        with self.client() as client:
            return client.send(content).reply()

    def stored(self) -> list[Stored]:
        """Return all events in the store."""
        with closing(open_store(self.directory)) as store:
            return list(store.find(Query()))

    def spooled(self) -> list[Path]:
        return list(Spool(self.directory / "spool").files())


def open_store(directory: Path) -> EventStore:
    return open_events(None, directory, APPLICATION)


@contextmanager
def serving(
    directory: Path,
    *,
    limits: Limits = LIMITS,
    proxies: Sequence[str] = (),
    is_local: Callable[[str], bool] = is_loopback,
    secrets: Callable[[], Mapping[str | None, tuple[str, ...]]] | None = None,
    is_verified: bool = True,
    sock: socket.socket | None = None,
    **setup: Any,
) -> Iterator[Serving]:
    """Run a receiver on the clocks of the test."""
    clock = FakeClock(NOW)
    limiter = ConnectionLimiter(limits=limits, proxies=proxies, is_local=is_local, monotonic=clock.monotonic)
    known = {API_KEY: (SECRET,)}
    verifier = Verifier(secrets or (lambda: known), application_id=APPLICATION, now=clock.time)
    found = Serving("", directory, clock, limiter)
    settings: dict[str, Any] = {
        "open_store": lambda: open_store(directory),
        "spool": Spool(directory / "spool"),
        "verifier": verifier if is_verified else None,
        "limiter": limiter,
        "clock": clock,
        "retry_seconds": 0.02,
        "on_kept": found.kept.extend,
        "warn": Warnings(found.warnings.append, monotonic=clock.monotonic),
    }
    with running(Settings(**settings | setup), sock or server.listen(port=0)) as found.url:
        yield found


@contextmanager
def running(settings: Settings, sock: socket.socket) -> Iterator[str]:
    """Serve from a thread while the block runs, and yield the base URL."""

    async def serve(on_ready: Callable[[Callable[[], None]], None]) -> None:
        stopping = asyncio.Event()
        await server.serve_until(settings, sock, lambda: on_ready(stopping.set), stopping)

    with sock:
        url = http_server.url(sock)
        with http_server.in_thread(serve, run=server.run):
            yield url
