"""Responses that were given, so that the same request has the same one, and is worked out once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from voicectl.webhook.messages import SUCCESSES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicectl.webhook.messages import Response
    from voicectl.webhook.settings import Bounds


class ResponseCache:
    """Successful responses by key, bounded: the oldest are forgotten first."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._responses: OrderedDict[bytes, Response] = OrderedDict()
        self._bytes = 0
        self._pending: dict[bytes, asyncio.Task[Response]] = {}

    async def get(self, key: bytes | None, make: Callable[[], Awaitable[Response]]) -> Response:
        """Return the response to *key*, made if it is neither known nor being made; None is no key."""
        if key is None:
            return await make()
        if (known := self._responses.get(key)) is not None:
            return known
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.ensure_future(self._make(key, make))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Break off what is being made."""
        for task in (late := list(self._pending.values())):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _make(self, key: bytes, make: Callable[[], Awaitable[Response]]) -> Response:
        try:
            response = await make()
        finally:
            del self._pending[key]
        if response.status in SUCCESSES:
            self._responses[key] = response
            self._bytes += len(response.body)
            while len(self._responses) > self._bounds.answers or self._bytes > self._bounds.answer_bytes:
                self._bytes -= len(self._responses.popitem(last=False)[1].body)
        return response
