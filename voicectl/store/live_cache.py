"""The live cache: the last listings of live legs and of rooms, for shell completion, which cannot wait for a request.

The cache consists of small files that are always replaced as a whole. Write errors are ignored.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from voicectl.errors import ConfigError
from voicectl.store import files
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from voicectl.voice.call import Call

MAX_LEGS = 1000
"""The maximum number of legs to store. A longer listing is truncated."""

REFRESH_SECONDS = 10.0
"""The shortest time between two refreshes of the cache, in seconds."""


class Sighting(NamedTuple):
    """A leg in a listing. Any string except ``uuid`` may be empty.

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
        at: The time at which the API listed the legs, in Unix seconds.
        is_whole: True if the listing contains all live legs.
    """

    at: float
    is_whole: bool
    legs: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Rooms:
    """The names of the rooms with live legs, as listed by the API.

    Attributes:
        at: The time of the listing, in Unix seconds.
        is_whole: True if the listing contains all rooms with live legs.
    """

    at: float
    is_whole: bool
    names: frozenset[str]


class LiveCache:
    """A cache for the last listings of one application's live legs and rooms.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, at: float, calls: Sequence[Call], *, is_whole: bool = True) -> None:
        """Store the live legs in *calls*, which were listed at the time *at* (Unix seconds).

        Args:
            is_whole: False if live legs may be missing from *calls*.
        """
        first = self.first_seen()
        legs = [_sighting(call, first.get(call.uuid, at)) for call in calls[:MAX_LEGS]]
        self._replace("listed", [at, is_whole and len(calls) <= MAX_LEGS, legs])

    def first_seen(self) -> dict[str, float]:
        """Return the Unix time at which each leg in the last listing was first listed, by the leg's id."""
        listing = self.last()
        return {} if listing is None else {leg.uuid: leg.first for leg in listing.legs}

    def last(self) -> Listing | None:
        """Return the last listing of live legs, or None if it cannot be read."""
        try:
            at, is_whole, legs = json.loads((self._directory / "listed").read_bytes())
            found = tuple(Sighting._make([*map(str, texts), float(first)]) for *texts, first in legs)
            return Listing(float(at), is_whole is True, found)
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def keep_rooms(self, rooms: Rooms) -> None:
        """Store a listing of rooms."""
        self._replace("rooms", [rooms.at, rooms.is_whole, sorted(rooms.names)])

    def rooms(self) -> Rooms | None:
        """Return the last listing of rooms, or None if it cannot be read."""
        try:
            at, is_whole, names = json.loads((self._directory / "rooms").read_bytes())
            return Rooms(float(at), is_whole is True, frozenset(map(str, names)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def begin_refresh(self, now: float) -> bool:
        """Return True if the cache should be refreshed now.

        In this case, the time is recorded, so that no other process of this user refreshes the cache too.

        Args:
            now: The current time, in Unix seconds.
        """
        try:
            files.private_directory(self._directory)
            with files.opened(self._directory / "refreshed", files.OWN) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if 0 <= now - _number(os.read(handle, 64)) < REFRESH_SECONDS:
                    return False
                os.ftruncate(handle, 0)
                os.pwrite(handle, repr(now).encode(), 0)
                return True
        except (OSError, ConfigError):
            return False

    def _replace(self, name: str, content: object) -> None:
        new = self._directory / f"{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):
            try:
                handle = os.open(new, flags, 0o600)
                with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor)
                    file.write(json.dumps(content).encode())
                new.replace(self._directory / name)
            finally:
                new.unlink(missing_ok=True)


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return -math.inf


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
