"""Sessions, which send requests and handle rate limits, signals, retries, 429 responses and dry runs.

The module :mod:`~voicectl.api.repetition` decides whether a request is sent again, and the module
:mod:`~voicectl.api.refusals` translates error responses. A refusal is final, with two exceptions: after a 429
response the session waits and sends the request again, and after a 401 response whose ``Date`` header shows that this
machine's clock is wrong, it sends the request once more, with a token for the correct time.
"""

from __future__ import annotations

import json
import math
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar
from urllib.parse import urlencode

from voicectl.api import refusals, replies
from voicectl.api.repetition import Repeat, Request
from voicectl.errors import (
    AuthError,
    DryRun,
    NoAnswer,
    NotSent,
    OutcomeUnknown,
    RateLimitedError,
    TransportError,
)
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
MAX_RATE_LIMIT_WAITS = 2

UNAUTHORIZED = 401
REDIRECTS = frozenset({301, 302, 303, 307, 308})
STREAMED = frozenset({200, 206, 416, *REDIRECTS})
"""The HTTP statuses of the responses that :meth:`Session.download` passes to its *take* argument."""


class Limiter(Protocol):
    """A rate limiter that all voicectl processes of a user share."""

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        """Wait until a request may be sent, and return the time spent waiting, in seconds.

        Args:
            creates: The number of phones that the request makes ring. Each counts as one "create call" request.
            others: 0 if the request is a "create call" request, 1 if it is any other request.
            urgent: True to let the request be sent before all others. This method then neither waits nor fails.
            budget: The longest time to wait, in seconds.

        Raises:
            RateLimitedError: The wait would exceed *budget*.
        """
        ...


class Session:
    """A session for sending requests to one host, with the credentials of one application or account.

    Args:
        identify: A function that returns a description of the credentials and their source. It is called only after a
            401 response.
        absence_hint: The hint to give the user if the host cannot be reached, or None for the general hint.
        dry_run: True to raise :class:`~voicectl.errors.DryRun` instead of sending a request that changes something.
        debug: A function that is called with a line about each request and its outcome. The lines contain neither
            tokens nor DTMF digits.
        interrupts: The object that holds back signals while a request that changes something is in flight.
        before_first: A function that is called before the first request. If it raises an error, nothing is sent.
        wait_budget: The longest time to wait for the rate limiter and after 429 responses, for each request, in
            seconds.

    Attributes:
        origin: The scheme, host and port to which requests are sent.
        whose: A description of the application or account that the credentials belong to.
        timeout: The time limit for one attempt to send a request and read the response, in seconds.
    """

    def __init__(
        self,
        wire: Wire,
        credentials: Credentials,
        limiter: Limiter,
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
        before_first: Callable[[], None] | None = None,
        wait_budget: float = WAIT_BUDGET_SECONDS,
    ) -> None:
        self.origin = wire.origin
        self.whose = credentials.whose
        self.timeout = request_timeout
        self._wire = wire
        self._credentials = credentials
        self._limiter = limiter
        self._clock = clock
        self._dry_run = dry_run
        self._identify = identify
        self._absence_hint = absence_hint
        self._on_clock_offset = on_clock_offset
        self._log = debug or (lambda _: None)
        self._interrupts = interrupts or Interrupts()
        self._before_first = before_first
        self._wait_budget = wait_budget
        self._rng = rng or random.Random()  # noqa: S311 (jitter)

    def send(self, request: Request[T]) -> T:
        """Send *request*, retry it if necessary and allowed, and return the value read from the response.

        Raises:
            ApiError: The API refused the request. Nothing was changed.
            TransportError: The request was not sent, or it got no usable response and can be retried without harm.
            OutcomeUnknown: The request may or may not have been carried out, and must not be retried.
            DryRun: The request would change something, and this is a dry run.
        """
        if self._dry_run and not request.is_read:
            url = self.origin + request.target
            raise DryRun(request.method, url, request.body, is_form=request.is_form)
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
        """Download a body that may be large, in up to three attempts, and return the result of *take*.

        Args:
            target: The path and query of the URL.
            take: A function that reads the body of a response with status 200, 206 or 416, or of a redirect, and that
                may raise :class:`~voicectl.errors.NoAnswer`. It is called at most once per attempt.
            headers: A function that is called before each attempt, and returns the headers for it.
            silence: The longest time to wait for the next byte of the body, in seconds.
            within: The time limit for all attempts together, in seconds.
            if_absent: The hint for a 404 response.

        Raises:
            ApiError: The API refused the request.
            TransportError: No usable response was received.
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
        """Send *request* with *attempt*, retry it if necessary and allowed, and return the result.

        Args:
            attempt: A function that sends the request once. Its second argument is the time since the first attempt,
                in seconds.
        """
        if self._before_first is not None:
            self._before_first()
            self._before_first = None
        started = self._clock.monotonic()
        waited = 0.0
        failures = limited = 0
        has_signed_again = False
        while True:
            with self._interrupts.waiting():
                waited += self._limiter.take(
                    creates=request.dials,
                    others=int(request.method != "POST" or not request.dials),
                    urgent=request.is_urgent,
                    budget=self._wait_budget - waited,
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
            except AuthError as exc:
                if exc.status != UNAUTHORIZED or has_signed_again or not self._credentials.was_corrected:
                    raise
                has_signed_again = True
                continue
            except RateLimitedError as exc:
                limited += 1
                if exc.retry_after is None:
                    pause = 2.0 ** (limited - 1) * self._rng.uniform(0.75, 1.25)
                else:
                    pause = exc.retry_after
                waited += pause
                budget = min(self._wait_budget, request.within if request.is_read else math.inf)
                if limited > MAX_RATE_LIMIT_WAITS or waited > budget:
                    raise
            with self._interrupts.waiting():
                self._clock.sleep(pause)

    def _exchange(self, request: Request[T], elapsed: float) -> T:
        headers = {"Authorization": self._credentials.header()}
        body = None
        if request.body is not None and request.is_form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(request.body).encode()
        elif request.body is not None:
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
        """Handle signals as *request* requires during the ``with`` block, and log the outcome at the end.

        The caller should add the HTTP status of the response, if there is one, to the yielded list.
        """
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
        except TimeoutError as exc:  # the alarm that a signal set went off just after the response
            raise NoAnswer("interrupted") from exc
        except (NotSent, NoAnswer) as exc:
            self._log(f"{line}: {exc}")
            raise
        took = self._clock.monotonic() - started
        self._log(f"{line}: {statuses[0]} after {took * 1000:.0f} ms")

    def _learn(self, answer: Reply | Incoming) -> None:
        """Correct the clock offset by using the ``Date`` header of a response that has just arrived."""
        if self._credentials.correct(replies.server_time(answer)) and self._on_clock_offset:
            self._on_clock_offset(self._credentials.offset)

    def _read(self, request: Request[T], reply: Reply) -> T:
        """Return the value that *request* reads from *reply*, or raise an error if the status is not 2xx."""
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
        """Return the error to raise if *request* failed with *exc* and is not sent again."""
        said = f"No usable response from {self._wire.host}: {exc}."
        error: TransportError | OutcomeUnknown
        if request.repeat is Repeat.NEVER and isinstance(exc, NoAnswer):
            look = request.if_unknown or (
                f"Check the leg before you repeat the request: 'voicectl call show {request.leg or 'LEG'}'."
            )
            error = OutcomeUnknown(
                f"{said} The request may or may not have been carried out.",
                hint=f"The request was not sent again. {look}",
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
    """Reject a successful response that does not contain the requested content."""
    raise NoAnswer("the response is empty")
