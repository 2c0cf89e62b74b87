"""The log of everything that happens in the sandbox, such as requests, events, webhooks and actions of parties."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from voicectl.times import rfc3339

KEPT = 100_000
"""The maximum number of log entries that are kept. The oldest entries are dropped first."""


class Log:
    """A log whose entries are JSON objects with ``n``, ``kind``, ``host_time``, ``call_time`` and other fields.

    The field ``n`` is the number of the entry, counted from 1.

    Args:
        host_time: A function that returns the time on the host clock, in Unix seconds.
        call_time: A function that returns the time on the call clock, in milliseconds since 1970.
    """

    def __init__(self, host_time: Callable[[], float], call_time: Callable[[], int]) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._written = 0
        self._host_time = host_time
        self._call_time = call_time

    def add(self, kind: str, *, at: int | None = None, **fields: Any) -> dict[str, Any]:
        """Add an entry to the log, and return the entry.

        The caller can change the entry later. For example, the ``status`` of a request is not known until the
        response has been created.

        Args:
            kind: ``request``, ``proxy``, ``webhook``, ``websocket``, ``party``, ``remark``, or the kind of an event,
                such as ``status``.
            at: The time on the call clock, in milliseconds since 1970, or None to use the current time.
            fields: The other fields of the entry.
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
        """Return an iterator over the kept entries whose numbers are greater than *n*, in order."""
        first = self._written - len(self._entries)
        return islice(self._entries, max(0, n - first), None)
