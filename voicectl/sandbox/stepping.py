"""Steps of a frozen call clock, each to the next due time, once everything that has begun before is done.

A test drives calls in this way: it sees every moment at which something happens, and whatever the application does in
response has been done before time passes. So a run does not depend on how fast the application answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.telephony.exchange import ExchangeError

POLL_SECONDS = 0.001
LONGEST_SETTLING = 20
"""The greatest number of times that the wait for a quiet application begins anew."""

QUIET_SECONDS = 120.0
"""How long a step waits for webhooks and requests, in seconds on the host clock. The platform waits less long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The outcome of a step.

    Attributes:
        is_due: True if something was due; False if the clock went to the bound because nothing was due by then.
        is_quiet: False if webhooks or requests were still not answered.
        settled: The number of requests that the application sent only after it had answered all webhooks.
        is_capped: True if the application did not become quiet.
    """

    is_due: bool
    is_quiet: bool
    settled: int
    is_capped: bool


class Stepper:
    """Moves the call clock of a frozen sandbox from due time to due time."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._settled = 0
        self._is_capped = False

    async def step(self, until: int | None, settle: float) -> Step:
        """Go to the next due time, and do what is due.

        Before and after this, wait until all webhooks have been answered, within the platform's own time-outs, no
        API request is open, and the application has sent no request for the time *settle* if it was heard from.

        Args:
            until: The latest time to go to, in milliseconds on the call clock. The current time or None means that
                no time passes.
            settle: A time in seconds on the host clock.

        Raises:
            ExchangeError: The clock is not frozen, or another request moves it.
        """
        sandbox = self._sandbox
        if not sandbox.options.frozen:
            raise ExchangeError("Only a frozen clock can be stepped.")
        self._settled, self._is_capped = 0, False
        await self._quiet(settle)
        is_due = False if until is None else await sandbox.advance_to_due(until)
        is_quiet = await self._quiet(settle)
        return Step(is_due=is_due, is_quiet=is_quiet, settled=self._settled, is_capped=self._is_capped)

    async def _quiet(self, settle: float) -> bool:
        is_quiet = await self._answered()
        if not settle:
            return is_quiet
        for _ in range(LONGEST_SETTLING):
            traffic = self._sandbox.traffic
            if self._activity == traffic.seen:
                return is_quiet
            traffic.seen, requests = self._activity, traffic.requests
            await asyncio.sleep(settle)
            is_quiet = await self._answered()
            self._settled += traffic.requests - requests
        self._is_capped = True
        return is_quiet

    @property
    def _activity(self) -> int:
        """A number that grows when the application is sent a webhook, or sends a request."""
        return self._sandbox.traffic.requests + self._sandbox.webhooks.sent

    async def _answered(self) -> bool:
        """Wait until all webhooks and requests have been answered. Return False if this takes too long."""
        sandbox = self._sandbox
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                while sandbox.webhooks.pending or sandbox.traffic.open:
                    await sandbox.webhooks.one_answered(POLL_SECONDS)
                    await sandbox.catch_up()
        except TimeoutError:
            return False
        return True
