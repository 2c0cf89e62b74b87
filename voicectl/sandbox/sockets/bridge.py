"""Functions that open and close the WebSockets that legs call, and that send and play audio at the right time.

Source: Vonage WebSocket documentation; see also docs/sandbox-choices.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.sandbox.call_clock import CallClock
from voicectl.sandbox.destinations import OFF_LIMITS, Destinations
from voicectl.sandbox.log import Log
from voicectl.sandbox.sockets.audio import FRAME_MS, SoundCache
from voicectl.sandbox.telephony.effects import Open, SendSound
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.sounds import Sound
from voicectl.sandbox.telephony.state import Leg

if TYPE_CHECKING:  # the extra "websocket" may be missing
    from websockets.asyncio.client import ClientConnection

    from voicectl.sandbox.sockets.websocket import WebSocket

CONNECT_SECONDS = 5.0
"""The time limit for the handshake of a WebSocket, in seconds on the host clock."""

PATIENCE_SECONDS = 5.0
"""The maximum time that :meth:`Sockets.pump` waits for a server, in seconds on the host clock."""

CLOSE_SECONDS = 2.0
"""The time limit for closing all WebSockets, in seconds on the host clock."""

SHORTEST_WAIT_SECONDS = 0.002
"""The minimum wait between two frames, in seconds on the host clock.

