"""Code that sends events to webhooks, and fetches NCCOs from webhooks, in the background.

Source: Vonage webhook reference, "delivery rules"; Application API v2 reference (URLs, methods, time-outs).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from voicectl.sandbox.account.applications import (
    ANSWER_SECONDS,
    EVENT_SECONDS,
    Application,
    Applications,
    Hook,
)
from voicectl.sandbox.destinations import Destinations
from voicectl.sandbox.fault_types import FaultType
from voicectl.sandbox.faults import ANSWER, RTC, WEBHOOK_FAULTS, Faults
from voicectl.sandbox.log import Log
from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Webhook
from voicectl.sandbox.telephony.effects import Event, Fetch, Kind, Note
from voicectl.sandbox.webhooks.delivery import NOT_DELIVERED, Answer, Delivery, WebhookClient
from voicectl.sandbox.webhooks.queue import MAX_QUEUED, QueuedRequest, WebhookQueue
from voicectl.voice.call import CallStatus

REORDER_SECONDS = 1.0
"""The maximum time that an event waits for the next event about the same leg, in seconds on the host clock.

An event waits only if a fault reverses the order of these two events.
"""

_NEVER_ANSWERED = {"busy": "user", "unanswered": "user", "timeout": "platform", "failed": "platform"} | {
    "cancelled": "platform"
}
"""The statuses after which a fault can add a ``completed`` event.

