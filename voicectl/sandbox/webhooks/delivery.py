"""Delivering one event or NCCO request to its webhook: the attempts, the fallback, and the reply.

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
from voicectl.sandbox.faults import Fault, FaultType
from voicectl.sandbox.parsing.ncco import read_ncco
from voicectl.sandbox.telephony.actions import Actions
from voicectl.sandbox.telephony.effects import Event, Fetch
from voicectl.sandbox.webhooks.request import NO_ANSWER, Reply, Unsendable, build, send, without_password

ATTEMPTS = 2
"""Maximum number of requests to one URL for one delivery."""

SENDS_AT_ONCE = 512
"""Maximum number of requests under way to all receivers. It is lower if the process has few file descriptors."""

OFF_LIMITS = "not delivered: the host is neither loopback nor an --allow-host"

_PASSING = (429, 503, 504)
"""The HTTP statuses after which a request for an NCCO is sent a second time."""

_SERVER_ERRORS = range(500, 600)

_MOST_OF_REASON = 500  # characters of an NCCO's errors, which are sent to the fallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a request for an NCCO.

    Attributes:
        actions: The NCCO, or None if there is no NCCO. It is empty if an ``answer_url`` replied with an empty NCCO.
        reason: The reason why there is no NCCO.
        bad: The errors of each reply that should have been an NCCO but was not valid.
    """

    actions: Actions | None = None
    reason: str = ""
    bad: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One event or NCCO request to be delivered.

    Attributes:
        effect: The event or the request, or None for an event of the Conversation API.
        hook: The webhook that receives the event or the request.
        fields: The fields to send.
        line: The uuid of a leg or conversation. Requests with the same line are sent in order.
        application: The application that owns the webhook. It may have a fallback.
        is_signed: True if the requests carry a signed token.
        entry: The log entry, whose ``attempts`` and ``outcome`` the client fills in.
        fault: The fault that affects the delivery, or None.
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
        """The receiver and the line. Deliveries with the same receiver and line keep their order."""
        return self.receiver, self.line


class WebhookClient:
    """A client that sends the requests of many deliveries at a time.

    Args:
        sign: Returns a signed token for a payload, given the application's id.
        may_reach: Returns True if a URL is on a host that the sandbox may reach.
    """

    def __init__(self, *, sign: Callable[[bytes, str], str], may_reach: Callable[[str], bool]) -> None:
        self._sign = sign
        self._may_reach = may_reach

    async def tell(self, delivery: Delivery) -> None:
        """Deliver an event, and ignore the body of the reply.

        The event is sent again only if the receiver took too long. After any other failure, the event is lost.
        """
        reply = await self._try(delivery, delivery.hook, delivery.fields, _took_too_long)
        delivery.entry["outcome"] = "delivered" if reply.has_arrived else f"failed: {reply.reason}"

    async def request_ncco(self, delivery: Delivery) -> Answer:
        """Deliver an NCCO request, or an event whose reply may be an NCCO, and return the answer.

        If the delivery fails, request an NCCO from the application's fallback.
        """
        is_question = isinstance(delivery.effect, Fetch)
        hook, fallback = delivery.hook, delivery.application.fallback
        reply = await self._try(delivery, hook, delivery.fields, _may_pass)
        answer = self._read(delivery, reply)
        # The fallback is used after any failure of an answer_url, but only after a temporary one of an event_url.
        has_failed = answer.actions is None and (is_question or _may_pass(reply))
        if fallback is None or not has_failed:
            return answer
        if not self._may_reach(fallback.url):
            delivery.entry["attempts"].append({"url": without_password(fallback.url), "reason": OFF_LIMITS})
            return answer
        fields = delivery.fields | {
            "reason": answer.reason,
            "original_request": {"url": hook.url, "type": "answer" if is_question else "event"},
        }
        second = self._read(delivery, await self._try(delivery, fallback, fields, _may_pass))
        return replace(second, bad=answer.bad + second.bad)

    @cached_property
    def _slots(self) -> asyncio.Semaphore:
        """A semaphore that limits open requests, to leave half of the file descriptors for clients."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_unbounded = soft == resource.RLIM_INFINITY
        return asyncio.Semaphore(SENDS_AT_ONCE if is_unbounded else max(1, min(SENDS_AT_ONCE, soft // 2)))

    async def _send(self, request: httpx.Request) -> Reply:
        """Send *request* when a slot is free. The wait for a slot does not count towards the time-out."""
        async with self._slots:
            return await send(request)

    async def _try(
        self,
        delivery: Delivery,
        hook: Hook,
        fields: dict[str, Any],
        is_worth_repeating: Callable[[Reply], bool],
    ) -> Reply:
        """Make up to two attempts at one URL, and log the attempts.

        Faults affect only the delivery's own URL, not the fallback.
        """
        fault = delivery.fault.what if delivery.fault and hook is delivery.hook else None
        where = {} if hook is delivery.hook else {"url": without_password(hook.url)}
        attempts = delivery.entry["attempts"]
        reply = NO_ANSWER
        for attempt in range(ATTEMPTS):
            is_unsigned = fault is FaultType.WEBHOOK_UNSIGNED and attempt == 0 and delivery.is_signed
            attempts.append(made := where | ({"signed": False} if is_unsigned else {}))
            if fault is not FaultType.WEBHOOK_DROP:
                try:
                    request = build(hook, fields, None if is_unsigned else self._signer(delivery))
                except Unsendable as exc:
                    made["reason"] = str(exc)
                    return Reply(trouble=str(exc))
                reply = await self._send(request)
                if fault is FaultType.WEBHOOK_DUPLICATE and attempt == 0 and reply.status is not None:
                    attempts.append((await self._send(request)).to_json() | {"duplicate": True})
                if fault is FaultType.ANSWER_TIMEOUT:
                    reply = NO_ANSWER
            made |= reply.to_json()
            # After a server error, an unsigned webhook is sent again with a token (documentation of signed webhooks).
            needs_signing = is_unsigned and reply.status in _SERVER_ERRORS
            if not needs_signing and not is_worth_repeating(reply):
                break
        return reply

    def _signer(self, delivery: Delivery) -> Callable[[bytes], str] | None:
        application_id = delivery.application.id
        return (lambda payload: self._sign(payload, application_id)) if delivery.is_signed else None

    def _read(self, delivery: Delivery, reply: Reply) -> Answer:
        """Return the answer in *reply*, and log the ``outcome`` of the delivery."""
        entry, is_event = delivery.entry, isinstance(delivery.effect, Event)
        if reply.trouble or not reply.has_arrived:
            entry["outcome"] = f"failed: {reply.reason}"
            return Answer(reason=reply.reason)
        entry["outcome"] = "delivered"
        if is_event and not reply.body.lstrip().startswith(b"["):
            return Answer()  # the usual "OK": the call goes on
        try:
            actions = _actions(reply.body)
        except _BadNcco as exc:
            entry["outcome"] = f"bad NCCO: {exc}"
            return Answer(reason=str(exc), bad=(str(exc),))
        if is_event and not actions:
            return Answer()
        if actions:
            entry["outcome"] = "delivered; the reply was an NCCO"
        return Answer(actions=actions)


class _BadNcco(Exception):
    """A reply is not a valid NCCO. The message says why."""


def _actions(body: bytes) -> Actions:
    if not body.strip() and len(body) <= MAX_BODY:
        return ()
    try:
        raw = parse_json(body)
    except UnreadableBody as exc:
        raise _BadNcco(str(exc)) from exc
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