The wait prevents a busy loop if the call clock is fast.
"""

GOING_AWAY = 1001


class Sockets:
    """The WebSockets of an exchange.

    Args:
        exchange: The exchange whose legs call the WebSockets.
        call_clock: The call clock, which determines the times of the messages.
        log: The log. A ``websocket`` entry is added for each change in the state of a connection.
        sign: A function that takes an application's id, and returns a signed token for the handshake.
        catch_up: A coroutine function that runs the exchange up to the current time, and performs the exchange's
            effects.
        destinations: The hosts that the sandbox may reach.

    Attributes:
        connect_seconds: The time limit for the handshake. The default is :data:`CONNECT_SECONDS`.
        patience_seconds: The maximum time that :meth:`pump` waits for a server. The default is
            :data:`PATIENCE_SECONDS`.
    """

    def __init__(
        self,
        exchange: Exchange,
        call_clock: CallClock,
        log: Log,
        *,
        sign: Callable[[str], str],
        catch_up: Callable[[], Awaitable[None]],
        destinations: Destinations,
    ) -> None:
        self._exchange = exchange
        self._call_clock = call_clock
        self._log = log
        self._sign = sign
        self._catch_up = catch_up
        self._destinations = destinations
        self.connect_seconds = CONNECT_SECONDS
        self.patience_seconds = PATIENCE_SECONDS
        self._cache = SoundCache()
        self._dialling: dict[str, asyncio.Task[ClientConnection]] = {}
        self._open: dict[str, WebSocket] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def next_due(self) -> int | None:
        """The time at which the next frame of audio is due, in milliseconds on the call clock.

        The value is None if no WebSocket is open. A call clock that is being advanced pauses at this time, so that
        servers can react promptly.
        """
        return (self._exchange.now // FRAME_MS + 1) * FRAME_MS if self._open else None

    async def open(self, effect: Open) -> Callable[[], None]:
        """Connect to the WebSocket that a leg calls, and send the first message.

        Returns:
            A function that reports the result to the exchange. The caller must call this function next.
        """
        leg = self._exchange.legs[effect.uuid]
        address = self._destinations.find(leg.to["uri"])
        if address is None:
            reason = OFF_LIMITS
        elif "@" in urlsplit(leg.to["uri"]).netloc:
            reason = (
                "the URI contains a user name or password, which is not supported: the handshake already sends an"
                " Authorization header"
            )
        else:
            try:
                return await self._dial(leg, address)
            except ImportError:
                reason = "WebSockets need the extra 'websocket' (pip install 'voicectl[websocket]')"
        return partial(self._refused, leg, reason)

    def close_leg(self, uuid: str) -> None:
        """Start to close the WebSocket of a leg that has ended. If the leg has no WebSocket, do nothing."""
        if uuid in self._dialling:
            self._dialling[uuid].cancel()
        socket = self._open.pop(uuid, None)
        if socket is not None:
            socket.end()
            self._see_off(socket)

    def sounding(self, effect: SendSound) -> None:
        """Send the key presses in *effect*, if any, to the server that hears them. Other sounds are sent as audio."""
        socket = self._open.get(effect.uuid)
        if socket is not None and effect.heard.prompt.sound is Sound.KEYS:
            socket.press(effect.heard)

    async def pump(self) -> None:
        """Exchange audio with all servers up to the current time: play what they send, and send what they hear.

        If a server does not receive its audio in time, later calls of this method do not wait for the server until it
        has caught up.
        """
        self._play()
        sockets = list(self._open.values())
        await asyncio.gather(*(socket.hand_over(self.patience_seconds) for socket in sockets))
        self._play()  # plays the audio with which servers answered immediately
        if self._ending:
            await asyncio.wait(self._ending)

    async def close(self) -> None:
        """Close all WebSockets within :data:`CLOSE_SECONDS`."""
        self._is_closed = True
        for dialling in self._dialling.values():
            dialling.cancel()
        while self._open:
            _, socket = self._open.popitem()
            socket.end(GOING_AWAY)
            self._see_off(socket)
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
        if self._ending:
            await asyncio.wait(self._ending)

    async def _dial(self, leg: Leg, address: str) -> Callable[[], None]:
        from voicectl.sandbox.sockets.websocket import Refused, dial  # noqa: PLC0415 (the extra may be missing)

        authorization = leg.to.get("authorization", {})
        is_custom = authorization.get("type") == "custom"
        value = authorization["value"] if is_custom else f"Bearer {self._sign(leg.application_id)}"
        dialling = asyncio.create_task(dial(leg, address, value, self.connect_seconds))
        self._dialling[leg.uuid] = dialling
        try:
            await asyncio.wait([dialling])
            connection = dialling.result()
        except asyncio.CancelledError:
            if not dialling.cancelled():  # this task was cancelled, not the dialling task
                dialling.cancel()
                raise
            return partial(self._refused, leg, "the call ended before the connection was open")
        except Refused as exc:
            return partial(self._refused, leg, str(exc))
        finally:
            del self._dialling[leg.uuid]
        self._connected(leg, connection)
        return partial(self._opened, leg)

    def _connected(self, leg: Leg, connection: ClientConnection) -> None:
        from voicectl.sandbox.sockets.websocket import WebSocket  # noqa: PLC0415 (see _dial)

        socket = WebSocket(
            connection,
            leg,
            exchange=self._exchange,
            log=self._log,
            cache=self._cache,
            on_change=self._woken.set,
            on_close=self._closed,
        )
        if leg.is_over or self._is_closed:
            socket.end()
            self._see_off(socket)
            return
        where = self._destinations.log_fields(leg.to["uri"])
        self._log.add("websocket", uuid=leg.uuid, event="connected", **where)
        self._open[leg.uuid] = socket
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())

    def _opened(self, leg: Leg) -> None:
        self._exchange.socket_opened(leg)
        if leg.uuid not in self._open:
            self._exchange.socket_closed(leg)  # the server has already closed the connection

    def _refused(self, leg: Leg, reason: str) -> None:
        where = self._destinations.log_fields(leg.to["uri"])
        self._log.add("websocket", uuid=leg.uuid, event="not connected", **where, reason=reason)
        self._exchange.socket_refused(leg, reason)

    def _closed(self, socket: WebSocket) -> None:
        """Clean up after a connection that was lost, or that the server closed."""
        self._open.pop(socket.leg.uuid, None)
        socket.playout.stop()
        self._exchange.socket_closed(socket.leg)
        self._woken.set()

    def _see_off(self, socket: WebSocket) -> None:
        task = asyncio.create_task(socket.wait_closed(CLOSE_SECONDS))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _play(self) -> None:
        for socket in self._open.values():
            socket.playout.play()

    async def _tick(self) -> None:
        """Play and send audio as long as any WebSocket is open.

        While the call clock runs, audio is played and sent once per frame. It is also played and sent whenever a
        server begins to send audio.
        """
        while self._open:
            self._woken.clear()
            await self._catch_up()
            self._play()
            await self._catch_up()
            for socket in self._open.values():
                socket.wake()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._host_seconds_to_wait()):
                    await self._woken.wait()
        await self._catch_up()  # the server may have closed the last WebSocket

    def _host_seconds_to_wait(self) -> float | None:
        due = self.next_due
        seconds = None if due is None else self._call_clock.host_seconds_until(due)
        return None if seconds is None else max(seconds, SHORTEST_WAIT_SECONDS)
