"""The live cache: the last listing of the live legs, for shell completion, which cannot wait for a request.

The cache is a small file that is always replaced as a whole. Write errors are ignored.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from voicectl.voice.call import Call

MAX_LEGS = 1000
"""The maximum number of legs to store. A longer listing is truncated."""


class Sighting(NamedTuple):
    """A leg in a listing. Every string except ``uuid`` may be empty.

    Attributes:
        start_time: The time at which the leg started, in the API's format.
        first: The time of the first listing that contained the leg, in Unix seconds.
    """

    uuid: str
    status: str
    direction: str
    to: str
    from_: str
    conversation_uuid: str
    start_time: str
    first: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the live legs, as returned by the API.

    Attributes:
        at: The time of the listing, in Unix seconds.
        is_whole: True if the listing contains all live legs.
    """

    at: float
    is_whole: bool
    legs: tuple[Sighting, ...]


class LiveCache:
    """A cache for the last listing of one application's live legs.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "listed"

    def keep(self, at: float, calls: Sequence[Call]) -> None:
        """Store *calls*, the live legs that were listed at the time *at* (Unix seconds)."""
        before = self.last()
        first = {} if before is None else {leg.uuid: leg.first for leg in before.legs}
        legs = [_sighting(call, first.get(call.uuid, at)) for call in calls[:MAX_LEGS]]
        content = json.dumps([at, len(calls) <= MAX_LEGS, legs]).encode()
        new = self._path.with_name(f"listed.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):
            try:
                handle = os.open(new, flags, 0o600)
                with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor)
                    file.write(content)
                new.replace(self._path)
            finally:
                new.unlink(missing_ok=True)

    def last(self) -> Listing | None:
        """Return the last listing, or None if it cannot be read."""
        try:
            at, is_whole, legs = json.loads(self._path.read_bytes())
            found = tuple(Sighting._make([*map(str, texts), float(first)]) for *texts, first in legs)
            return Listing(float(at), is_whole is True, found)
        except (OSError, ValueError, TypeError, RecursionError):
            return None


def _sighting(call: Call, first: float) -> Sighting:
    start = call.raw.get("start_time")
    return Sighting(
        uuid=call.uuid,
        status=call.status,
        direction=call.direction,
        to=endpoint.label(call.to) or "",
        from_=endpoint.label(call.from_) or "",
        conversation_uuid=call.conversation_uuid,
        start_time=start if isinstance(start, str) else "",
        first=first,
    )
