"""The delivery of an event or NCCO request to a webhook, including retries and the use of the fallback URL.

Source: Vonage webhook reference, "delivery rules"; Application API v2 reference, ``fallback_answer_url``.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

from voicectl.sandbox.account.applications import Application, Hook
from voicectl.sandbox.bodies import MAX_BODY, UnreadableBody, parse_json
from voicectl.sandbox.destinations import OFF_LIMITS, Destinations
from voicectl.sandbox.fault_types import FaultType
from voicectl.sandbox.faults import Fault
from voicectl.sandbox.parsing.ncco import read_ncco
from voicectl.sandbox.telephony.actions import Actions
from voicectl.sandbox.telephony.effects import Event, Fetch
from voicectl.sandbox.telephony.events import BAD_NCCO
from voicectl.sandbox.webhooks.request import NO_ANSWER, Reply, Unsendable, build, send

ATTEMPTS = 2
"""The maximum number of requests that one delivery sends to the same URL."""

SENDS_AT_ONCE = 512
"""The maximum number of simultaneous requests to all receivers together.

If the process has few file descriptors, the limit is lower.
"""

NOT_DELIVERED = f"not delivered: {OFF_LIMITS}"
"""The outcome of a delivery to a host that must not be reached."""

_PASSING = (429, 503, 504)
"""The HTTP statuses that indicate a temporary failure.

After such a status, a request is retried if its reply may be an NCCO.
"""

_SERVER_ERRORS = range(500, 600)

MAX_LOGGED = 65_536
"""The maximum length of an NCCO in the log, in bytes."""

_MOST_OF_REASON = 500  # the maximum length of an NCCO's errors, which are sent to the fallback, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a request whose reply may be an NCCO.

    Attributes:
        actions: The NCCO, or None if no NCCO was received. An NCCO from an ``answer_url`` may be empty.
        reason: The reason why no NCCO was received, or an empty string if an NCCO was received.
        errors: The reason of each ``error`` event to send, one for each reply that was no valid NCCO.
    """

    actions: Actions | None = None
    reason: str = ""
    errors: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """An event or NCCO request that is to be delivered.

    Attributes:
        effect: The event or NCCO request, or None for a conversation event.
        hook: The webhook to which the event or NCCO request is delivered.
        fields: The fields of the event, or the parameters of the NCCO request.
        line: The id of the leg or conversation that the delivery is about. Deliveries with the same id are sent in
            order.
        application: The application that owns the webhook. The application's fallback URL is used if the webhook
            fails.
        is_signed: True if the requests carry a signed token.
        entry: The log entry for the delivery. :class:`WebhookClient` sets the fields ``attempts`` and ``outcome``.
        fault: The simulated fault that affects the delivery, or None if no fault affects it.
        answer: The future that receives the answer, or None if nothing waits for the answer.
    """

    effect: Event | Fetch | None
    hook: Hook
    fields: dict[str, Any]
    line: str
    application: Application
    is_signed: bool
    entry: dict[str, Any]
    fault: Fault | None = None
    answer: asyncio.Future[Answer] | None = None

    @property
    def receiver(self) -> str:
        """The host and port of the receiver, as ``host:port``."""
        parts = urlsplit(self.hook.url)
        return f"{parts.hostname}:{parts.port or parts.scheme}"

    @property
    def place(self) -> tuple[str, str]:
        """The receiver, and the id of the leg or conversation.

        Deliveries with the same receiver and id are sent in order.
        """
        return self.receiver, self.line


