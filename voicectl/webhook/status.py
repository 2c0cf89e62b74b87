"""The state of a receiver: Prometheus metrics, and the pages ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import ipaddress
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from voicectl.store.events import Outcome, Route
from voicectl.webhook.messages import FOREIGN, JSON, NOT_READ, NOWHERE, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import Scope

    from voicectl.store.events import Arrival, Kept
    from voicectl.webhook.event_writer import EventWriter

HEALTH = "/healthz"
METRICS = "/metrics"

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z.-]+))(?::[0-9]{0,5})?")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COMMIT_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one receiver."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._names: dict[str, Any] = {
            "namespace": "voicectl",
            "subsystem": "webhook",
            "registry": self._registry,
        }
        names = self._names
        self._answered = Counter(
            "requests", "Requests answered, by route and status.", ("route", "status"), **names
        )
        # Looking up a counter by its labels takes longer than incrementing the counter.
        self._by_status: dict[tuple[Route, int], Counter] = {}
        seconds = Histogram(
            "seconds",
            "Seconds from the end of a request's headers to its response.",
            ("route",),
            buckets=_BUCKETS,
            **names,
        )
        self._seconds = {route: seconds.labels(route) for route in Route}
        outcomes = Counter("events", "Webhooks given to the store, by outcome.", ("outcome",), **names)
        self._outcomes = {outcome: outcomes.labels(outcome) for outcome in Outcome}
        self._dropped = Counter("dropped", "Work dropped because of overload, by kind.", ("what",), **names)
        text = "Webhooks passed on, by route and outcome: answered, or failed (a late response counts as failed)."
        self._forwarded = Counter("forwards", text, ("route", "outcome"), **names)
        text = "Webhooks stored by each commit."
        self._together = Histogram("commit_events", text, buckets=_COMMIT_BUCKETS, **names)

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value comes from another object.

        Args:
            name: The name of the metric.
            text: The description of the metric.
            value: A function that returns the current value.
        """
        Gauge(name, text, **self._names).set_function(value)

    def answered(self, route: Route, status: int, seconds: float) -> None:
        """Count an answered request, and record how long it took to answer, in seconds."""
        child = self._by_status.get((route, status))
        if child is None:
            child = self._by_status[route, status] = self._answered.labels(route, status)
        child.inc()
        self._seconds[route].observe(seconds)

    def forwarded(self, route: Route, *, is_answered: bool) -> None:
        """Count a webhook that was passed on to the user's app, as answered or failed."""
        self._forwarded.labels(route, "answered" if is_answered else "failed").inc()

    def kept(self, pairs: Sequence[tuple[Arrival, Kept]]) -> None:
        """Record the size of a commit to the event store, and count the arrivals in the commit by outcome."""
        self._together.observe(len(pairs))
        for _, kept in pairs:
            self._outcomes[kept.outcome].inc()

    def dropped(self, what: str) -> None:
        """Count an item of the kind *what* that was dropped because the load was too high."""
        self._dropped.labels(what).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus text format."""
        return generate_latest(self._registry)


def is_status_page(scope: Scope) -> bool:
    """Return True if a request is for a status page."""
    return scope["path"] in (HEALTH, METRICS)


def status_page(scope: Scope, writer: EventWriter, metrics: Metrics) -> Response:
    """Return the response to a request for a status page.

    The host in the ``Host`` header must be an IP address or ``localhost``. This prevents DNS rebinding attacks.
    """
    path = scope["path"]
    if not is_status_page(scope):
        return NOWHERE
    if scope["method"] not in ("GET", "HEAD"):
        return NOT_READ
    if not is_own_host([value for name, value in scope["headers"] if name == b"host"]):
        return FOREIGN
    if path == METRICS:
        return Response(200, metrics.text(), CONTENT_TYPE_LATEST)
    health = {
        "status": "ok" if writer.has_store else "spooling",
        "store": "up" if writer.has_store else "down",
        "spooled": writer.spooled,
        "waiting": writer.waiting,
    }
    return Response(200, json.dumps(health).encode(), JSON)


def is_own_host(hosts: list[bytes], public: str | None = None) -> bool:
    """Return True if there is one ``Host`` header, and its host is an IP address, ``localhost`` or *public*."""
    if len(hosts) != 1:
        return False
    found = _HOST.fullmatch(hosts[0].decode("latin-1").strip().lower())
    if found is None:
        return False
    if public is not None and found[2] == public.lower():
        return True
    with suppress(ValueError):
        ipaddress.ip_address(found[1] or found[2])
        return True
    return found[2] == "localhost"
