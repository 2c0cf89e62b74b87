"""Listing live legs and rooms for shell completion, in a process that runs in the background."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from voicectl.core.calls.conversations import grouped
from voicectl.core.completion import rooms
from voicectl.store.live_cache import MAX_LEGS, LiveCache, Rooms
from voicectl.voice.call import LIVE

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.api.client import VoiceApi
    from voicectl.api.conversations import ConversationApi
    from voicectl.voice.call import Call

MAX_CONVERSATIONS = 300
"""The maximum number of conversations to list."""


def refresh(directory: Path, now: float, api: VoiceApi, conversations: ConversationApi) -> None:
    """List the live legs, and store them in the cache. If completion offers rooms, do the same with the legs' rooms.

    Only parts of long lists are read, because other commands share the rate limit.

    Args:
        directory: The application's state directory.
        now: The current time, in Unix seconds.

    Raises:
        ApiError, TransportError: The API refused a request, or did not respond.
    """
    cache = LiveCache(directory)
    legs: dict[str, Call] = {}
    pages: list[bool] = []
    for status in LIVE:
        found = api.get_calls(status=status, order=None, on_page=pages.append)
        legs |= {call.uuid: call for call in islice(found, MAX_LEGS)}
    is_whole = not any(
        pages
    )  # a leg can move between pages, and be missed, while a list of several pages is read
    cache.keep(now, list(legs.values()), is_whole=is_whole)
    if not rooms(directory, now):
        return
    listed = list(grouped(legs.values(), islice(conversations.list(), MAX_CONVERSATIONS)))
    known = [each.conversation for each in listed if each.conversation is not None]
    names = frozenset(each.name for each in known if each.is_room)
    cache.keep_rooms(Rooms(now, is_whole and len(known) == len(listed), names))
