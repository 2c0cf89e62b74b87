"""The pages that tell the state of a receiver: ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import ipaddress
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from voicectl.webhook import metrics as prometheus
from voicectl.webhook.messages import FOREIGN, JSON, NOT_READ, NOWHERE, Response

if TYPE_CHECKING:
    from starlette.types import Scope

    from voicectl.webhook.event_writer import EventWriter
    from voicectl.webhook.metrics import Metrics

HEALTH = "/healthz"
METRICS = "/metrics"

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z.]+))(?::[0-9]{0,5})?")


def status_page(scope: Scope, writer: EventWriter, metrics: Metrics) -> Response:
    """Return a page to who asks by address: a web page whose name was pointed here (DNS rebinding) does not."""
    path = scope["path"]
    if path not in (HEALTH, METRICS):
        return NOWHERE
    if scope["method"] not in ("GET", "HEAD"):
        return NOT_READ
    if not _is_address([value for name, value in scope["headers"] if name == b"host"]):
        return FOREIGN
    if path == METRICS:
        return Response(200, metrics.text(), prometheus.CONTENT_TYPE)
    health = {
        "status": "ok" if writer.has_store else "spooling",
        "store": "up" if writer.has_store else "down",
        "spooled": writer.spooled,
        "waiting": writer.waiting,
    }
    return Response(200, json.dumps(health).encode(), JSON)


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
