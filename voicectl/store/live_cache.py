"""The live legs as they were listed last, for completion: it must answer at once, and asks nobody.

One small file, written whole; where that cannot be done it is done without.
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
"""How many are kept; a listing of more is kept in part."""


class Sighting(NamedTuple):
    """A leg as it was listed; each may be empty but the first.

    Attributes:
        start_time: As the API wrote it.
        first: When it was listed first, in Unix seconds.
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
    """What was listed at one time.

    Attributes:
        at: Unix seconds.
        is_whole: Whether a leg that is not in it was not live.
    """

    at: float
    is_whole: bool
    legs: tuple[Sighting, ...]


class Sightings:
    """The last listing of one application.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "listed"

    def keep(self, at: float, calls: Sequence[Call]) -> None:
        """Keep all live legs as they were listed at that time, in Unix seconds."""
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
        """The last listing, if there is one that can be read."""
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
