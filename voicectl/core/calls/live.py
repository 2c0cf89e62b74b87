"""Listing live legs. The API lists only one status at a time, and legs may change their status between requests.

Source: Voice API reference, ``GET /v1/calls``: ``status`` takes one value. If a leg leaves that status between the
requests for two pages, the remaining legs move forward in the list, so that some legs are on neither page.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voicectl.voice.call import LIVE, Call, CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.api.client import VoiceApi

MAX_ROUNDS = 5


def live_calls(
    api: VoiceApi,
    *,
    statuses: Sequence[CallStatus] = LIVE,
    date_start: str | None = None,
    date_end: str | None = None,
    conversation_uuid: str | None = None,
    within: Callable[[], float] = lambda: math.inf,
    on_cut: Callable[[], None] | None = None,
) -> list[Call]:
    """Return the latest record of each leg that is in one of the live *statuses*.

    The statuses are listed in the order in which a leg passes through them, so that a leg whose status changes
    meanwhile is seen twice rather than missed. If the list for a status has several pages, it is read again until it
    contains no new leg, but at most :data:`MAX_ROUNDS` times in all, since new calls may keep arriving.

    Args:
        within: A function that is called before a list is read. It returns the time limit for the request for each
            page, in seconds.
        on_cut: A function that is called if a list still contained a new leg when it was read for the last time. The
            result may then be incomplete.
    """
    found: dict[str, Call] = {}
    for status in statuses:
        for _ in range(MAX_ROUNDS):
            pages: list[bool] = []
            known = len(found)
            for call in api.get_calls(
                status=status,
                date_start=date_start,
                date_end=date_end,
                conversation_uuid=conversation_uuid,
                order=None,
                on_page=pages.append,
                within=within(),
            ):
                found[call.uuid] = call
            if not any(pages) or len(found) == known:
                break
        else:
            if on_cut:
                on_cut()
    return list(found.values())
