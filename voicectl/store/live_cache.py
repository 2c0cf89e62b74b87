"""The live cache: the live legs as last listed, for shell completion, which must answer without a request.

The cache is one small file that is written whole. Errors in writing it are ignored.
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
"""Most legs that are stored; a longer listing is cut."""


class Sighting(NamedTuple):
    """A leg as it was listed; every text but ``uuid`` may be empty.

    Attributes:
        start_time: The start time as the API wrote it.
        first: Time of the first listing that contained the leg, in Unix seconds.
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
    """The live legs at one time.

    Attributes:
        at: Time of the listing, in Unix seconds.
        is_whole: True if the listing contains all live legs.
    """

    at: float
    is_whole: bool
    legs: tuple[Sighting, ...]


class LiveCache:
    """The last listing of one application.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "listed"

    def keep(self, at: float, calls: Sequence[Call]) -> None:
        """Store all live legs as listed at that time, in Unix seconds."""
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
