"""An open WebSocket, which is a connection to a server that acts as the party on a leg.

This module needs the extra ``websocket``, so :mod:`voicectl.sandbox.sockets.bridge` imports this module only when a
leg calls a WebSocket.

Source: Vonage WebSocket documentation.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from voicectl import strict_json
from voicectl.sandbox.log import Log
from voicectl.sandbox.sockets.audio import FRAME_MS, Feed, Playout, SoundCache, frame_bytes
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.sounds import Heard
from voicectl.sandbox.telephony.state import Leg

MAX_MESSAGE = 4 * 1024 * 1024
"""The maximum size of a message, in bytes. A larger message ends the connection.

At 24,000 samples per second, this size corresponds to more audio than the buffer holds.
"""

MAX_TEXT = 64 * 1024
"""The maximum length of a text message, in characters. Longer text messages have no effect."""

MAX_DEPTH = 100
MAX_REPLIES = 3072
"""The maximum number of replies that wait for a slow server. Further replies are dropped."""

CLOSE_SECONDS = 1.0
"""The time limit for the server's response to a close message, in seconds on the host clock."""

SEND_BUFFER = 128 * 1024
"""The size of the send buffer, in bytes.

It holds a few seconds of audio. The default size would hold minutes of audio.
"""

TEXTS_LOGGED = 20
TEXT_SHOWN = 200
"""The maximum number of characters from a server's text message that are shown in a log entry."""

NORMAL = 1000


class Refused(Exception):
    """Raised if a WebSocket connection cannot be opened. The exception's message gives the reason."""


