"""The whole sandbox, which runs the exchange on the call clock and performs its effects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from functools import partial
from typing import Any

from voicectl import tokens
from voicectl.clock import Clock
from voicectl.sandbox.account.applications import Applications
from voicectl.sandbox.account.identity import Identity, Options
from voicectl.sandbox.call_clock import CallClock
from voicectl.sandbox.conversations.log import ConversationLogs
from voicectl.sandbox.conversations.users import Users
from voicectl.sandbox.faults import Faults
from voicectl.sandbox.limits import Limits
from voicectl.sandbox.log import Log
from voicectl.sandbox.performer import Performer, Wait
from voicectl.sandbox.recordings.files import Files
from voicectl.sandbox.sockets.bridge import Sockets
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.exchange import Exchange, ExchangeError
from voicectl.sandbox.webhooks.sender import Webhooks

logger = logging.getLogger(__name__)

TIME_SLICE_SECONDS = 0.01
"""How long advancing the call clock may delay other requests at a time, in seconds of the host clock."""


class Sandbox:
    """A stand-in for the voice platform, which :mod:`voicectl.sandbox.runner` serves.

    Args:
        identity: The application whose tokens the sandbox accepts.
        options: The settings of the sandbox.
        clock: The host clock.

    Attributes:
        url: The URL at which the sandbox is served. Empty before it is served.
        region_urls: The URL of each region, by the region's name. Empty before the sandbox is served.
        connections: The open connections, by the addresses of both ends. The server updates them.
        stopping: An event that is set to stop the server.
    """

    def __init__(self, identity: Identity, options: Options, *, clock: Clock) -> None:
        self.identity = identity
        self.options = options
        self.clock = clock
        self.url = ""
        self.region_urls: dict[str, str] = {}
        self.connections: dict[Any, asyncio.BaseTransport] = {}
        self.stopping = asyncio.Event()
        self.applications = Applications(identity, seed=options.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._advancing = asyncio.Lock()
        self._waiting_for: int | None = None
        self._woken = asyncio.Event()
        self._resets = 0
        self.webhooks: Webhooks
        self.users = Users(str(options.seed))
        self.files = Files(lambda: self.call_clock.now())
        self.reset()

    def reset(self) -> None:
        """Forget all calls, faults, limits and the log, and restart the call clock and the random generators.

        Keys and applications stay. The new ids still follow from the seed, but differ from those before the reset,
        because a client's journal may hold the earlier ids.
        """
        options, clock = self.options, self.clock
        if self._resets:
            self.webhooks.abandon()
        self._resets += 1
        seed = f"{options.seed} {self._resets}"
        self.applications.restore()
        self.files.clear()
        self.call_clock = CallClock(clock, speed=options.speed, frozen=options.frozen)
        self.limits = Limits(clock.monotonic, enabled=options.limits)
        self.faults = Faults(options.seed, clock.monotonic)
        self.log = Log(clock.time, self.call_clock.now)
        self.exchange = self._new_exchange(seed)
        has_rtc_webhook = self.applications.has_rtc_webhook
        self.conversations = ConversationLogs(
            seed, self.exchange, find_user=self.users.find, has_rtc_webhook=has_rtc_webhook
        )
        self.sockets = self._new_sockets()
        self.webhooks = self._new_webhooks()
        self._performer = self._new_performer()
        self._traces = random.Random(f"traces {options.seed}")  # noqa: S311 (ids must repeat from run to run)

    def _new_exchange(self, seed: str) -> Exchange:
        return Exchange(
            seed=seed,
            number=self.identity.number,
            now=self.call_clock.now(),
            host_time=self.clock.time,
            may_dial=self.limits.allow_create,
            knows_user=self.users.knows,
            room_hours=self.applications.room_hours,
        )

    def _new_sockets(self) -> Sockets:
        return Sockets(
            self.exchange,
            self.call_clock,
            self.log,
            sign=partial(self._sign, b""),
            catch_up=self.catch_up,
            may_reach=self.options.may_reach,
        )

    def _new_webhooks(self) -> Webhooks:
        return Webhooks(
            applications=self.applications,
            sign=self._sign,
            faults=self.faults,
            log=self.log,
            may_reach=self.options.may_reach,
            region_url=self._region_url,
        )

    def _new_performer(self) -> Performer:
        return Performer(
            self.exchange,
            webhooks=self.webhooks,
            conversations=self.conversations,
            files=self.files,
            sockets=self.sockets,
            log=self.log,
            file_url=lambda region, file_id: f"{self._region_url(region)}/v1/files/{file_id}",
        )

    def new_trace_id(self) -> str:
        """Return a new trace id of 32 hexadecimal digits."""
        return f"{self._traces.getrandbits(128):032x}"

    def stop(self) -> None:
        """Stop the server. This must be called in the server's own thread."""
        self.stopping.set()

    async def wait(self, seconds: float) -> None:
        """Wait for *seconds* of host time, or until the server stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    def note(self, note: Note) -> None:
        """Record a conversation event that a request caused."""
        self._performer.note(note)

    async def catch_up(self) -> None:
        """Run the timers that are due by now, and perform the effects.

        Slow effects, such as fetching an NCCO, run in the background. Under a frozen clock, slow effects are awaited
        instead, so that every run produces the same log.
        """
        self.exchange.run(self.call_clock.now())
        await self._see_to_effects()
        if self.exchange.next_due != self._waiting_for:
            self._woken.set()

    async def advance(self, seconds: float) -> None:
        """Move the call clock forward from one timer to the next, and wait for webhooks at each timer.

        Raises:
            ExchangeError: Another request is already moving the clock. It may be waiting for a webhook of the client
                that made the present request.
        """
        if self._advancing.locked():
            raise ExchangeError("The clock is being advanced already.")
        async with self._advancing:
            exchange, call_clock = self.exchange, self.call_clock
            host_time = asyncio.get_running_loop().time
            slice_began = host_time()
            target = call_clock.now() + round(seconds * 1000)
            while (due := self._next_due) is not None and due <= target:
                if host_time() - slice_began > TIME_SLICE_SECONDS:
                    await asyncio.sleep(0)
                    slice_began = host_time()
                if self.stopping.is_set() or exchange is not self.exchange:  # stopped or reset meanwhile
                    return
                call_clock.skip_to(due)
                exchange.run(due)
                await self._wait_for(self._performer.perform())
                await self.sockets.pump()
            call_clock.skip_to(target)
        await self.catch_up()

    async def keep_time(self) -> None:
        """Run timers when they are due, without waiting for a request. This goes on until it is cancelled."""
        try:
            while True:
                self._woken.clear()
                await self.catch_up()
                self._waiting_for = self.exchange.next_due
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._host_seconds_to_wait()):
                        await self._woken.wait()
        finally:
            await self.sockets.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.webhooks.close()
            self.files.close()

    async def _see_to_effects(self) -> None:
        waits = self._performer.perform()
        if self.options.frozen:
            await self._wait_for(waits)
            return
        for wait in waits:
            task = asyncio.create_task(self._hand_over(wait))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _wait_for(self, waits: list[Wait]) -> None:
        """Await *waits* together, apply their results in order, and repeat this for the effects that follow."""
        exchange = self.exchange
        while waits:
            done = await asyncio.gather(*waits, return_exceptions=True)
            if exchange is not self.exchange:  # the sandbox was reset by another request
                return
            for hand_over in done:
                if isinstance(hand_over, BaseException):
                    logger.error("Performing an effect failed", exc_info=hand_over)
                else:
                    hand_over()
            waits = self._performer.perform()

    async def _hand_over(self, wait: Wait) -> None:
        exchange = self.exchange
        hand_over = await wait
        if exchange is self.exchange:
            exchange.run(self.call_clock.now())  # the consequences begin now, not when the effect began
            hand_over()
            await self.catch_up()

    def _sign(self, payload: bytes, application_id: str) -> str:
        """Return the token of a webhook request with the body *payload*.

        For the handshake of a WebSocket, *payload* is empty.
        """
        identity = self.identity
        return tokens.webhook_token(
            payload,
            secret=identity.signature_secret,
            api_key=identity.api_key,
            application_id=application_id,
            now=self.clock.time(),
        )

    def _region_url(self, region: str) -> str:
        return self.region_urls.get(region, self.url)

    @property
    def _next_due(self) -> int | None:
        """The moment of the next timer, or of the next 20 ms of a WebSocket's audio, whichever is earlier."""
        due = [each for each in (self.exchange.next_due, self.sockets.next_due) if each is not None]
        return min(due, default=None)

    def _host_seconds_to_wait(self) -> float | None:
        if self._waiting_for is None:
            return None
        seconds = self.call_clock.host_seconds_until(self._waiting_for)
        # Wait at least a millisecond, since a host clock that stands still would make this a busy loop.
        return None if seconds is None else max(seconds, 0.001)
