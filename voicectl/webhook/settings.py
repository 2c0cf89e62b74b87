"""The settings of a receiver: the objects that it uses, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicectl.clock import Clock, SystemClock
from voicectl.webhook.connection_limits import ConnectionLimiter
from voicectl.webhook.event_writer import RETRY_SECONDS
from voicectl.webhook.warnings import Warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.store.events import Arrival, EventStore, Kept
    from voicectl.store.events_spool import Spool
    from voicectl.webhook.answers import Answers
    from voicectl.webhook.forward import Forwarder
    from voicectl.webhook.signature import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits on how long to wait for the user's app, and on how many events may wait to be passed on to it.

    Attributes:
        answer_seconds: The longest time to wait for a call's NCCO, in seconds. The platform waits 5 seconds.
        event_seconds: The longest time to wait for the response to an event, in seconds. The platform waits 10
            seconds.
        behind: The maximum number of events that may wait to be passed on to the app.
    """

    answer_seconds: float = 4.0
    event_seconds: float = 8.0
    behind: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The objects that a receiver uses, and its limits.

    Attributes:
        open_store: A function that opens the event store. It is called in the thread that uses the store.
        spool: The spool, which keeps events while the store cannot be used.
        verifier: Verifies the signatures of webhooks. It is None if no secret is known; no webhook then counts as
            signed.
        is_unsigned_allowed: True to accept unsigned webhooks.
        public_host: The host of the URL at which the platform reaches the receiver, or None if it is not known.
        answers: The answers to calls, or None if there are none.
        forwarder: The object that passes webhooks on to the user's own app, or None if there is no such app. It is
            closed when the server stops.
        limiter: The object that enforces limits on connections.
        bounds: The limits on how long to wait for the user's app, and on how many events may wait.
        retry_seconds: The time between a failure of the store and the next attempt to use it, in seconds.
        grace_seconds: How long open requests and writes may take after the server is asked to stop, in seconds.
        on_kept: Called on the event loop with the stored events and their outcomes. It must not block.
        warn: Called with each warning, from any thread. It must not block.
    """

    open_store: Callable[[], EventStore]
    spool: Spool
    verifier: Verifier | None
    is_unsigned_allowed: bool = False
    public_host: str | None = None
    answers: Answers | None = None
    forwarder: Forwarder | None = None
    limiter: ConnectionLimiter = field(default_factory=ConnectionLimiter)
    bounds: Bounds = field(default_factory=Bounds)
    retry_seconds: float = RETRY_SECONDS
    grace_seconds: float = 5.0
    clock: Clock = field(default_factory=SystemClock)
    on_kept: Callable[[Sequence[tuple[Arrival, Kept]]], None] = lambda _: None
    warn: Warnings = field(default_factory=lambda: Warnings(lambda _: None))
