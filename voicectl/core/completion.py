"""Finding legs that are probably live, for shell completion, from data on this machine only.

The sources are the last listing of live legs, the journal, the event store and the action log. Legs that have ended
according to any source are left out. The remaining legs may have ended too, so the result shows when each leg began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voicectl.store.action_log import ActionLog
from voicectl.store.live_cache import LiveCache
from voicectl.voice.call import FINAL, hyphenated, is_leg_id
from voicectl.voice.event import DISCONNECTED, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from voicectl.store.completion_reads import RecentStatus
    from voicectl.store.live_cache import Listing

LISTED_SECONDS = 900.0
"""The maximum age at which a listing is still used, in seconds."""

LIFE_SECONDS = 7200.0
"""How long a call can last, in seconds, unless the call has a longer ``length_timer``."""

ROOM_SECONDS = 30 * 86_400.0
"""How long a room is offered as a completion after the last move into it, in seconds."""

SETTLE_SECONDS = 5.0
"""The maximum age at which a new call may still be missing from a listing, in seconds."""

_OVER = FINAL | {DISCONNECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A leg that may be live.

    Attributes:
        uuid: The leg's id as received: without hyphens for an inbound leg.
        first: The time of the first report of the leg, in Unix seconds. The leg began at this time or earlier.
        heard: The time of the last report of the leg's status, in Unix seconds.
        status: The last known status; empty if unknown.
        direction: ``inbound`` or ``outbound``; empty if unknown.
        to: The number, URI, user or extension called; empty if unknown.
        from_: The number, URI, user or extension of the caller; empty if unknown.
        conversation_uuid: The id of the leg's conversation; empty if unknown.
        began: The time when the leg began, in Unix seconds, or None if unknown.
    """

    uuid: str
    first: float
    heard: float
    status: str = ""
    direction: str = ""
    to: str = ""
    from_: str = ""
    conversation_uuid: str = ""
    began: float | None = None

    @property
    def other_end(self) -> str:
        """A description of the other end of the leg, such as ``to 447700900001``; empty if unknown."""
        if self.direction == "inbound" and self.from_:
            return f"from {self.from_}"
        return f"to {self.to}" if self.to else ""


def live_legs(directory: Path, now: float) -> list[Leg]:
    """Return the legs that may be live, newest first.

    Args:
        directory: The application's state directory.
        now: The current time, in Unix seconds.
    """
    listing = LiveCache(directory).last()
    if listing is not None and not 0 <= now - listing.at <= LISTED_SECONDS:
        listing = None
    legs = {hyphenated(leg.uuid): leg for leg in _listed(listing)}
    since = now - LIFE_SECONDS
    if any((directory / name).exists() for name in ("journal.db", "events.db")):
        from voicectl.store import completion_reads  # noqa: PLC0415 (loads SQLite)

        for call in completion_reads.recent_calls(directory, since):
            uuid = hyphenated(call.uuid)
            if uuid in legs:
                legs[uuid] = replace(legs[uuid], began=call.asked_at)
            elif not _is_missed(listing, call.asked_at):
                leg = Leg(uuid=call.uuid, first=call.asked_at, heard=call.asked_at, began=call.asked_at)
                legs[uuid] = replace(leg, direction="outbound", to=call.to, from_=call.from_)
        _hear(legs, completion_reads.recent_statuses(directory, since), listing)
    for note in ActionLog(directory).latest("hangup"):
        if note.at >= since and note.what == "hangup" and note.outcome in ("done", "already"):
            legs.pop(note.uuid, None)
    return sorted(legs.values(), key=lambda leg: -(leg.began or leg.first))


def rooms(directory: Path, now: float) -> dict[str, float]:
    """Return the rooms into which this machine recently moved legs, and the Unix time of the last move into each.

    The room with the most recent move comes first. Rooms without a live leg in a recent listing are omitted.

    Args:
        directory: The application's state directory.
        now: The current time, in Unix seconds.
    """
    found: dict[str, float] = {}
    for note in ActionLog(directory).latest("room"):
        room = note.detail.get("room")
        is_recent = note.at >= now - ROOM_SECONDS and note.outcome != "failed"
        if is_recent and isinstance(room, str) and room.isprintable():
            found.pop(room, None)
            found[room] = note.at
    listed = LiveCache(directory).rooms()
    if listed is not None and listed.is_whole and 0 <= now - listed.at <= LISTED_SECONDS:
        for room, at in list(found.items()):
            if room not in listed.names and listed.at > at + SETTLE_SECONDS:
                del found[room]
    return dict(reversed(found.items()))


def _listed(listing: Listing | None) -> Iterator[Leg]:
    if listing is not None:
        for seen in listing.legs:
            if is_leg_id(seen.uuid):
                yield Leg(
                    uuid=seen.uuid,
                    first=seen.first,
                    heard=listing.at,
                    status=seen.status,
                    direction=seen.direction,
                    to=seen.to,
                    from_=seen.from_,
                    conversation_uuid=seen.conversation_uuid,
                    began=moment(seen.start_time),
                )


def _hear(legs: dict[str, Leg], reported: Iterable[RecentStatus], listing: Listing | None) -> None:
    """Update *legs* with the statuses in *reported*, which come from events and are sorted from newest to oldest."""
    heard: set[str] = set()
    for event in reported:
        if not is_leg_id(event.uuid):
            continue
        uuid = hyphenated(event.uuid)
        if event.status in _OVER:
            legs.pop(uuid, None)
            heard.add(uuid)
        elif uuid in heard:
            if uuid in legs:
                legs[uuid] = replace(legs[uuid], first=min(legs[uuid].first, event.received))
        else:
            heard.add(uuid)
            known = legs.get(uuid)
            if known is None and _is_missed(listing, event.received):
                continue
            if known is None:
                direction = _text(event.fields.get("direction"))
                known = Leg(uuid=event.uuid, first=event.received, heard=0.0, direction=direction)
            if event.received > known.heard:
                known = replace(known, status=event.status, heard=event.received)
            legs[uuid] = replace(
                known,
                to=known.to or _text(event.fields.get("to")),
                from_=known.from_ or _text(event.fields.get("from")),
            )


def _is_missed(listing: Listing | None, since: float) -> bool:
    """Return True if *listing* would contain a leg that began at the time *since* if the leg were still live."""
    return listing is not None and listing.is_whole and listing.at > since + SETTLE_SECONDS


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
