"""Sending requests: rate limiter, signals, repeated attempts, 429s, and dry runs, which stop here.

Whether a request is sent again is decided in :mod:`~voicectl.api.repetition`; what a refusal means, in
:mod:`~voicectl.api.refusals`. A whole refusal is final, but for 429, which is waited out.
"""

from __future__ import annotations

import json
import math
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from voicectl.api import refusals, replies
from voicectl.api.repetition import Repeat, Request
from voicectl.errors import DryRun, NoAnswer, NotSent, OutcomeUnknown, RateLimitedError, TransportError
from voicectl.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.api.auth import Credentials
    from voicectl.api.replies import Incoming, Reply
    from voicectl.api.wire import Wire
    from voicectl.clock import Clock

T = TypeVar("T")

REQUEST_SECONDS = 10.0
WAIT_BUDGET_SECONDS = 60.0
MAX_RATE_LIMIT_WAITS = 3

REDIRECTS = frozenset({301, 302, 303, 307, 308})
STREAMED = frozenset({200, 206, 416, *REDIRECTS})
"""What an answer with, or about, a large body may say."""


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

    Attributes:
        origin: Where its requests go: scheme, host and port.
        whose: Who is signed in, in words.
        timeout: Seconds that one request may take.
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
        self.origin = wire.origin
        self.whose = credentials.whose
        self.timeout = request_timeout
        self._wire = wire
        self._credentials = credentials
        self._pace = pace
        self._clock = clock
        self._dry_run = dry_run
        self._identify = identify
        self._absence_hint = absence_hint
        self._on_clock_offset = on_clock_offset
        self._log = debug or (lambda _: None)
        self._interrupts = interrupts or Interrupts()
        self._rng = rng or random.Random()  # noqa: S311 (jitter)

    def send(self, request: Request[T]) -> T:
        """Send *request* as often as its kind allows, and return what it reads in the answer.

        Raises:
            ApiError: Refused: nothing was changed.
            TransportError: Nothing was sent, or no usable answer came to something harmless.
            OutcomeUnknown: It must not be repeated and may or may not have been done.
            DryRun: Nothing that changes something may be sent.
        """
        if self._dry_run and not request.is_read:
            raise DryRun(request.method, self.origin + request.target, request.body)
        return self._repeat(request, self._exchange)

    def download(
        self,
        target: str,
        take: Callable[[Incoming], T],
        *,
        headers: Callable[[], dict[str, str]],
        silence: float,
        within: float,
        if_absent: str,
    ) -> T:
        """Ask for something that may be large, three times if need be, and return what *take* makes of the answer.

        Args:
            target: Path and query.
            take: Reads the body of an answer of status 200, 206, 416 or a redirect's, or raises
                :class:`~voicectl.errors.NoAnswer`; it may be called once for each try.
            headers: What to send with each try.
            silence: Seconds without a byte of the body that are too many.
            within: Seconds that all tries together may take.
            if_absent: What to do after a 404.

        Raises:
            ApiError: Refused.
            TransportError: No usable answer.
        """

        def receive(request: Request[T], elapsed: float) -> T:
            with (
                self._in_flight(request) as statuses,
                self._wire.download(
                    target,
                    headers=headers() | {"Authorization": self._credentials.header()},
                    timeout=self.timeout,
                    silence=silence,
                    within=within - elapsed,
                ) as answer,
            ):
                self._learn(answer)
                statuses.append(answer.status)
                if answer.status in STREAMED:
                    return take(answer)
                reply = answer.whole()
            return self._read(request, reply)

        request: Request[T] = Request(
            Repeat.READ, "GET", target, _nothing, within=within, if_absent=if_absent
        )
        return self._repeat(request, receive)

    def _repeat(self, request: Request[T], attempt: Callable[[Request[T], float], T]) -> T:
        """Make attempts at *request* as often as its kind allows.

        Args:
            attempt: Sends it once; is given the seconds since the first.
        """
        started = self._clock.monotonic()
        waited = 0.0
        failures = limited = 0
        while True:
            with self._interrupts.waiting():
                waited += self._pace.take(
                    creates=request.dials,
                    others=int(request.method != "POST"),
                    urgent=request.is_urgent,
                    budget=WAIT_BUDGET_SECONDS - waited,
                )
            try:
                return attempt(request, self._clock.monotonic() - started)
            except (NotSent, NoAnswer) as exc:
                failures += 1
                elapsed = self._clock.monotonic() - started
                again = request.pause_after(exc, failures, elapsed, self._rng)
                if again is None:
                    raise self._failure(request, exc) from exc
                pause = again
            except RateLimitedError as exc:
                limited += 1
                if exc.retry_after is None:
                    pause = 2.0 ** (limited - 1) * self._rng.uniform(0.75, 1.25)
                else:
                    pause = exc.retry_after
                waited += pause
                budget = min(WAIT_BUDGET_SECONDS, request.within if request.is_read else math.inf)
                if limited > MAX_RATE_LIMIT_WAITS or waited > budget:
                    raise
            with self._interrupts.waiting():
                self._clock.sleep(pause)

    def _exchange(self, request: Request[T], elapsed: float) -> T:
        headers = {"Authorization": self._credentials.header()}
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(request.body).encode()
        left = max(request.within - elapsed, 0.1) if request.is_read else math.inf
        with self._in_flight(request) as statuses:
            reply = self._wire.exchange(
                request.method,
                request.target,
                headers=headers,
                body=body,
                timeout=min(self.timeout, left),
                fresh=request.repeat in (Repeat.NEVER, Repeat.CALLER),
            )
            statuses.append(reply.status)
        self._learn(reply)
        return self._read(request, reply)

    @contextmanager
    def _in_flight(self, request: Request[T]) -> Iterator[list[int]]:
        """Hold signals back as the request's kind asks for, and log the status of its answer, which is added."""
        if request.is_read:
            shield = self._interrupts.waiting()
        else:
            shield = self._interrupts.shield(in_doubt=request.repeat is Repeat.NEVER)
        line = f"{request.method} {self.origin}{request.target}"
        started = self._clock.monotonic()
        statuses: list[int] = []
        try:
            with shield:
                yield statuses
        except TimeoutError as exc:  # that of a signal, a moment after the answer
            raise NoAnswer("interrupted") from exc
        except (NotSent, NoAnswer) as exc:
            self._log(f"{line}: {exc}")
            raise
        took = self._clock.monotonic() - started
        self._log(f"{line}: {statuses[0]} after {took * 1000:.0f} ms")

    def _learn(self, answer: Reply | Incoming) -> None:
        """Take the API's clock for ours, from the head of an answer that has just come."""
        if self._credentials.correct(replies.server_time(answer)) and self._on_clock_offset:
            self._on_clock_offset(self._credentials.offset)

    def _read(self, request: Request[T], reply: Reply) -> T:
        """What *request* reads in its answer, if it was done."""
        if 200 <= reply.status < 300:
            return request.read(reply.json() if reply.body.strip() else None)
        raise refusals.error(
            reply,
            request,
            host=self._wire.host,
            whose=self.whose,
            doubt=lambda: f"{self._credentials.doubt} {self._identify()}.",
        )

    def _failure(self, request: Request[T], exc: TransportError) -> TransportError | OutcomeUnknown:
        """The error for a request that is not sent again after *exc*."""
        said = f"No usable answer from {self._wire.host}: {exc}."
        error: TransportError | OutcomeUnknown
        if request.repeat is Repeat.NEVER and isinstance(exc, NoAnswer):
            look = request.if_unknown or (
                f"Check the leg before you repeat it: 'voicectl call show {request.leg or 'LEG'}'."
            )
            error = OutcomeUnknown(
                f"{said} The request may or may not have been carried out.",
                hint=f"It was not sent again. {look}",
            )
        else:
            self._interrupts.check()
            hint = "Check the network and the base URL with 'voicectl doctor', then run the command again."
            if isinstance(exc, NotSent) and self._absence_hint:
                hint = self._absence_hint
            error = TransportError(said, hint=hint)
        error.status, error.trace_id = exc.status, exc.trace_id
        return error


def _nothing(_: Any) -> NoReturn:
    """For a success that comes without what was asked for."""
    raise NoAnswer("the answer is empty")
