"""Receipts of events: each is acknowledged once it is kept, or answered with an NCCO of the user's own app."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from voicectl.store.events import Outcome, Route
from voicectl.voice.call import HUMAN, CallStatus
from voicectl.voice.event import DISCONNECTED, Kind
from voicectl.webhook.call_answers import REPLAYED
from voicectl.webhook.event_writer import NotKept
from voicectl.webhook.messages import FORGED, LATE, NOT_TAKEN, OK, UNREADABLE

if TYPE_CHECKING:
    from voicectl.store.events import Arrival
    from voicectl.webhook.call_answers import CallAnswers
    from voicectl.webhook.event_writer import EventWriter
    from voicectl.webhook.messages import Request, Response
    from voicectl.webhook.response_cache import ResponseCache
    from voicectl.webhook.settings import Settings
    from voicectl.webhook.user_app import UserApp

_ANSWERED_KINDS = frozenset({Kind.INPUT, Kind.NOTIFY})
_ANSWERED_STATUSES = frozenset(
    {
        CallStatus.TIMEOUT,
        CallStatus.FAILED,
        CallStatus.REJECTED,
        CallStatus.UNANSWERED,
        CallStatus.BUSY,
        CallStatus.MACHINE,
        HUMAN,
        DISCONNECTED,
    }
)
"""Which statuses an NCCO may follow. Source: webhook reference, "which events may be answered with an NCCO"."""


class EventReceipts:
    """Keeps events and acknowledges them.

    Args:
        calls: Learn from events which way legs go.
        app: None without ``--forward-to``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        writer: EventWriter,
        calls: CallAnswers,
        app: UserApp | None,
        cache: ResponseCache,
    ) -> None:
        self._warn = settings.warn
        self._bounds = settings.bounds
        self._writer = writer
        self._calls = calls
        self._app = app
        self._cache = cache

    async def respond(self, arrival: Arrival, request: Request) -> Response:
        """Return the acknowledgement of an event, which is kept then."""
        started = time.perf_counter()
        try:
            kept = await self._writer.keep(arrival)
        except NotKept:
            self._warn("not kept", "refused an event that cannot be kept; the platform may send it again")
            return NOT_TAKEN
        if kept.outcome is Outcome.REPLAYED:
            self._warn("replayed", REPLAYED)
            return FORGED
        if arrival.fault is not None:
            self._warn("fault", f"kept an event that cannot be read: {arrival.fault}")
            return UNREADABLE
        self._calls.note_direction(arrival)
        if (app := self._app) is None:
            return OK
        if _may_return_ncco(arrival):
            left = max(self._bounds.event_seconds - (time.perf_counter() - started), 1.0)

            async def ask() -> Response:
                return await app.ask(request, left) or LATE

            return await self._cache.get(arrival.key, ask)
        if kept.outcome is Outcome.NEW:
            app.pass_on(request)
        return OK


def _may_return_ncco(arrival: Arrival) -> bool:
    if arrival.route is Route.FALLBACK:
        return True  # only such events have one
    return arrival.kind in _ANSWERED_KINDS or (
        arrival.kind == Kind.STATUS and arrival.status in _ANSWERED_STATUSES
    )
