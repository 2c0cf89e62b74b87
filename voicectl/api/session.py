"""Sending a request as often as its kind allows: pace, retries, rate limits, and what each answer means.

A request is classed by what it does to people, never by its HTTP method (``Repeat``). One of which nothing was
sent may always be sent again; a whole refusal is final, but for 429, which is waited out; anything else after
the first byte is an unknown outcome, and only what is harmless twice is then sent twice.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from voicectl.api import replies
from voicectl.api.auth import MAX_OFFSET_SECONDS
from voicectl.api.replies import Reply
from voicectl.errors import (
    AuthError,
    DryRun,
    NoAnswer,
    NotFoundError,
    NotSent,
    OutcomeUnknown,
    RateLimitedError,
    TransportError,
)
from voicectl.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.api.auth import Credentials
    from voicectl.api.replies import Incoming
    from voicectl.api.wire import Wire
    from voicectl.clock import Clock

T = TypeVar("T")

REQUEST_SECONDS = 10.0
HANGUP_SECONDS = 20.0
HARMLESS_SECONDS = 3.0
WAIT_BUDGET_SECONDS = 60.0
MAX_READ_TRIES = 3
MAX_RATE_LIMIT_WAITS = 3

UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
REQUEST_TIMEOUT = 408
TOO_MANY_REQUESTS = 429

REDIRECTS = frozenset({301, 302, 303, 307, 308})
STREAMED = frozenset({200, 206, 416, *REDIRECTS})
"""What an answer with, or about, a large body may say."""


class Repeat(Enum):
    """What sending a request again would mean."""

    READ = "a read: three tries"
    NEVER = "a phone rings, or somebody hears it, twice"
    HANGUP = "nothing, and it matters: repeated for 20 s"
    HARMLESS = "nothing: repeated twice within 3 s"
    CALLER = "nothing, but others may have changed it: repeated by whoever asks for it, who looks first"


class Pace(Protocol):
    """Keeps all voicectl processes of a user under the platform's rate limits."""

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        """Wait for the turn of one request; return the seconds that took.

        Args:
            creates: Phones that the request makes ring, each of which counts as a "create call".
            others: 1 for any other request, else 0.
            urgent: Go before everybody else, and never fail.
            budget: Seconds that the wait may take.

        Raises:
            RateLimitedError: It would take longer.
        """
        ...


