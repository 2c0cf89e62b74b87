"""The receiver: verifies webhooks, answers calls from memory, and acknowledges events once they are kept.

It is an ASGI application by itself: a framework's routing and response objects would cost as much again as a request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from voicectl.errors import SignatureError
from voicectl.store.events import Arrival, Outcome, Route
from voicectl.voice.call import HUMAN, CallStatus
from voicectl.voice.event import DISCONNECTED, Kind
from voicectl.webhook import metrics
from voicectl.webhook.event_writer import NotKept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Message, Receive, Scope, Send

    from voicectl.clock import Clock
    from voicectl.webhook.answers import Answers
    from voicectl.webhook.event_writer import Keeper
    from voicectl.webhook.forward import Forwarder
    from voicectl.webhook.metrics import Metrics
    from voicectl.webhook.signature import Verifier
    from voicectl.webhook.warnings import Troubles

PREFIX = "/webhooks/"
HEALTH = "/healthz"
METRICS = "/metrics"

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_ROUTES = {PREFIX + route: route for route in Route}
_METHODS = frozenset({"GET", "POST"})
_SUCCESSES = range(200, 206)

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

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z.]+))(?::[0-9]{0,5})?")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long the user's app is waited for, and how much is remembered.

    Attributes:
        answer_seconds: For the NCCO of a call; the platform waits 5 s for it.
        event_seconds: For the answer to an event; the platform waits 10 s.
        behind: How many events may wait to be passed on.
        passing: How many are passed on at once.
        legs: Whose direction is known.
        tokens: With which calls were asked about; more than come in while one is fresh.
        answers: That may be given again; ``answer_bytes``: of all of them.
    """

    answer_seconds: float = 4.0
    event_seconds: float = 8.0
    behind: int = 1_000
    passing: int = 8
    legs: int = 10_000
    tokens: int = 20_000
    answers: int = 4_096
    answer_bytes: int = 16 << 20


BOUNDS = Bounds()


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    more: tuple[tuple[bytes, bytes], ...] = ()

    def messages(self) -> tuple[Message, Message]:
        """As ASGI sends it."""
        headers = [(b"content-length", str(len(self.body)).encode()), *self.more]
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type.encode("latin-1", "replace")))
        return (
            {"type": "http.response.start", "status": self.status, "headers": headers},
            {"type": "http.response.body", "body": self.body},
        )


OK = Answer(200)
UNREADABLE = Answer(400, b"Bad Request: no JSON object\n", TEXT)
FORGED = Answer(401, b"Unauthorized\n", TEXT)
FOREIGN = Answer(403, b"Forbidden: ask for it by its address\n", TEXT)
NOWHERE = Answer(404, b"Not Found\n", TEXT)
NOT_SO = Answer(405, b"Method Not Allowed\n", TEXT, ((b"allow", b"GET, POST"),))
NOT_READ = Answer(405, b"Method Not Allowed\n", TEXT, ((b"allow", b"GET, HEAD"),))
BUG = Answer(500, b"Internal Server Error\n", TEXT)
UNSIGNED = Answer(503, b"Service Unavailable: send it signed\n", TEXT)
NOT_TAKEN = Answer(503, b"Service Unavailable: it cannot be kept now\n", TEXT)
LATE = Answer(504, b"Gateway Timeout\n", TEXT)

_OK_MESSAGES = OK.messages()

REPLAYED = "refused a request whose token came before, with something else"


class _Asked(NamedTuple):
    """A request, as it may have to be passed on."""

    route: Route
    method: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    peer: str | None


