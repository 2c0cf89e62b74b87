"""The log: every request, event and webhook, changes of WebSockets, and remarks, numbered from 1."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from voicectl.times import rfc3339

KEPT = 100_000
"""Most entries that are kept; the oldest are dropped first."""


class Log:
    """The entries of a log, each a JSON object with ``n``, ``kind``, ``host_time`` and ``call_time``.

    Args:
        host_time: Returns the time of the host clock, in Unix seconds.
        call_time: Returns the time of the call clock, in milliseconds.
    """

    def __init__(self, host_time: Callable[[], float], call_time: Callable[[], int]) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._written = 0
        self._host_time = host_time
        self._call_time = call_time

    def add(self, kind: str, *, at: int | None = None, **fields: Any) -> dict[str, Any]:
        """Add an entry and return it; its fields may change later (a request's ``status``, once it is answered).

        Args:
            kind: ``request``, ``webhook``, ``websocket``, ``party``, ``remark``, or an event's: ``status`` ...
            at: The time of the call clock; None means now.
            fields: The other fields; None becomes ``null``.
        """
        self._written += 1
        entry = {
            "n": self._written,
            "kind": kind,
            "host_time": rfc3339(round(self._host_time() * 1000)),
            "call_time": rfc3339(self._call_time() if at is None else at),
            **fields,
        }
        self._entries.append(entry)
        return entry

    def since(self, n: int) -> Iterator[dict[str, Any]]:
        """Return the entries after number *n* that are still kept, in order."""
        first = self._written - len(self._entries)
        return islice(self._entries, max(0, n - first), None)
