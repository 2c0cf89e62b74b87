"""Send signed webhooks as load: at a rate, or as fast as they are answered.

At a rate, the time of a request is measured from when it was due, not from when it could be sent. A receiver that
falls behind therefore shows long times.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvloop

from voicectl import tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATUSES = ("started", "ringing", "answered", "completed")


@dataclass(frozen=True)
class Account:
    """The application and account that sign the webhooks."""

    application_id: str
    api_key: str
    secret: str


@dataclass
class Result:
    """The result of a load.

    Attributes:
        statuses: Number of replies with each HTTP status; 0 stands for no reply.
        milliseconds: The time of each request.
        acknowledged: The leg and status of each event that was answered with 200.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")

    @property
    def per_second(self) -> float:
        return len(self.acknowledged) / self.seconds


@dataclass(frozen=True)
class Prepared:
    """A signed request, ready to send."""

    leg: str
    status: str
    content: bytes


def prepare(url: str, account: Account, count: int) -> Iterator[Prepared]:
    """Yield *count* different status events, four for each leg."""
    parts = urlsplit(url)
    for number in range(count):
        status = STATUSES[number % 4]
        if status == STATUSES[0]:
            leg, conversation = str(uuid.uuid4()), f"CON-{uuid.uuid4()}"
        fields = {
            "headers": {},
            "from": "447700900456",
            "to": "447700900123",
            "uuid": leg,
            "conversation_uuid": conversation,
            "status": status,
            "direction": "outbound",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        body = json.dumps(fields, separators=(",", ":")).encode()
        token = tokens.webhook_token(
            body,
            secret=account.secret,
            api_key=account.api_key,
            application_id=account.application_id,
            now=time.time(),
        )
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield Prepared(leg, status, head.encode() + body)


class Connection(asyncio.Protocol):
    """A persistent connection for one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, content: bytes) -> asyncio.Future[int]:
        """Send a request, and return the future status of its reply; 0 if none comes."""
        self._answer = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self._answer.set_result(0)
        else:
            self.transport.write(content)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]
        if len(body) >= int(length or 0):
            self._read = b""
            self._end(int(head[9:12]))

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end(0)

    def _end(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


def at_rate(url: str, account: Account, *, rate: float, seconds: float, connections: int = 64) -> Result:
    """Send *rate* webhooks a second for *seconds*."""
    return uvloop.run(send_at_rate(url, prepare(url, account, int(rate * seconds)), rate, connections))


def at_full_load(
    url: str,
    account: Account,
    *,
    count: int,
    connections: int = 64,
    on_start: Callable[[], None] = lambda: None,
) -> Result:
    """Send *count* prepared webhooks, each as soon as its connection has the previous reply."""
    return uvloop.run(_send_at_full_load(url, list(prepare(url, account, count)), connections, on_start))


async def connect(url: str) -> Connection:
    """Connect to the host of *url*."""
    parts = urlsplit(url)
    _, connection = await asyncio.get_running_loop().create_connection(Connection, parts.hostname, parts.port)
    return connection


async def send_at_rate(url: str, requests: Iterator[Prepared], rate: float, connections: int) -> Result:
    """Send the requests as :func:`at_rate` does, on the running loop."""
    result = Result()
    free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
    for _ in range(connections):
        free.put_nowait(None)  # connected on first use
    started = time.perf_counter()

    async def deliver(connection: Connection | None, request: Prepared, due: float) -> None:
        if connection is None or connection.transport.is_closing():
            connection = await connect(url)
        status = await connection.send(request.content)
        _count(result, request, status, due)
        free.put_nowait(connection if status else None)

    async with asyncio.TaskGroup() as tasks:
        for number, request in enumerate(requests):
            due = started + number / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            tasks.create_task(deliver(await free.get(), request, due))
    result.seconds = time.perf_counter() - started
    _close(free)
    return result


async def _send_at_full_load(
    url: str, requests: list[Prepared], connections: int, on_start: Callable[[], None]
) -> Result:
    result, left = Result(), iter(requests)
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await connect(url))
    on_start()
    started = time.perf_counter()

    async def go_on() -> None:
        connection = free.get_nowait()
        for request in left:
            due = time.perf_counter()
            status = await connection.send(request.content)
            _count(result, request, status, due)
            if not status:
                return
        free.put_nowait(connection)

    await asyncio.gather(*(go_on() for _ in range(connections)))
    result.seconds = time.perf_counter() - started
    _close(free)
    return result


def _count(result: Result, request: Prepared, status: int, due: float) -> None:
    result.milliseconds.append((time.perf_counter() - due) * 1000)
    result.statuses[status] += 1
    if status == 200:
        result.acknowledged.append((request.leg, request.status))


def _close(connections: asyncio.Queue[Connection] | asyncio.Queue[Connection | None]) -> None:
    for _ in itertools.repeat(None, connections.qsize()):
        connection = connections.get_nowait()
        if connection is not None:
            connection.transport.close()