class Receiver:
    """The application.

    Args:
        verifier: Judges signatures; None if no secret is known: then nobody is believed.
        is_unsigned_allowed: Keep what is not signed, too.
        answers: The NCCOs of calls.
        forwarder: Asks the user's own app.
    """

    def __init__(
        self,
        *,
        keeper: Keeper,
        verifier: Verifier | None,
        is_unsigned_allowed: bool,
        answers: Answers | None,
        forwarder: Forwarder | None,
        clock: Clock,
        metrics: Metrics,
        troubles: Troubles,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._keeper = keeper
        self._verifier = verifier
        self._is_unsigned_allowed = is_unsigned_allowed
        self._answers = answers
        self._forwarder = forwarder
        self._clock = clock
        self._metrics = metrics
        self._tell = troubles
        self._directions: OrderedDict[str, str] = OrderedDict()
        self._tokens: OrderedDict[str, bytes] = OrderedDict()
        self._bounds = bounds
        self._remembered = _Memory(bounds)
        self._asking: dict[bytes, asyncio.Task[Answer]] = {}
        self._behind: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Semaphore(bounds.passing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        route = _ROUTES.get(scope["path"])
        try:
            if route is None:
                answer: Answer | None = self._page(scope)
            elif scope["method"] not in _METHODS:
                answer = NOT_SO
            else:
                answer = await self._hear(route, scope, receive)
        except Exception:
            logger.exception("A request to %s went wrong", scope["path"])
            answer = BUG
        except asyncio.CancelledError:
            return  # broken off at the end: the server would call that our bug
        if answer is None:
            return
        if route is not None:
            self._metrics.answered(route, answer.status, time.perf_counter() - started)
        for message in _OK_MESSAGES if answer is OK else answer.messages():
            await send(message)

    def remember(self, tokens: Sequence[tuple[str, bytes]]) -> None:
        """Learn which calls' tokens, each with the key of what it came with, an earlier process took."""
        for jti, key in tokens:
            self._is_first(jti, key)

    async def close(self, seconds: float) -> None:
        """Let what is passed on in the background come to its end, for so long."""
        if self._behind:
            await asyncio.wait(self._behind, timeout=seconds)
        for task in (late := [*self._behind, *self._asking.values()]):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _hear(self, route: Route, scope: Scope, receive: Receive) -> Answer | None:
        """The answer to a webhook; None if the client left before it was all there."""
        body = await _body(receive)
        if body is None:
            return None
        method, query, headers, client = (
            scope[key] for key in ("method", "query_string", "headers", "client")
        )
        return await self._take(_Asked(route, method, query, headers, body, client and client[0]))

    async def _take(self, asked: _Asked) -> Answer:
        route, method, query, headers, body, _ = asked
        if method == "GET" and body:
            return UNREADABLE  # a signature would not cover it
        jti = None
        if self._verifier is not None:
            tokens = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
            if tokens or not self._is_unsigned_allowed:
                try:
                    jti = self._verifier.verify(
                        method=method, query=query, body=body, authorization=tokens
                    ).jti
                except SignatureError as exc:
                    hint = f" {exc.hint}" if exc.hint else ""
                    self._tell(exc.message, f"refused a request to {PREFIX}{route}: {exc.message}{hint}")
                    return UNSIGNED if exc.is_unsigned else FORGED
        if jti is None:
            self._tell(
                "unsigned", f"took a request to {PREFIX}{route} that nobody vouches for: --allow-unsigned"
            )
        arrival = Arrival.read(
            received=self._clock.time(),
            route=route,
            method=method,
            query=query,
            body=body,
            is_signed=jti is not None,
            jti=jti,
        )
        if arrival.kind in (Route.ANSWER, Route.FALLBACK):
            return await self._answer(arrival, asked)
        return await self._keep(arrival, asked)

    async def _keep(self, arrival: Arrival, asked: _Asked) -> Answer:
        """An event: acknowledged once it is kept."""
        started = time.perf_counter()
        try:
            kept = await self._keeper.keep(arrival)
        except NotKept:
            self._tell("not kept", "refused an event that cannot be kept; the platform may send it again")
            return NOT_TAKEN
        if kept.outcome is Outcome.REPLAYED:
            self._tell("replayed", REPLAYED)
            return FORGED
        if arrival.fault is not None:
            self._tell("fault", f"kept an event that cannot be read: {arrival.fault}")
            return UNREADABLE
        self._notice(arrival)
        if self._forwarder is None:
            return OK
        if _may_return_ncco(arrival):
            left = max(self._bounds.event_seconds - (time.perf_counter() - started), 1.0)
            return await self._once(arrival.key, lambda: self._ask_about_event(asked, left))
        if kept.outcome is Outcome.NEW:
            self._pass_on(asked)
        return OK

    async def _answer(self, arrival: Arrival, asked: _Asked) -> Answer:
        """A person is waiting: answered at once, and kept when that can be done."""
        if arrival.jti is not None and not self._is_first(arrival.jti, arrival.key):
            self._tell("replayed", REPLAYED)
            return FORGED
        try:
            self._keeper.keep_later(arrival)
        except NotKept:
            self._metrics.dropped("answer")
            self._tell(
                "answer not kept", "answered a call without keeping what it asked: too much waits already"
            )
        if arrival.fault is not None:
            self._tell("fault", f"could not answer a call: what it asks cannot be read: {arrival.fault}")
            return UNREADABLE
        key = None if arrival.jti is None else arrival.key + arrival.jti.encode()
        if self._forwarder is not None:
            return await self._once(key, lambda: self._ask_for_ncco(arrival, asked))
        answer = None if key is None else self._remembered.get(key)
        if answer is None:
            answer = self._flow(arrival) or self._no_flow(arrival)
            if key is not None and answer.status in _SUCCESSES:
                self._remembered.put(key, answer)
        return answer

    def _is_first(self, jti: str, key: bytes) -> bool:
        """Whether a token comes for the first time, or with nothing else than it came with."""
        known = self._tokens.setdefault(jti, key)
        if len(self._tokens) > self._bounds.tokens:
            self._tokens.popitem(last=False)
        return known == key

    def _flow(self, arrival: Arrival) -> Answer | None:
        """The NCCO of ``--answer``; None if none is for this call."""
        if self._answers is None:
            return None
        direction = self._directions.get(arrival.leg or "", "inbound")
        ncco = self._answers.answer(arrival.fields, direction=direction)
        return None if ncco is None else Answer(200, ncco, JSON)

    def _no_flow(self, arrival: Arrival) -> Answer:
        why = "no rule of --answer fits" if self._answers else "there is neither --answer nor --forward-to"
        self._tell("no flow", f"could not answer leg {arrival.leg or '-'}: {why}")
        return NOWHERE

    async def _ask_for_ncco(self, arrival: Arrival, asked: _Asked) -> Answer:
        from voicectl.webhook.forward import ncco_fault_aside  # noqa: PLC0415 (loads httpx, for this only)

        started = time.perf_counter()
        answer = await self._ask(asked, self._bounds.answer_seconds)
        if answer is not None:
            left = max(self._bounds.answer_seconds - (time.perf_counter() - started), 0.5)
            fault = await ncco_fault_aside(answer.body, within=left)
            if fault is None:
                return answer._replace(content_type=JSON)
            self._tell("bad NCCO", f"your app answered a call with what is no NCCO: {fault}")
        return self._flow(arrival) or LATE

    async def _ask_about_event(self, asked: _Asked, seconds: float) -> Answer:
        return await self._ask(asked, seconds) or LATE

    def _pass_on(self, asked: _Asked) -> None:
        """Have the user's app told, with nobody waiting."""
        if len(self._behind) >= self._bounds.behind:
            self._metrics.dropped("forward")
            self._tell("behind", "did not pass an event on: your app is too slow; it is kept")
            return
        task = asyncio.create_task(self._pass(asked))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _pass(self, asked: _Asked) -> None:
        async with self._passing:
            await self._ask(asked, self._bounds.event_seconds)

    async def _ask(self, asked: _Asked, seconds: float) -> Answer | None:
        """What the user's app answers; None if it is late or broken."""
        assert self._forwarder is not None  # noqa: S101 (asked for only where there is one)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in asked.headers]
        reply = await self._forwarder.ask(
            asked.route, asked.method, asked.query, headers, asked.body, within=seconds, peer=asked.peer
        )
        self._metrics.forwarded(asked.route, is_answered=reply is not None)
        return None if reply is None else Answer(reply.status, reply.body, reply.content_type)

    async def _once(self, key: bytes | None, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What *ask* gives; the same again, without asking, where it was asked before and gave something."""
        if key is None:
            return await ask()
        if (known := self._remembered.get(key)) is not None:
            return known
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(self._asked_for(key, ask))
        return await asyncio.shield(task)

    async def _asked_for(self, key: bytes, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await ask()
        finally:
            del self._asking[key]
        if answer.status in _SUCCESSES:
            self._remembered.put(key, answer)
        return answer

    def _notice(self, arrival: Arrival) -> None:
        """Learn which way a leg goes, for the rules: what asks for an NCCO does not say."""
        leg = arrival.leg
        if self._answers is None or leg is None or arrival.kind != Kind.STATUS or leg in self._directions:
            return
        direction = arrival.fields.get("direction")
        if direction in ("inbound", "outbound"):
            self._directions[leg] = direction
            if len(self._directions) > self._bounds.legs:
                self._directions.popitem(last=False)

    def _page(self, scope: Scope) -> Answer:
        """A status page, to who asks by address: a web page whose name was pointed here (DNS rebinding) does not."""
        path = scope["path"]
        if path not in (HEALTH, METRICS):
            return NOWHERE
        if scope["method"] not in ("GET", "HEAD"):
            return NOT_READ
        if not _is_address([value for name, value in scope["headers"] if name == b"host"]):
            return FOREIGN
        if path == METRICS:
            return Answer(200, self._metrics.text(), metrics.CONTENT_TYPE)
        keeper = self._keeper
        health = {
            "status": "ok" if keeper.has_store else "spooling",
            "store": "up" if keeper.has_store else "down",
            "spooled": keeper.spooled,
            "waiting": keeper.waiting,
        }
        return Answer(200, json.dumps(health).encode(), JSON)


class _Memory:
    """Answers that were given, bounded: the oldest are forgotten first."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> Answer | None:
        return self._answers.get(key)

    def put(self, key: bytes, answer: Answer) -> None:
        self._answers[key] = answer
        self._bytes += len(answer.body)
        while len(self._answers) > self._bounds.answers or self._bytes > self._bounds.answer_bytes:
            self._bytes -= len(self._answers.popitem(last=False)[1].body)


async def _body(receive: Receive) -> bytes | None:
    """All of a request's body, which the gate bounds; None if the client left before."""
    message = await receive()
    if message["type"] != "http.request":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)


def _may_return_ncco(arrival: Arrival) -> bool:
    if arrival.route is Route.FALLBACK:
        return True  # only such events have one
    return arrival.kind in _ANSWERED_KINDS or (
        arrival.kind == Kind.STATUS and arrival.status in _ANSWERED_STATUSES
    )


def _is_address(hosts: list[bytes]) -> bool:
    """Whether ``Host`` is an address, or this machine's own name for itself."""
    if len(hosts) != 1:
        return False
    found = _HOST.fullmatch(hosts[0].decode("latin-1").strip().lower())
    if found is None:
        return False
    with suppress(ValueError):
        ipaddress.ip_address(found[1] or found[2])
        return True
    return found[2] == "localhost"
