"""The log: every request, event and webhook, what happens to WebSockets, and remarks, numbered from 1."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from voicectl.times import rfc3339

KEPT = 100_000
"""How many entries are kept; the oldest go first."""


class Log:
    """Entries, each a JSON object with ``n``, ``kind``, ``host_time`` and ``call_time``.

    Args:
        host_time: Tells Unix seconds.
        call_time: Tells milliseconds of the call clock.
    """

    def __init__(self, host_time: Callable[[], float], call_time: Callable[[], int]) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._written = 0
        self._host_time = host_time
        self._call_time = call_time

    def add(self, kind: str, *, at: int | None = None, **fields: Any) -> dict[str, Any]:
        """Write an entry; its fields can be changed later, as a request's ``status`` is when it is answered.

        Args:
            kind: ``request``, ``webhook``, ``websocket``, ``party``, ``remark``, or an event's: ``status`` ...
            at: When it happened on the call clock, if not now.
            fields: The rest; what is None is kept, as ``null``.
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
        """The entries after number *n* that are still kept, in order."""
        first = self._written - len(self._entries)
        return islice(self._entries, max(0, n - first), None)
