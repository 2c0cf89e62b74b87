"""The sandbox as a whole, which runs the simulated exchange on the call clock and performs the exchange's effects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from voicectl import tokens
from voicectl.clock import Clock
from voicectl.sandbox.account.applications import Applications
from voicectl.sandbox.account.identity import Identity, Options
from voicectl.sandbox.account.numbers import Numbers
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
from voicectl.sandbox.telephony.twins import LOBBY, Route
from voicectl.sandbox.traffic import Traffic
from voicectl.sandbox.webhooks.sender import Webhooks
from voicectl.voice.hosts import API_HOST, REGION_HOSTS

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.01
"""The time between checks in :meth:`Sandbox.wait_until`, in seconds on the host clock."""

TIME_SLICE_SECONDS = 0.01
"""The longest time for which other requests are blocked while the call clock advances, in seconds on the host clock.
"""


class Sandbox:
    """A simulation of the voice platform, which the functions in :mod:`voicectl.sandbox.runner` serve over HTTP.

    Args:
        identity: The identity of the sandbox's account and of its first application.
        options: The settings of the sandbox.
        clock: The host clock, on which the call clock is based.

    Attributes:
        url: The URL at which the sandbox is served, or an empty string before it is served.
        region_urls: The URL of each region, keyed by the region's name. This dictionary is empty before the sandbox
            is served.
        tls_url: The URL at which the sandbox is also served by HTTPS, or None if it is not.
        proxy_url: The URL of the proxy that answers for the platform's hosts, or None if there is no such proxy.
        loop: The event loop in which the sandbox is served, or None before it is served.
        connections: The open connections to the server, keyed by the addresses of client and server.
        stopping: An event that is set to stop the server.
        traffic: The requests to the platform's APIs.
    """

    def __init__(self, identity: Identity, options: Options, *, clock: Clock) -> None:
        self.identity = identity
        self.options = options
        self.clock = clock
        self.url = ""
        self.region_urls: dict[str, str] = {}
        self.tls_url: str | None = None
        self.proxy_url: str | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.connections: dict[Any, asyncio.BaseTransport] = {}
        self.stopping = asyncio.Event()
        self.applications = Applications(identity, seed=options.seed)
        self.numbers = Numbers(identity.number, identity.application_id)
        self._tasks: set[asyncio.Task[None]] = set()
        self._advancing = asyncio.Lock()
        self._waiting_for: int | None = None
        self._woken = asyncio.Event()
        self._resets = 0
        self.traffic = Traffic()
        self.webhooks: Webhooks
        self.users = Users(str(options.seed))
        self.files = Files(lambda: self.call_clock.now())
        self.reset()

    def reset(self) -> None:
        """Discard all calls, faults and log entries, and restart the call clock, rate limits and random generators.

        Keys, applications, numbers and users are kept. New ids are still derived from the seed, but no id from before
        the reset is used again, because clients may have stored it.
        """
        options, clock = self.options, self.clock
        if self._resets:
            self.webhooks.abandon()
        self._resets += 1
        seed = f"{options.seed} {self._resets}"
        if self.applications.restore():
            self.numbers.restore()
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
        self.traffic.seen = -1
        self._traces = random.Random(f"traces {options.seed}")  # noqa: S311 (ids must repeat from run to run)

    def _new_exchange(self, seed: str) -> Exchange:
        return Exchange(
            seed=seed,
            number=self.identity.number,
            now=self.call_clock.now(),
            host_time=self.clock.time,
            may_dial=self.limits.allow_create,
            knows_user=self.users.knows,
            find_route=self._find_route,
            room_hours=self.applications.room_hours,
            far_ends=self.options.far_ends,
        )

    def _find_route(self, msisdn: str) -> Route | None:
        number = self.numbers.find(msisdn)
        if number is None or number.forwards_to is not None or number.application_id is None:
            return None
        application = self.applications.by_id[number.application_id]
        flow = LOBBY if application.answer is None else None
        return Route(application_id=application.id, region=application.region, flow=flow)

    def _new_sockets(self) -> Sockets:
        return Sockets(
            self.exchange,
            self.call_clock,
            self.log,
            sign=partial(self._sign, b""),
            catch_up=self._catch_up_unless_advancing,
            destinations=self.options.destinations,
        )

    def _new_webhooks(self) -> Webhooks:
        return Webhooks(
            applications=self.applications,
            sign=self._sign,
            faults=self.faults,
            log=self.log,
            destinations=self.options.destinations,
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
        """Stop the server. Call this method only in the server's thread."""
        self.stopping.set()

    async def wait(self, seconds: float) -> None:
        """Wait until *seconds* have passed on the host clock, or until the server stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def wait_until(self, is_done: Callable[[], bool], seconds: float) -> None:
        """Wait until *is_done* returns True or *seconds* have passed on the host clock."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_done():
                    await asyncio.sleep(POLL_SECONDS)

    def note(self, note: Note) -> None:
        """Record *note*, a conversation event that a request caused, and send it to the application's webhook."""
        self._performer.note(note)

    async def catch_up(self) -> None:
        """Run the timers that are due, and perform all pending effects.

        Slow effects, such as fetching an NCCO, are performed in the background. If the call clock is frozen, slow
        effects are awaited, so that every run produces the same log.
        """
        self.exchange.run(self.call_clock.now())
        await self._see_to_effects()
        if self.exchange.next_due != self._waiting_for:
            self._woken.set()

    async def _catch_up_unless_advancing(self) -> None:
        """Do nothing while :meth:`advance` runs, because it performs all effects itself, each at its own time."""
        if not self._advancing.locked():
            await self.catch_up()

    async def advance(self, seconds: float) -> None:
        """Advance the call clock by *seconds*.

        Run each timer that becomes due, and wait until its effects have been performed.

        Raises:
            ExchangeError: Another request is already advancing the clock. Waiting for the other request could cause a
                deadlock, because the other request may be waiting for a webhook response from the client that sent
                this request.
        """
        if self._advancing.locked():
            raise ExchangeError("The clock is already being advanced.")
        async with self._advancing:
            exchange, call_clock = self.exchange, self.call_clock
            host_time = asyncio.get_running_loop().time
            slice_began = host_time()
            target = call_clock.now() + round(seconds * 1000)
            await self.webhooks.caught_up()
            while (due := self.next_due) is not None and due <= target:
                if host_time() - slice_began > TIME_SLICE_SECONDS:
                    await asyncio.sleep(0)
                    slice_began = host_time()
                if self.stopping.is_set() or exchange is not self.exchange:  # stopped or reset meanwhile
                    return
                await self._do_due(due)
            call_clock.skip_to(target)
        await self.catch_up()
        await self.webhooks.caught_up()

    async def advance_to_due(self, until: int) -> bool:
        """Advance the call clock to the next due time, at most to *until*, and do what is due then.

        Return False if nothing was due by *until*.

        Raises:
            ExchangeError: Another request is already advancing the clock.
        """
        if self._advancing.locked():
            raise ExchangeError("The clock is already being advanced.")
        async with self._advancing:
            due = self.next_due
            if due is None or due > until:
                self.call_clock.skip_to(until)
                self.exchange.run(until)
                return False
            await self._do_due(due)
        await self.catch_up()
        return True

    async def _do_due(self, due: int) -> None:
        self.call_clock.skip_to(due)
        self.exchange.run(due)
        await self._settle()
        await self.sockets.pump()
        await self._settle()  # a server may have closed its WebSocket

    async def keep_time(self) -> None:
        """Run each timer when it is due, even if no requests arrive. Stop only when this coroutine is cancelled."""
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

    async def _settle(self) -> None:
        """Perform all pending effects, including slow ones, and wait for the responses to webhooks."""
        await self._wait_for(self._performer.perform())
        await self.webhooks.caught_up()

    async def _wait_for(self, waits: list[Wait]) -> None:
        """Await *waits* concurrently, and call the functions that they return, in order.

        This may cause further slow effects, which are awaited in the same way.
        """
        exchange = self.exchange
        while waits:
            done = await asyncio.gather(*waits, return_exceptions=True)
            if exchange is not self.exchange:  # the sandbox was reset by another request
                return
            for hand_over in done:
                if isinstance(hand_over, BaseException):
                    logger.error(
                        "A webhook, WebSocket or recording of the sandbox failed unexpectedly",
                        exc_info=hand_over,
                    )
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
        """Return a signed token for a webhook request with the body *payload*.

        If the token is for the handshake of a WebSocket, *payload* is empty.
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
        """Return the base URL of *region* as programs know it: with the platform's host if there is a proxy."""
        if self.proxy_url is not None:
            return f"https://{REGION_HOSTS.get(region, API_HOST)}"
        return self.region_urls.get(region, self.url)

    @property
    def next_due(self) -> int | None:
        """The time at which the next timer or WebSocket audio is due, in milliseconds on the call clock.

        The value is None if nothing is due.
        """
        due = [each for each in (self.exchange.next_due, self.sockets.next_due) if each is not None]
        return min(due, default=None)

    def _host_seconds_to_wait(self) -> float | None:
        if self._waiting_for is None:
            return None
        seconds = self.call_clock.host_seconds_until(self._waiting_for)
        # Wait at least a millisecond. Otherwise, this would be a busy loop if the host clock stood still.
        return None if seconds is None else max(seconds, 0.001)