Each status is mapped to the value of ``disconnected_by`` in the added event.
"""


class Webhooks:
    """An object that sends events and NCCO requests in the background, many of them at the same time.

    Errors of receivers are logged, not raised. When an event or request is queued, an entry of the kind ``webhook``
    is added to the log. The fields ``attempts`` and ``outcome`` are added to this entry later.

    Args:
        applications: The applications that own the webhooks.
        sign: A function that takes a payload and an application id, and returns a signed token for the payload.
        faults: The faults to simulate.
        log: The log to which entries are added.
        destinations: The hosts that the sandbox may reach.
        region_url: A function that takes the name of a region, such as ``na-east``, and returns the region's base
            URL.
        queue: The queue to use for the requests, or None to create one.

    Attributes:
        sent: The number of events and requests so far.
    """

    def __init__(
        self,
        *,
        applications: Applications,
        sign: Callable[[bytes, str], str],
        faults: Faults,
        log: Log,
        destinations: Destinations,
        region_url: Callable[[str], str],
        queue: WebhookQueue | None = None,
    ) -> None:
        self._applications = applications
        self._faults = faults
        self._log = log
        self._region_url = region_url
        self._client = WebhookClient(sign=sign, destinations=destinations)
        self._destinations = destinations
        self._queue = queue or WebhookQueue()
        self._held: dict[Delivery, asyncio.TimerHandle] = {}
        self._behind: dict[tuple[str, str], Delivery] = {}  # held until the next event of the leg is sent
        self._asked: set[asyncio.Future[Answer]] = set()
        self.sent = 0

    @property
    def pending(self) -> int:
        """The number of requests that are queued, held back by a fault or in progress."""
        return self._queue.unfinished + len(self._held)

    def send(self, event: Event) -> None:
        """Send *event* to its webhook, and ignore the reply. If no webhook is set, do nothing."""
        delivery = self._addressed(event)
        if delivery is not None:
            self._post(delivery)
            self._complete(event)

    def publish(self, note: Note, fields: dict[str, Any]) -> None:
        """Send a conversation event to the application's RTC webhook. If no such webhook is set, do nothing.

        Args:
            note: The effect that describes the event.
            fields: The fields of the event, as sent to the webhook.
        """
        application = self._applications.by_id.get(note.application_id)
        if application is not None and application.rtc_event is not None:
            entry: dict[str, Any] = {"at": note.at, "uuid": note.uuid, "event": RTC}
            line = note.conversation_uuid
            self._post(self._delivery(entry, None, application, application.rtc_event, fields, line))

    def ask(self, effect: Event | Fetch) -> asyncio.Future[Answer]:
        """Send an event or NCCO request, and return a future for the answer.

        The request is queued before this method returns, so it is sent before requests for later effects on the same
        leg.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        delivery = self._addressed(effect)
        if delivery is None:
            answer.set_result(Answer(reason="there is no webhook"))
            return answer
        delivery.answer = answer
        self._asked.add(answer)
        answer.add_done_callback(self._asked.discard)
        self._post(delivery)
        if isinstance(effect, Event):
            self._complete(effect)
        return answer

    def abandon(self) -> list[asyncio.Task[None]]:
        """Drop or cancel all pending requests. Callers that wait for an answer stop waiting.

        Returns:
            The cancelled tasks, which may still be running.
        """
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()
        self._behind.clear()
        for answer in self._asked:
            if not answer.done():
                answer.set_result(Answer(reason="it was dropped because the sandbox was reset or stopped"))
        return self._queue.cancel()

    async def caught_up(self) -> None:
        """Wait until all queued requests have been answered.

        See :meth:`WebhookQueue.caught_up` for the time limit.
        """
        await self._queue.caught_up()

    async def one_answered(self, seconds: float) -> None:
        """Wait until a request has been answered, or for *seconds* on the host clock if none is in progress."""
        if not await self._queue.one_answered():
            await asyncio.sleep(seconds)

    async def quiet(self, seconds: float) -> None:
        """Wait until no requests are pending, or until *seconds* have passed on the host clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.pending:
                    await asyncio.sleep(0.002)

    async def close(self) -> None:
        """Drop or cancel all pending requests, and wait until the cancelled requests have stopped."""
        await asyncio.gather(*self.abandon(), return_exceptions=True)

    def _addressed(self, effect: Event | Fetch) -> Delivery | None:
        """Create the delivery of *effect* to its webhook. Return None if no webhook is set."""
        application = self._applications.by_id.get(effect.application_id)
        if application is None:
            return None
        entry: dict[str, Any] = {"at": effect.at, "uuid": effect.uuid}
        if isinstance(effect, Event):
            hook = _hook(effect.webhook, application.event, EVENT_SECONDS)
            entry |= {"event": effect.kind}
            fields = effect.fields
        else:
            hook = _hook(effect.webhook, application.answer, ANSWER_SECONDS)
            entry |= {"event": ANSWER, "purpose": effect.purpose}
            fields = effect.parameters | {"region_url": self._region_url(effect.region)}
        return None if hook is None else self._delivery(entry, effect, application, hook, fields, effect.uuid)

    def _delivery(
        self,
        entry: dict[str, Any],
        effect: Event | Fetch | None,
        application: Application,
        hook: Hook,
        fields: dict[str, Any],
        line: str,
    ) -> Delivery:
        is_signed = application.signs("rtc" if effect is None else "voice")
        sent: dict[str, Any] = {
            "method": hook.method,
            **self._destinations.log_fields(hook.url),
            "body": fields,
            "signed": is_signed,
        }
        return Delivery(
            effect=effect,
            hook=hook,
            fields=fields,
            line=line,
            application=application,
            is_signed=is_signed,
            entry=self._log.add("webhook", **entry | sent, fault=None, attempts=[], outcome=None),
        )

    def _complete(self, event: Event) -> None:
        """Simulate the fault that sends an additional ``completed`` event after the last event of an unanswered call.

        Do nothing if no such fault is set, or if *event* is not the last event of an unanswered call.
        """
        ended_by = _NEVER_ANSWERED.get(event.fields.get("status", ""))
        if event.kind is not Kind.STATUS or ended_by is None:
            return
        if self._faults.strike(Kind.STATUS, {FaultType.WEBHOOK_COMPLETED}) is None:
            return
        fields = {name: value for name, value in event.fields.items() if name != "detail"}
        fields |= {"status": CallStatus.COMPLETED, "start_time": None, "end_time": event.fields["timestamp"]}
        fields |= {"duration": "0", "rate": str(events.RATE), "price": events.price(0)}
        fields |= {"network": events.NETWORK, "disconnected_by": ended_by}
        self.send(replace(event, fields=fields, may_bring_ncco=False))

    def _post(self, delivery: Delivery) -> None:
        """Queue *delivery*, unless a fault holds it back."""
        self.sent += 1
        if self._destinations.find(delivery.hook.url) is None:
            self._settle(delivery, NOT_DELIVERED)
            return
        overtaken = self._behind.pop(delivery.place, None)
        faults = WEBHOOK_FAULTS if overtaken is None else WEBHOOK_FAULTS - {FaultType.WEBHOOK_REORDER}
        delivery.fault = fault = self._faults.strike(delivery.entry["event"], faults)
        delivery.entry["fault"] = what = None if fault is None else fault.what
        if what is FaultType.WEBHOOK_REORDER:
            self._behind[delivery.place] = delivery
            self._hold(delivery, REORDER_SECONDS)
        elif fault is not None and what is FaultType.WEBHOOK_DELAY:
            self._hold(delivery, fault.seconds or 0)
        else:
            self._enqueue(delivery)
        if overtaken is not None:
            self._release(overtaken)

    def _hold(self, delivery: Delivery, seconds: float) -> None:
        if len(self._held) >= MAX_QUEUED:
            self._settle(delivery, "dropped: too many webhooks are held back")
            return
        self._held[delivery] = asyncio.get_running_loop().call_later(seconds, self._release, delivery)

    def _release(self, delivery: Delivery) -> None:
        timer = self._held.pop(delivery, None)
        if timer is None:
            return  # the delivery was dropped because too many were held back
        timer.cancel()
        if self._behind.get(delivery.place) is delivery:
            del self._behind[delivery.place]
        self._enqueue(delivery)

    def _enqueue(self, delivery: Delivery) -> None:
        turn = QueuedRequest(make=lambda: self._make(delivery), is_awaited=delivery.answer is not None)
        if not self._queue.add(delivery.receiver, delivery.line, turn):
            self._settle(delivery, "dropped: too many webhooks are waiting for this receiver")

    async def _make(self, delivery: Delivery) -> None:
        if delivery.answer is None:
            await self._client.tell(delivery)
            return
        answer = Answer(reason="it was cancelled")
        try:
            answer = await self._client.request_ncco(delivery)
        finally:
            if not delivery.answer.done():
                delivery.answer.set_result(answer)

    def _settle(self, delivery: Delivery, outcome: str) -> None:
        """Log *outcome* as the outcome of *delivery*, which will not be sent."""
        delivery.entry["outcome"] = outcome
        if delivery.answer is not None:
            delivery.answer.set_result(Answer(reason=outcome))


def _hook(own: Webhook | None, applications: Hook | None, read_seconds: float) -> Hook | None:
    """Return the webhook to use.

    *own* is a webhook that was set for a call or an action. If *own* is None, the application's webhook is used.

    The time-outs for *own* are those of the application's webhook. If the application has no webhook, the read
    time-out is *read_seconds*.
    """
    if own is None:
        return applications
    times = applications or Hook(url=own.url, method=own.method, read_seconds=read_seconds)
    return replace(times, url=own.url, method=own.method)
