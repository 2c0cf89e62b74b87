"""The settings of a receiver: its collaborators and its limits."""

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
    """Limits on waiting for the user's app, and on events waiting for it.

    Attributes:
        answer_seconds: Longest wait for the NCCO of a call; the platform waits 5 s for it.
        event_seconds: Longest wait for the answer to an event; the platform waits 10 s.
        behind: Most events that may wait to be passed on.
    """

    answer_seconds: float = 4.0
    event_seconds: float = 8.0
    behind: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The parts that a receiver works with.

    Attributes:
        open_store: Opens the event store, in the thread that uses it.
        verifier: Verifies signatures; None if no secret is known: then no request counts as signed.
        is_unsigned_allowed: True to keep unsigned events.
        answers: The NCCOs of calls.
        forwarder: Passes webhooks on to the user's own app; closed when the server stops.
        on_kept: Called on the loop with the stored events; must return at once.
        retry_seconds: Seconds between a failure of the store and the next try.
        grace_seconds: Longest time that open requests and writes may take after the server is asked to stop.
        warn: Called with each warning, from any thread; must return at once, too.
    """

    open_store: Callable[[], EventStore]
    spool: Spool
    verifier: Verifier | None
    is_unsigned_allowed: bool = False
    answers: Answers | None = None
    forwarder: Forwarder | None = None
    limiter: ConnectionLimiter = field(default_factory=ConnectionLimiter)
    bounds: Bounds = field(default_factory=Bounds)
    retry_seconds: float = RETRY_SECONDS
    grace_seconds: float = 5.0
    clock: Clock = field(default_factory=SystemClock)
    on_kept: Callable[[Sequence[tuple[Arrival, Kept]]], None] = lambda _: None
    warn: Warnings = field(default_factory=lambda: Warnings(lambda _: None))
