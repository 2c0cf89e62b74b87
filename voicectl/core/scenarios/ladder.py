"""The trace of a test's calls, from the sandbox's log."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voicectl.core.timeline.sources import Gathered
from voicectl.store.events import Arrival, Route, Stored
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicectl.core.timeline.order import Trace
    from voicectl.voice.call import Call

_KINDS = frozenset(Kind)
_OF_LOG = ("n", "kind", "host_time", "call_time")


def traced(log: Sequence[dict[str, Any]]) -> tuple[Trace, Mapping[str, Call]]:
    """Return the trace of the events in *log*, and the records of the legs."""
    events = {entry["n"]: _event(entry) for entry in log if entry["kind"] in _KINDS}
    last = max((each.arrival.received for each in events.values()), default=0.0)
    found = Gathered(asked_at=last, has_events=True, events=events)
    return found.trace(), found.records()


def _event(entry: dict[str, Any]) -> Stored:
    fields = {name: value for name, value in entry.items() if name not in _OF_LOG}
    body = json.dumps(fields | {"timestamp": entry["call_time"]}).encode()
    received = datetime.fromisoformat(entry["call_time"]).timestamp()
    arrival = Arrival.read(
        received=received, route=Route.EVENT, method="POST", query=b"", body=body, is_signed=True
    )
    return Stored(entry["n"], arrival, 0)