class _Connect(connect):
    """A connection attempt that does not follow redirects.

    A redirect could lead to a host that is not allowed.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(leg: Leg, address: str, authorization: str, seconds: float) -> ClientConnection:
    """Connect to the WebSocket that *leg* calls, and send the first message.

    Args:
        leg: The leg that calls the WebSocket.
        address: The URI with the scheme, host and port to connect to. The ``Host`` header is that of the leg's URI.
        authorization: The value of the Authorization header.
        seconds: The time limit for the handshake, in seconds on the host clock.

    Raises:
        Refused: The connection failed.
    """
    to = urlsplit(address)
    is_secure = to.scheme == "wss"
    try:
        connection = await _Connect(
            urlsplit(leg.to["uri"])._replace(scheme=to.scheme).geturl(),
            host=to.hostname,
            port=to.port or (443 if is_secure else 80),
            server_hostname=to.hostname if is_secure else None,
            additional_headers={"Authorization": authorization},
            user_agent_header="voicectl-sandbox",
            compression=None,
            proxy=None,  # the user's proxies are not meant for loopback addresses
            open_timeout=seconds,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,  # a server that is stopped in a debugger must stay connected
            max_size=MAX_MESSAGE,
        )
        with suppress(ConnectionClosed, OSError):  # the receiving task handles a closed connection
            raw: socket.socket = connection.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            await connection.send(json.dumps(_connected(leg)))
    except (OSError, WebSocketException, ValueError) as exc:  # TimeoutError is an OSError
        raise Refused((str(exc) or type(exc).__name__)[:TEXT_SHOWN]) from exc
    return connection


class WebSocket:
    """A party that hears and speaks through a WebSocket connection.

    Each WebSocket has one task that sends messages and one that receives messages, so that a slow server does not
    delay other servers.

    Args:
        leg: The leg that called the WebSocket.
        on_change: A function that is called when audio arrives while no other audio is waiting to be played.
        on_close: A function that is called with this WebSocket when the connection is closed by the server or lost.
    """

    def __init__(
        self,
        connection: ClientConnection,
        leg: Leg,
        *,
        exchange: Exchange,
        log: Log,
        cache: SoundCache,
        on_change: Callable[[], None],
        on_close: Callable[[WebSocket], None],
    ) -> None:
        self.leg = leg
        rate = int(leg.to["content-type"].rpartition("=")[2])
        self.playout = Playout(exchange, leg, rate, cache, self._reply)
        self._connection = connection
        self._frame = frame_bytes(rate)
        self._exchange = exchange
        self._log = log
        self._on_change = on_change
        self._on_close = on_close
        self._feed = Feed(leg, rate, exchange.now)
        self._replies: deque[str] = deque()
        self._texts = 0
        self._remarked: set[str] = set()
        self._close_code: int | None = None
        self._woken = asyncio.Event()
        self._has_sent = asyncio.Event()
        self._handing_over: asyncio.Task[None] | None = None
        self._sending = asyncio.create_task(self._send())
        self._receiving = asyncio.create_task(self._receive())

    def press(self, heard: Heard) -> None:
        """Send each key press in the sound *heard* when the key press is due."""
        self._feed.press(heard)
        self.wake()

    def wake(self) -> None:
        """Wake the task that sends messages, if any messages are due or the connection must be closed."""
        if self._sending.done():
            return
        if self._replies or self._feed.is_due(self._until) or self._close_code is not None:
            self._has_sent.clear()
            self._woken.set()

    async def hand_over(self, seconds: float) -> None:
        """Send the messages that are due and then a ping, and wait until the server has answered the ping.

        The wait lasts at most *seconds* on the host clock. If the server takes longer, later calls return immediately
        until the server has answered.
        """
        self.wake()
        if self._handing_over is not None and not self._handing_over.done():
            return
        if not self._has_sent.is_set():
            self._handing_over = asyncio.create_task(self._see_arrive())
            await asyncio.wait([self._handing_over], timeout=seconds)

    def end(self, code: int = NORMAL) -> None:
        """Send the messages that are due, and then close the connection. Both happen in the background."""
        self.playout.stop()
        self._close_code = code
        self.wake()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the connection is closed. If it is still open after *seconds* on the host clock, abort it."""
        await asyncio.wait([self._sending, self._receiving], timeout=seconds)
        self._connection.transport.abort()
        await asyncio.wait([self._sending, self._receiving])

    @property
    def _until(self) -> int:
        return self._exchange.now if self.leg.ended_at is None else self.leg.ended_at

    async def _send(self) -> None:
        try:
            while self._close_code is None:
                if not self._woken.is_set():
                    self._has_sent.set()
                await self._woken.wait()
                self._woken.clear()
                while messages := await self._take():
                    for message in messages:
                        await self._connection.send(message)
                    await asyncio.sleep(0)  # sending does not yield to other tasks if the buffer has space
                if self._feed.lost_ms:
                    frames = self._feed.lost_ms // FRAME_MS
                    self._remark(
                        "fell behind", f"the server is reading too slowly: {frames} frames were not sent"
                    )
            await self._connection.close(self._close_code)
        except ConnectionClosed:
            pass  # the receiving task handles this
        finally:
            self._has_sent.set()

    async def _take(self) -> list[bytes | str]:
        if self._replies:
            replies: list[bytes | str] = [*self._replies]
            self._replies.clear()
            return replies
        if self._feed.has_sound:
            return await asyncio.to_thread(self._feed.take, self._until)
        return self._feed.take(self._until)

    async def _see_arrive(self) -> None:
        await self._has_sent.wait()
        # Send two pings: many servers' libraries answer the first before the server has seen the messages. With the
        # second answer, the server's immediate reply has also arrived, so runs with a frozen clock are repeatable.
        try:
            for _ in range(2):
                await (await self._connection.ping())
        except ConnectionClosed:
            await asyncio.wait([self._receiving])  # reports the end of the connection

    async def _receive(self) -> None:
        try:
            while True:
                message = await self._connection.recv()
                if isinstance(message, str):
                    self._read_text(message)
                elif message:
                    self._hear(message)
        except ConnectionClosed as exc:
            self._log.add("websocket", uuid=self.leg.uuid, event="closed", **self._how(exc))
        self._sending.cancel()
        if self._close_code is None:
            self._on_close(self)

    def _how(self, closed: ConnectionClosed) -> dict[str, Any]:
        """Return the log fields ``by``, ``code`` and ``reason``, which describe who closed the connection and why."""
        if closed.rcvd is not None and closed.rcvd_then_sent:
            by, code, reason = "server", int(closed.rcvd.code), closed.rcvd.reason
        elif self._close_code is not None:
            by, code, reason = "sandbox", self._close_code, ""
        elif closed.sent is not None:  # the server's message was too long, or broke the protocol
            by, code, reason = "sandbox", int(closed.sent.code), closed.sent.reason
        else:
            return {"by": "network", "code": None, "reason": "the connection was lost"}
        return {"by": by, "code": code, "reason": reason[:TEXT_SHOWN]}

    def _hear(self, message: bytes) -> None:
        if self._close_code is not None:
            return
        self._remark("first audio", "")
        if message.startswith(b"{") and _control(message.decode(errors="replace")):
            self._remark(
                "text in binary",
                "a binary message holds JSON; it was played as audio: send JSON as a text message",
            )
        if len(message) != self._frame:
            size = len(message)
            self._remark(
                "odd size", f"a message has {size} bytes; the platform expects {self._frame} (20 ms)"
            )
        was_idle = self.playout.is_idle
        if excess := self.playout.receive(message):
            self._remark(
                "overflow", f"audio was sent too far in advance: at least {excess} bytes were dropped"
            )
        if was_idle:
            self._on_change()

    def _read_text(self, message: str) -> None:
        """Carry out *message* if it is the control message ``clear`` or ``notify``. Other messages have no effect."""
        event = "text ignored"
        match _control(message):
            case {"action": "clear"}:
                event = "clear"
                self.playout.clear()
                self._reply(json.dumps({"event": "websocket:cleared"}))
            case {"action": "notify", "payload": dict(payload)}:
                notice = json.dumps({"event": "websocket:notify", "payload": payload})
                event = "notify" if self.playout.notify(notice) else event
        self._texts += 1
        if self._texts <= TEXTS_LOGGED:
            shown = message if len(message) <= TEXT_SHOWN else message[:TEXT_SHOWN] + "..."
            self._log.add("websocket", uuid=self.leg.uuid, event=event, text=shown)
        elif self._texts == TEXTS_LOGGED + 1:
            self._remark("many texts", "further text messages are not logged")

    def _reply(self, message: str) -> None:
        """Send *message* to the server as soon as possible, before any audio that is waiting to be sent."""
        if self._close_code is not None:
            return
        if len(self._replies) >= MAX_REPLIES:
            self._remark(
                "replies dropped", f"the server is reading too slowly: over {MAX_REPLIES} replies are waiting"
            )
            return
        self._replies.append(message)
        self.wake()

    def _remark(self, event: str, reason: str) -> None:
        """Log *event* with *reason*, but only the first time that it happens."""
        if event not in self._remarked:
            self._remarked.add(event)
            fields: dict[str, Any] = {"reason": reason} if reason else {}
            self._log.add("websocket", uuid=self.leg.uuid, event=event, **fields)


def _control(message: str) -> dict[str, Any]:
    """Return the fields of a text message. If it is too long or is not a JSON object, return no fields."""
    if len(message) > MAX_TEXT:
        return {}
    try:
        return strict_json.fields(strict_json.loads(message, max_depth=MAX_DEPTH))
    except (ValueError, RecursionError):
        return {}


def _connected(leg: Leg) -> dict[str, Any]:
    """Return the first message, which contains two standard fields and the endpoint's ``headers``.

    A header that has the name of a standard field is omitted.
    """
    own = {"event": "websocket:connected", "content-type": leg.to["content-type"]}
    return own | {name: value for name, value in leg.to.get("headers", {}).items() if name not in own}