class Session:
    """Requests of one application, or of its account, to one host.

    Args:
        identify: Names who is signed in, and by what, in the explanation of a 401; called then only.
        absence_hint: What to do where nobody can be reached, if that is known.
        dry_run: Raise :class:`~voicectl.errors.DryRun` instead of sending anything that changes something.
        debug: Told of every request and reply in a line without digits or tokens.
        interrupts: Holds a signal back while a request that changes something is under way.
    """

    def __init__(
        self,
        wire: Wire,
        credentials: Credentials,
        pace: Pace,
        clock: Clock,
        *,
        request_timeout: float = REQUEST_SECONDS,
        dry_run: bool = False,
        identify: Callable[[], str] = str,
        absence_hint: str | None = None,
        on_clock_offset: Callable[[float], None] | None = None,
        debug: Callable[[str], None] | None = None,
        interrupts: Interrupts | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._wire = wire
        self._credentials = credentials
        self._pace = pace
        self._clock = clock
        self._timeout = request_timeout
        self._dry_run = dry_run
        self._identify = identify
        self._absence_hint = absence_hint
        self._on_clock_offset = on_clock_offset
        self._debug = debug
        self._interrupts = interrupts or Interrupts()
        self._rng = rng or random.Random()  # noqa: S311 (jitter)
        self._has_learnt = False  # from the last reply, that its token was made by a clock that was wrong

    @property
    def origin(self) -> str:
        """Where its requests go: scheme, host and port."""
        return self._wire.origin

    @property
    def timeout(self) -> float:
        """Seconds that one request may take."""
        return self._timeout

    @property
    def whose(self) -> str:
        """Who is signed in, in words."""
        return self._credentials.whose

    def read(
        self, target: str, read: Callable[[Any], T], *, within: float = math.inf, urgent: bool = False
    ) -> T:
        """Ask for something (``GET``), three times if need be, and return what *read* makes of the answer.

        Args:
            target: Path and query.
            read: Turns the JSON into a value, or raises :class:`~voicectl.errors.NoAnswer`.
            within: Seconds that all tries together may take.
            urgent: Go before other requests, and do not wait out a rate limit.

        Raises:
            ApiError: Refused.
            TransportError: No usable answer.
        """
        request = _Request("GET", target, None, Repeat.READ, dials=0, within=within, is_urgent=urgent)
        return self._send(
            request, partial(self._exchange, request), lambda reply: self._judge(request, reply, read)
        )

    def download(
        self,
        target: str,
        take: Callable[[Incoming], T],
        *,
        headers: Callable[[], dict[str, str]],
        silence: float,
        within: float,
    ) -> T:
        """Ask for something that may be large, three times if need be, and return what *take* makes of the answer.

        Args:
            target: Path and query.
            take: Reads the body of an answer of status 200, 206, 416 or a redirect's, or raises
                :class:`~voicectl.errors.NoAnswer`; it may be called once for each try.
            headers: What to send with each try.
            silence: Seconds without a byte of the body that are too many.
            within: Seconds that all tries together may take.

        Raises:
            ApiError: Refused.
            TransportError: No usable answer.
        """
        request = _Request("GET", target, None, Repeat.READ, dials=0, within=within, is_urgent=False)
        taken: list[T] = []

        def ask(elapsed: float) -> Reply:
            return self._observe(request, lambda: receive(within - elapsed))

        def receive(left: float) -> Reply:
            with self._wire.download(
                target,
                headers=headers() | {"Authorization": self._credentials.header()},
                timeout=self._timeout,
                silence=silence,
                within=left,
            ) as answer:
                self._learn(answer)
                if answer.status not in STREAMED:
                    return answer.whole()
                taken.append(take(answer))
                return Reply(answer.status, answer.headers, b"")

        return self._send(
            request, ask, lambda reply: taken[0] if taken else self._judge(request, reply, _nothing)
        )

    def change(
        self,
        method: str,
        target: str,
        body: dict[str, Any] | None,
        repeat: Repeat,
        read: Callable[[Any], T],
        *,
        dials: int = 0,
        within: float = HARMLESS_SECONDS,
    ) -> T:
        """Ask for a change, once or as often as *repeat* allows, and return what *read* makes of the answer.

        Args:
            target: Path and query.
            read: As for :meth:`read`.
            dials: Phones that it makes ring.
            within: Seconds for which a harmless request is repeated.

        Raises:
            ApiError: Refused: nothing was changed.
            TransportError: Nothing was sent, or no usable answer came to something harmless.
            OutcomeUnknown: It must not be repeated and may or may not have been done.
            DryRun: Nothing may be sent.
        """
        if self._dry_run:
            raise DryRun(method, self._wire.origin + target, body)
        is_urgent = repeat is Repeat.HANGUP
        request = _Request(method, target, body, repeat, dials=dials, within=within, is_urgent=is_urgent)
        return self._send(
            request, partial(self._exchange, request), lambda reply: self._judge(request, reply, read)
        )

    def _send(self, request: _Request, ask: Callable[[float], Reply], judge: Callable[[Reply], T]) -> T:
        """Send *request* as often as its class allows and return what *judge* makes of its answer.

        Args:
            ask: Sends it once, that many seconds after the first try.
        """
        started = self._clock.monotonic()
        waited = 0.0
        failures = 0
        limited = 0
        while True:
            with self._interrupts.waiting():
                waited += self._pace.take(
                    creates=request.dials,
                    others=int(request.method != "POST"),
                    urgent=request.is_urgent,
                    budget=WAIT_BUDGET_SECONDS - waited,
                )
            try:
                reply = ask(self._clock.monotonic() - started)
                if reply.status != TOO_MANY_REQUESTS:
                    return judge(reply)
            except (NotSent, NoAnswer) as exc:
                failures += 1
                elapsed = self._clock.monotonic() - started
                again = request.pause_after(exc, failures, elapsed, self._rng)
                if again is None:
                    self._give_up(request, exc)
                pause = again
            else:
                limited += 1
                pause = self._pause_after_429(request, reply, limited, waited)
                waited += pause
            with self._interrupts.waiting():
                self._clock.sleep(pause)

    def _exchange(self, request: _Request, elapsed: float) -> Reply:
        headers = {"Authorization": self._credentials.header()}
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(request.body).encode()
        is_read = request.repeat is Repeat.READ
        reply = self._observe(
            request,
            lambda: self._wire.exchange(
                request.method,
                request.target,
                headers=headers,
                body=body,
                timeout=min(self._timeout, max(request.within - elapsed, 0.1)) if is_read else self._timeout,
                fresh=request.repeat in (Repeat.NEVER, Repeat.CALLER),
            ),
        )
        self._learn(reply)
        return reply

    def _observe(self, request: _Request, send: Callable[[], Reply]) -> Reply:
        """Do *send*, signals held back as its kind asks for, and tell of it."""
        interrupts = self._interrupts
        is_read = request.repeat is Repeat.READ
        shield = (
            interrupts.waiting() if is_read else interrupts.shield(in_doubt=request.repeat is Repeat.NEVER)
        )
        line = f"{request.method} {self._wire.origin}{request.target}"
        started = self._clock.monotonic()
        try:
            with shield:
                reply = send()
        except TimeoutError as exc:  # that of a signal, a moment after the answer
            raise NoAnswer("interrupted") from exc
        except (NotSent, NoAnswer) as exc:
            self._log(f"{line}: {exc}")
            raise
        took = self._clock.monotonic() - started
        self._log(f"{line}: {reply.status} after {took * 1000:.0f} ms")
        return reply

    def _learn(self, answer: Reply | Incoming) -> None:
        """Take the API's clock for ours, from the head of an answer that has just come."""
        server_time = replies.server_time(answer)
        self._has_learnt = server_time is not None and self._credentials.correct(server_time)
        if self._has_learnt and self._on_clock_offset:
            self._on_clock_offset(self._credentials.offset)

    def _judge(self, request: _Request, reply: Reply, read: Callable[[Any], T]) -> T:
        """Tell done, refused and unknown apart.

        Raises:
            NoAnswer: The status says nothing certain (5xx, 408), or the body is not what was promised.
        """
        status = reply.status
        if 200 <= status < 300:
            return read(reply.json() if reply.body.strip() else None)
        if 300 <= status < 400:
            raise TransportError(
                f"{self._wire.host} answered with a redirect ({status}), which is never followed.",
                hint="A proxy or a wrong base URL does this: see 'voicectl doctor'.",
            )
        if status == REQUEST_TIMEOUT or not 400 <= status < 500:
            said = replies.refusal(reply)
            answered = NoAnswer(f"the API answered {said}")
            answered.status, answered.trace_id = said.status, said.trace_id
            raise answered
        said = replies.refusal(reply)
        if status in (UNAUTHORIZED, FORBIDDEN):
            raise self._unauthorized(said)
        if status == NOT_FOUND:
            raise NotFoundError(
                f"Nothing at {request.target.partition('?')[0]} on {self._wire.host} for"
                f" {self._credentials.whose}: {said}.",
                status=status,
                title=said.title,
                trace_id=said.trace_id,
                hint="The leg may be over, in another region, or another application's:"
                " 'voicectl call list --all'.",
            )
        raise replies.rejected(reply, request.target)

    def _unauthorized(self, said: replies.Refusal) -> AuthError:
        off = self._credentials.difference
        wrong = f"This machine's clock is {_duration(abs(off))} {'slow' if off > 0 else 'fast'}: set it."
        if said.status == FORBIDDEN:
            hint = "The account is not allowed to do this: ask its owner, or Vonage with the trace id."
        elif self._has_learnt and self._credentials.offset:
            hint = f"{wrong} The next command allows for it. {self._identify()}."
        elif self._has_learnt:
            hint = f"This machine's clock was set since the last command; the next allows for it. {self._identify()}."
        elif abs(off) > MAX_OFFSET_SECONDS:
            hint = f"{wrong} {self._identify()}."
        else:
            hint = f"{self._credentials.doubt} {self._identify()}."
        return AuthError(
            f"{self._wire.host} refused the credentials: {said}.",
            status=said.status,
            title=said.title,
            trace_id=said.trace_id,
            hint=hint,
        )

    def _pause_after_429(self, request: _Request, reply: Reply, limited: int, waited: float) -> float:
        """Seconds to wait before the next try after the *limited*-th 429 of a request.

        Raises:
            RateLimitedError: That was the last try, or the wait would be too long.
        """
        said = replies.refusal(reply)
        asked = replies.retry_after(reply)
        pause = asked if asked is not None else 2.0 ** (limited - 1) * self._rng.uniform(0.75, 1.25)
        budget = min(WAIT_BUDGET_SECONDS, request.within if request.repeat is Repeat.READ else math.inf)
        if limited > MAX_RATE_LIMIT_WAITS or waited + pause > budget:
            raise RateLimitedError(
                f"{self._wire.host} is still over its rate limit: {said}.",
                status=said.status,
                title=said.title,
                trace_id=said.trace_id,
                hint="Nothing was changed. "
                + (f"It asks for {asked:.0f} s of quiet." if asked else "Try again in a minute."),
            )
        return pause

    def _give_up(self, request: _Request, exc: TransportError) -> NoReturn:
        if request.repeat is Repeat.NEVER and isinstance(exc, NoAnswer):
            unknown = OutcomeUnknown(
                f"No usable answer from {self._wire.host}: {exc}. It may or may not have been done.",
                hint="It was not sent again. Look at the leg before you repeat it:"
                f" 'voicectl call show {_leg(request.target)}'.",
            )
            unknown.status, unknown.trace_id = exc.status, exc.trace_id
            raise unknown from exc
        self._interrupts.check()
        hint = "Check the network and the base URL with 'voicectl doctor', then give the command again."
        if isinstance(exc, NotSent) and self._absence_hint:
            hint = self._absence_hint
        error = TransportError(f"No usable answer from {self._wire.host}: {exc}.", hint=hint)
        error.status, error.trace_id = exc.status, exc.trace_id
        raise error from exc

    def _log(self, line: str) -> None:
        if self._debug:
            self._debug(line)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    body: dict[str, Any] | None
    repeat: Repeat
    dials: int
    within: float
    is_urgent: bool

    def pause_after(
        self, exc: TransportError, failures: int, elapsed: float, rng: random.Random
    ) -> float | None:
        """Seconds to wait after the *failures*-th failure; None if it must not be sent again."""
        match self.repeat:
            case Repeat.NEVER:
                pause = rng.uniform(0.5, min(8.0, 2.0**failures))
                return pause if isinstance(exc, NotSent) and failures < MAX_READ_TRIES else None
            case Repeat.HANGUP:
                pause = rng.uniform(0.5, 2.0)
                return pause if elapsed + pause < self.within else None
            case Repeat.HARMLESS:
                pause = rng.uniform(0.2, 1.0)
                return pause if failures <= 2 and elapsed + pause < self.within else None
            case Repeat.CALLER:
                return None
        pause = rng.uniform(0.5, min(8.0, 2.0**failures))
        return pause if failures < MAX_READ_TRIES and elapsed + pause < self.within else None


def _leg(target: str) -> str:
    """The leg that a request is about, ``LEG`` if it names none: ``/v1/calls/{uuid}/talk``."""
    words = target.partition("?")[0].split("/")
    return words[3] if words[1:3] == ["v1", "calls"] and len(words) > 3 else "LEG"


def _duration(seconds: float) -> str:
    """``7 min 12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "0 s"


def done(body: Any) -> None:
    """For an answer whose status says it all; its body is empty or an object, or it is not the API's."""
    if body is not None and not isinstance(body, dict):
        raise NoAnswer("the answer is not an object")


def _nothing(_: Any) -> NoReturn:
    """For a success that comes without what was asked for."""
    raise NoAnswer("the answer holds nothing")