class WebhookClient:
    """A client that sends the webhook requests of many deliveries at the same time.

    Args:
        sign: A function that takes a payload and an application id, and returns a signed token for the payload.
        destinations: The hosts that the sandbox may reach.
    """

    def __init__(self, *, sign: Callable[[bytes, str], str], destinations: Destinations) -> None:
        self._sign = sign
        self._destinations = destinations

    async def tell(self, delivery: Delivery) -> None:
        """Deliver an event. If the receiver does not reply in time, retry once. The body of the reply is ignored."""
        reply = await self._try(delivery, delivery.hook, delivery.fields, _took_too_long)
        delivery.entry["outcome"] = "delivered" if reply.has_arrived else f"failed: {reply.reason}"

    async def request_ncco(self, delivery: Delivery) -> Answer:
        """Deliver an NCCO request, or an event whose reply may be an NCCO, and return the answer.

        If the delivery fails, request an NCCO from the application's fallback URL.
        """
        is_question = isinstance(delivery.effect, Fetch)
        hook, fallback = delivery.hook, delivery.application.fallback
        reply = await self._try(delivery, hook, delivery.fields, _may_pass)
        answer = self._read(delivery, reply)
        # The fallback is used after any failure of an answer_url, but only after a temporary failure of an event_url.
        has_failed = answer.actions is None and (is_question or _may_pass(reply))
        if fallback is None or not has_failed:
            return answer
        if self._destinations.find(fallback.url) is None:
            where = self._destinations.log_fields(fallback.url)
            delivery.entry["attempts"].append({**where, "reason": NOT_DELIVERED})
            return answer
        fields = delivery.fields | {
            "reason": answer.reason,
            "original_request": {"url": hook.url, "type": "answer" if is_question else "event"},
        }
        second = self._read(delivery, await self._try(delivery, fallback, fields, _may_pass))
        return replace(second, errors=answer.errors + second.errors)

    @cached_property
    def _slots(self) -> asyncio.Semaphore:
        """A semaphore for open requests. The limit leaves half of the file descriptors for clients."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_unbounded = soft == resource.RLIM_INFINITY
        return asyncio.Semaphore(SENDS_AT_ONCE if is_unbounded else max(1, min(SENDS_AT_ONCE, soft // 2)))

    async def _send(self, request: httpx.Request) -> Reply:
        """Wait until the limit on open requests allows *request*, and then send it.

        The time-out does not include the wait.
        """
        async with self._slots:
            return await send(request)

    async def _try(
        self,
        delivery: Delivery,
        hook: Hook,
        fields: dict[str, Any],
        is_worth_repeating: Callable[[Reply], bool],
    ) -> Reply:
        """Send *fields* to the URL of *hook*, and log each attempt.

        The request is retried if *is_worth_repeating* returns True for the first reply, or if a simulated fault
        requires a retry. Faults affect requests to the delivery's own URL, but not requests to the fallback URL.
        """
        fault = delivery.fault.what if delivery.fault and hook is delivery.hook else None
        where = {} if hook is delivery.hook else self._destinations.log_fields(hook.url)
        attempts = delivery.entry["attempts"]
        reply = NO_ANSWER
        for attempt in range(ATTEMPTS):
            is_unsigned = fault is FaultType.WEBHOOK_UNSIGNED and attempt == 0 and delivery.is_signed
            attempts.append(made := where | ({"signed": False} if is_unsigned else {}))
            if fault is not FaultType.WEBHOOK_DROP:
                try:
                    signer = None if is_unsigned else self._signer(delivery)
                    request = build(hook, fields, signer, self._destinations.find(hook.url))
                except Unsendable as exc:
                    made["reason"] = str(exc)
                    return Reply(trouble=str(exc))
                reply = await self._send(request)
                if fault is FaultType.WEBHOOK_DUPLICATE and attempt == 0 and reply.status is not None:
                    attempts.append((await self._send(request)).to_json() | {"duplicate": True})
                if fault is FaultType.ANSWER_TIMEOUT:
                    reply = NO_ANSWER
            made |= reply.to_json()
            # After a server error, an unsigned webhook is sent again with a token (documentation on signed webhooks).
            needs_signing = is_unsigned and reply.status in _SERVER_ERRORS
            if not needs_signing and not is_worth_repeating(reply):
                break
        return reply

    def _signer(self, delivery: Delivery) -> Callable[[bytes], str] | None:
        application_id = delivery.application.id
        return (lambda payload: self._sign(payload, application_id)) if delivery.is_signed else None

    def _read(self, delivery: Delivery, reply: Reply) -> Answer:
        """Read the answer from *reply*, and log the ``outcome`` of the delivery."""
        entry, is_event = delivery.entry, isinstance(delivery.effect, Event)
        if reply.trouble or not reply.has_arrived:
            entry["outcome"] = f"failed: {reply.reason}"
            return Answer(reason=reply.reason)
        entry["outcome"] = "delivered"
        if is_event and not reply.body.lstrip().startswith(b"["):
            return Answer()  # the usual "OK" reply: the call continues
        try:
            actions = _actions(reply, entry)
        except _BadNcco as exc:
            entry["outcome"] = f"bad NCCO: {exc}"
            return Answer(reason=str(exc), errors=(exc.event_reason,))
        if is_event and not actions:
            return Answer()
        if actions:
            entry["outcome"] = "delivered; the response was an NCCO"
        return Answer(actions=actions)


class _BadNcco(Exception):
    """Raised if a reply is not a valid NCCO. The exception's message gives the reason.

    Attributes:
        event_reason: The reason in the ``error`` event, in the platform's wording.
    """

    event_reason = BAD_NCCO


class _Markup(_BadNcco):
    """Raised if a reply is served as HTML or XML, which counts as a failed download, whatever the body contains."""

    def __init__(self, media_type: str) -> None:
        super().__init__(f"served as {media_type}, not as application/json")
        self.event_reason = f"Failed to download the NCCO: it is {self}."


def _actions(reply: Reply, entry: dict[str, Any]) -> Actions:
    """Read the NCCO in *reply*, and add it to *entry* as it is, unless it is very long."""
    if not reply.body.strip() and len(reply.body) <= MAX_BODY:
        return ()
    if reply.is_markup:
        raise _Markup(reply.media_type)
    try:
        raw = parse_json(reply.body)
    except UnreadableBody as exc:
        raise _BadNcco(str(exc)) from exc
    if len(reply.body) <= MAX_LOGGED:
        entry["ncco"] = raw
    errors: list[dict[str, str]] = []
    actions = read_ncco(raw, errors, may_be_empty=True)
    if errors:
        raise _BadNcco(_shortened("; ".join(f"{error['name']}: {error['reason']}" for error in errors)))
    return actions


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_OF_REASON else f"{text[:_MOST_OF_REASON]}..."


def _took_too_long(reply: Reply) -> bool:
    return reply.status is None and reply.is_timeout


def _may_pass(reply: Reply) -> bool:
    return bool(reply.trouble) or reply.status in _PASSING
