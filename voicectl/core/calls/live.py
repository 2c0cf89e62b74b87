"""Which legs are live: a question that the API answers one status at a time, while they move.

Source: Voice API reference, ``GET /v1/calls``: ``status`` takes one value, and a leg that leaves it between two pages
shifts the rest forward, so that some are never shown.
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
    """All legs in the live *statuses*, each once, as last seen.

    They are asked in the order in which a leg passes through them, so that one that moves on meanwhile is seen again
    rather than missed. A status of several pages is asked again until nothing new comes, at most :data:`MAX_ROUNDS`
    times: where calls begin all the time something new always comes.

    Args:
        within: Asked before each round how many seconds each of its pages may take.
        on_cut: Told if something new came in the last round still: there may be more.
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
