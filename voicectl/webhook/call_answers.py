"""Answers calls with NCCOs from ``--answer`` or the user's own app, without delay, since callers are waiting."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicectl.voice.event import Kind
from voicectl.webhook.event_writer import NotKept
from voicectl.webhook.messages import FORGED, JSON, LATE, NOWHERE, UNREADABLE, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.store.events import Arrival
    from voicectl.webhook.event_writer import EventWriter
    from voicectl.webhook.messages import Request, ResponseCache
    from voicectl.webhook.settings import Settings
    from voicectl.webhook.status import Metrics
    from voicectl.webhook.user_app import UserApp

MAX_TOKENS = 20_000
"""The maximum number of remembered tokens: more than can arrive while a token is valid."""

MAX_LEGS = 10_000
_MARKUP = re.compile(r"text/html|(text|application)/xml|.+\+xml")
"""The media types from which the platform reads no NCCO.

Source: Vonage support article "What happens if the NCCO download request fails?".
"""

REPLAYED = "refused a request: its token was already used for a different request"


class SeenTokens:
    """The latest tokens of requests for an NCCO, each with the key of the request in which it was first used."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, bytes] = OrderedDict()

    def is_first(self, jti: str, key: bytes) -> bool:
        """Return True if the token with id *jti* is new, or was first used in the request whose key is *key*."""
        known = self._keys.setdefault(jti, key)
        if len(self._keys) > MAX_TOKENS:
            self._keys.popitem(last=False)
        return known == key

    def remember(self, tokens: Sequence[tuple[str, bytes]]) -> None:
        """Add tokens that an earlier process accepted, as pairs of a token id and the key of a request."""
        for jti, key in tokens:
            self.is_first(jti, key)


@dataclass(slots=True, kw_only=True)
class CallAnswers:
    """Answers the webhooks that ask for an NCCO.

    Args:
        tokens: The tokens that have been accepted so far in requests for an NCCO.
        app: The user's app, or None if the option ``--forward-to`` is not used.
    """

    settings: Settings
    writer: EventWriter
    metrics: Metrics
    tokens: SeenTokens
    app: UserApp | None
    cache: ResponseCache
    _directions: OrderedDict[str, str] = field(default_factory=OrderedDict, init=False)

    def note_direction(self, arrival: Arrival) -> None:
        """Record the direction of a leg, if *arrival* is an event that reports it.

        The rules need the direction, but a request for an NCCO does not contain it.
        """
        leg, answers = arrival.leg, self.settings.answers
        if answers is None or leg is None or arrival.kind != Kind.STATUS or leg in self._directions:
            return
        direction = arrival.fields.get("direction")
        if direction in ("inbound", "outbound"):
            self._directions[leg] = direction
            if len(self._directions) > MAX_LEGS:
                self._directions.popitem(last=False)

    async def respond(self, arrival: Arrival, request: Request) -> Response:
        """Return the response with the NCCO for a call. The request is queued, to be stored in the background."""
        warn = self.settings.warn
        if arrival.jti is not None and not self.tokens.is_first(arrival.jti, arrival.key):
            warn("replayed", REPLAYED)
            return FORGED
        try:
            self.writer.keep_later(arrival)
        except NotKept:
            self.metrics.dropped("answer")
            warn(
                "answer not kept",
                "answered a call but did not store its request: too many events are waiting for the store",
            )
        if arrival.fault is not None:
            warn(
                f"fault {arrival.fault}",
                f"could not answer a call: its request cannot be read: {arrival.fault}",
            )
            return UNREADABLE
        key = None if arrival.jti is None else arrival.key + arrival.jti.encode()
        return await self.cache.get(key, lambda: self._ncco(arrival, request))

    async def _ncco(self, arrival: Arrival, request: Request) -> Response:
        if self.app is not None and self.app.is_for_app(request):
            response, is_accepted = await self._ask(self.app, request)
            return response if response and is_accepted else self._flow(arrival) or response or LATE
        if (response := self._flow(arrival)) is not None:
            return response
        which = f"leg {arrival.leg}" if arrival.leg else "a call"
        self.settings.warn("no flow", f"could not answer {which}: {self._reason()}")
        return NOWHERE

    def _reason(self) -> str:
        if self.settings.answers is not None:
            return "no rule in the --answer file matches"
        if self.app is not None:
            return "your application has no fallback webhook"
        return "neither --answer nor --forward-to is given"

    def _flow(self, arrival: Arrival) -> Response | None:
        """Return a response with the NCCO from ``--answer``, or None if no rule matches the call."""
        if self.settings.answers is None:
            return None
        direction = self._directions.get(arrival.leg or "", "inbound")
        ncco = self.settings.answers.answer(arrival.fields, direction=direction)
        return None if ncco is None else Response(200, ncco, JSON)

    async def _ask(self, app: UserApp, request: Request) -> tuple[Response | None, bool]:
        """Return the response of the user's app, or None, and True if the platform would accept it as an NCCO.

        A response that the platform would not accept is reported, and returned as it came.
        """
        started = time.perf_counter()
        response = await app.ask(request, self.settings.bounds.answer_seconds)
        if response is None or response.fault is not None:
            return response, False
        left = max(self.settings.bounds.answer_seconds - (time.perf_counter() - started), 0.5)
        fault = await _fault(response, left)
        if fault is not None:
            self.settings.warn(f"bad answer: {fault}", f"your server's response to a call is {fault}")
        return response, fault is None


async def _fault(response: Response, seconds: float) -> str | None:
    """Return the reason why the platform reads no NCCO from *response*, or None. An empty body means no actions."""
    from voicectl.webhook.forward import ncco_fault_aside  # noqa: PLC0415 (this import loads httpx)

    if not response.body.strip():
        return None
    if _is_page(response):
        return f"served as {response.content_type}, which the platform does not accept: serve it as application/json"
    fault = await ncco_fault_aside(response.body, within=seconds)
    return fault and f"not usable as an NCCO: {fault}"


def _is_page(response: Response) -> bool:
    """Return True if the platform refuses the response because of its media type, whatever its body contains."""
    media_type = (response.content_type or "").partition(";")[0].strip().lower()
    return _MARKUP.fullmatch(media_type) is not None
