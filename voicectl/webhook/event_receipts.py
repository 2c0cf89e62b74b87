"""Acknowledges events once they are stored, or answers them with an NCCO from the user's own app."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicectl.store.events import Outcome, Route, is_for_batch
from voicectl.voice.call import HUMAN, CallStatus
from voicectl.voice.event import DISCONNECTED, Kind
from voicectl.webhook.call_answers import REPLAYED
from voicectl.webhook.event_writer import NotKept
from voicectl.webhook.messages import FORGED, LATE, NOT_TAKEN, OK, UNREADABLE

if TYPE_CHECKING:
    from voicectl.store.events import Arrival
    from voicectl.webhook.call_answers import CallAnswers
    from voicectl.webhook.event_writer import EventWriter
    from voicectl.webhook.messages import Request, Response, ResponseCache
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
"""The statuses whose events may be answered with an NCCO.

Source: webhook reference, "which events may be answered with an NCCO".
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReceipts:
    """Stores events, and then responds to them.

    Args:
        calls: The object that answers calls. It is informed of the directions of legs, which events report.
        app: The user's app, or None if the option ``--forward-to`` is not used.
    """

    settings: Settings
    writer: EventWriter
    calls: CallAnswers
    app: UserApp | None
    cache: ResponseCache

    async def respond(self, arrival: Arrival, request: Request) -> Response:
        """Store an event, and return the response to the event."""
        warn, started = self.settings.warn, time.perf_counter()
        try:
            kept = await self.writer.keep(arrival)
        except NotKept:
            warn("not kept", "refused an event: it cannot be stored now. The platform may send it again")
            return NOT_TAKEN
        if kept.outcome is Outcome.REPLAYED:
            warn("replayed", REPLAYED)
            return FORGED
        if arrival.fault is not None:
            warn("fault", f"stored an event that cannot be read: {arrival.fault}")
            return UNREADABLE
        self.calls.note_direction(arrival)
        if (app := self.app) is None or is_for_batch(request.path) or not app.is_for_app(request):
            return OK
        if request.path or _may_return_ncco(arrival):
            left = max(self.settings.bounds.event_seconds - (time.perf_counter() - started), 1.0)

            async def ask() -> Response:
                return await app.ask(request, left) or LATE

            return await self.cache.get(arrival.key, ask)
        if kept.outcome is Outcome.NEW:
            app.pass_on(request)
        return OK


def _may_return_ncco(arrival: Arrival) -> bool:
    if Route.FALLBACK in (arrival.route, arrival.kind):
        return True  # only events that may be answered with an NCCO are sent to the fallback URL
    return arrival.kind in _ANSWERED_KINDS or (
        arrival.kind == Kind.STATUS and arrival.status in _ANSWERED_STATUSES
    )
