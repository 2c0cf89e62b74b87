"""The user's own app, to which a receiver with the option ``--forward-to`` passes webhooks on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicectl.webhook.forward import Forwarder
    from voicectl.webhook.messages import Request, Response
    from voicectl.webhook.settings import Settings
    from voicectl.webhook.status import Metrics


AT_ONCE = 8
"""The maximum number of events that are passed on to the app at the same time."""


class UserApp:
    """Passes webhooks on to the user's app. Webhooks that need no response are passed on in the background."""

    def __init__(self, forwarder: Forwarder, settings: Settings, metrics: Metrics) -> None:
        self._forwarder = forwarder
        self._metrics = metrics
        self._warn = settings.warn
        self._bounds = settings.bounds
        self._behind: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Semaphore(AT_ONCE)

    async def ask(self, request: Request, seconds: float) -> Response | None:
        """Pass *request* on, and return the app's response, or None if none is complete within *seconds*."""
        response = await self._forwarder.ask(request, within=seconds)
        is_answered = response is not None and response.fault is None
        self._metrics.forwarded(request.route, is_answered=is_answered)
        return response

    def is_for_app(self, request: Request) -> bool:
        """Return True if, as far as is known, the app would get *request* if there were no receiver."""
        return self._forwarder.is_for_app(request)

    def pass_on(self, request: Request) -> None:
        """Pass *request* on in the background. If too many requests are already waiting, drop it instead."""
        if len(self._behind) >= self._bounds.behind:
            self._metrics.dropped("forward")
            self._warn("behind", "did not pass an event on: your server is too slow. The event is stored")
            return
        task = asyncio.create_task(self._pass(request))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def close(self, seconds: float) -> None:
        """Wait up to *seconds* for background requests to complete, and then cancel the remaining ones."""
        if self._behind:
            await asyncio.wait(self._behind, timeout=seconds)
        for task in (late := list(self._behind)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _pass(self, request: Request) -> None:
        async with self._passing:
            await self.ask(request, self._bounds.event_seconds)
