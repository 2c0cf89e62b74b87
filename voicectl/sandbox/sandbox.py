"""The sandbox as a whole: the exchange on its clocks, its effects carried out, its routes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from voicectl.sandbox.applications import Applications
from voicectl.sandbox.auth import Doorkeeper
from voicectl.sandbox.call_clock import CallClock
from voicectl.sandbox.faults import Faults
from voicectl.sandbox.fetch import Fetcher
from voicectl.sandbox.front import Front, refuse
from voicectl.sandbox.limits import Limits
from voicectl.sandbox.log import Log
from voicectl.sandbox.problems import Problem
from voicectl.sandbox.routes import calls, control
from voicectl.sandbox.telephony.effects import Event, Fetch, Remark
from voicectl.sandbox.telephony.exchange import Exchange

if TYPE_CHECKING:
    from voicectl.clock import Clock
    from voicectl.sandbox.identity import Identity, Options


class Sandbox:
    """A stand-in for the voice platform; :mod:`voicectl.sandbox.runner` serves it.

    Args:
        identity: The application whose tokens it accepts.
        options: How it runs.
        clock: The host clock.

    Attributes:
        app: The ASGI application.
        url: Where it is served; empty until it is.
        connections: The open connections by the peer's address, kept by the server.
        stopping: Set when the server is to stop.
    """

    def __init__(self, identity: Identity, options: Options, *, clock: Clock) -> None:
        self.identity = identity
        self.options = options
        self.clock = clock
        self.url = ""
        self.connections: dict[Any, asyncio.BaseTransport] = {}
        self.stopping = asyncio.Event()
        self.applications = Applications(identity)
        self.doorkeeper = Doorkeeper(self.applications, clock.time)
        self._fetcher = Fetcher(options.allow_hosts)
        self._fetching: set[asyncio.Task[None]] = set()
        self._advancing = asyncio.Lock()
        self._waiting_for: int | None = None
        self._woken = asyncio.Event()
        self._resets = 0
        self.reset()
        self.app = Front(_routes(self), self)

    def reset(self) -> None:
        """Forget all calls, faults, limits and the log; start the call clock and chance anew. Keys stay.

        Ids go on, still by the seed: a client's journal may remember those of before.
        """
        options, clock = self.options, self.clock
        self._resets += 1
        self.call_clock = CallClock(clock, speed=options.speed, frozen=options.frozen)
        self.limits = Limits(clock.monotonic, enabled=options.limits)
        self.faults = Faults(options.seed, clock.monotonic)
        self.log = Log(clock.time, self.call_clock.now)
        self.exchange = Exchange(
            seed=f"{options.seed} {self._resets}",
            number=self.identity.number,
            now=self.call_clock.now(),
            host_time=clock.time,
            may_dial=self.limits.allow_create,
        )
        self._traces = random.Random(f"traces {options.seed}")  # noqa: S311 (they are to repeat from run to run)

    def new_trace_id(self) -> str:
        """What a support engineer would ask for: 32 hex digits."""
        return f"{self._traces.getrandbits(128):032x}"

    def stop(self) -> None:
        """Have the server stop; call it in the server's own thread."""
        self.stopping.set()

    async def wait(self, seconds: float) -> None:
        """Let host time pass, unless the server is to stop before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def catch_up(self) -> None:
        """Let happen what is due by now.

        Webhooks are asked in the background; under a frozen clock they are waited for, so that the log of one
        run equals that of the next.
        """
        self.exchange.run(self.call_clock.now())
        fetches = self._write_down()
        if fetches and self.options.frozen:
            await self._ask(fetches)
        elif fetches:
            task = asyncio.create_task(self._ask(fetches))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        if self.exchange.next_due != self._waiting_for:
            self._woken.set()

    async def advance(self, seconds: float) -> None:
        """Move the call clock forward, from one due moment to the next, waiting for webhooks at each."""
        async with self._advancing:
            exchange, call_clock = self.exchange, self.call_clock  # a reset meanwhile makes others
            target = call_clock.now() + round(seconds * 1000)
            while (due := exchange.next_due) is not None and due <= target:
                call_clock.skip_to(due)
                exchange.run(due)
                await self._ask(self._write_down())
            call_clock.skip_to(target)
        await self.catch_up()

    async def keep_time(self) -> None:
        """Let things happen when they are due, without waiting for a request; runs until cancelled."""
        try:
            while True:
                await self.catch_up()
                self._woken.clear()
                self._waiting_for = self.exchange.next_due
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._host_seconds_to_wait()):
                        await self._woken.wait()
        finally:
            for task in self._fetching:
                task.cancel()
            await asyncio.gather(*self._fetching, return_exceptions=True)
            await self._fetcher.close()

    def _host_seconds_to_wait(self) -> float | None:
        if self._waiting_for is None:
            return None
        seconds = self.call_clock.host_seconds_until(self._waiting_for)
        # At least a millisecond: a host clock that stands still must not make this a busy loop.
        return None if seconds is None else max(seconds, 0.001)

    async def _ask(self, fetches: list[Fetch]) -> None:
        """Ask for NCCOs at once, hand them over in order, and go on with what they make the exchange ask."""
        exchange = self.exchange
        while fetches:
            answers = await asyncio.gather(*(self._fetcher.fetch(fetch) for fetch in fetches))
            if exchange is not self.exchange:  # reset meanwhile
                return
            for fetch, answer in zip(fetches, answers, strict=True):
                for tried in answer.tried:
                    self.log.add(
                        "fetch",
                        uuid=fetch.uuid,
                        purpose=fetch.purpose,
                        method=fetch.webhook.method,
                        url=fetch.webhook.url,
                        **tried,
                    )
                if answer.actions is None:
                    exchange.give_up(fetch, answer.reason)
                else:
                    exchange.resume(fetch, answer.actions)
            fetches = self._write_down()

    def _write_down(self) -> list[Fetch]:
        """Log what the exchange has to tell; what it has to ask is left."""
        fetches = []
        for effect in self.exchange.collect():
            match effect:
                case Fetch():
                    fetches.append(effect)
                case Event():
                    told = {name: value for name, value in effect.fields.items() if name != "timestamp"}
                    self.log.add(effect.kind, at=effect.at, **{"uuid": effect.uuid} | told)
                case Remark():
                    self.log.add("remark", at=effect.at, uuid=effect.uuid, reason=effect.reason)
        return fetches


def _routes(sandbox: Sandbox) -> Starlette:
    routes = Starlette(
        routes=[*calls.routes(sandbox), *control.routes(sandbox)],
        exception_handlers=dict.fromkeys((Problem, HTTPException, Exception), refuse),
    )
    routes.router.redirect_slashes = False
    return routes
