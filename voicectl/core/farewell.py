"""Letting a message be heard to its end, before the legs that hear it are hung up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.errors import ApiError, AuthError, NotFoundError, TransportError
from voicectl.voice import speech

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock

LEAD_SECONDS = 1.0
"""From the answer of the API until the voice begins."""

SLOWNESS = 1.25
"""How much slower than estimated a voice may be: they differ, and so do languages."""

MAX_SECONDS = 180.0
"""The longest text takes a little more than two minutes; the breaks of SSML could stretch it without end."""

POLL_SECONDS = 1.0
LEAST_SECONDS = 0.01
LOOK_SECONDS = 2.0


def seconds(text: str) -> float:
    """How long to wait until *text* is said, from when it was asked for."""
    return min(LEAD_SECONDS + SLOWNESS * speech.seconds(text), MAX_SECONDS)


def let_finish(api: VoiceApi, clock: Clock, uuids: Sequence[str], *, until: float) -> None:
    """Wait until a moment of the monotonic clock, or until none of the legs hears anything any more.

    One leg is looked at a second, as long as it is live; one that cannot be looked at is taken for live.
    """
    listening = list(uuids)
    while listening and (left := until - clock.monotonic()) > 0:
        clock.sleep(min(POLL_SECONDS, max(left, LEAST_SECONDS)))
        while listening and until > clock.monotonic() and _is_over(api, listening[0]):
            del listening[0]


def _is_over(api: VoiceApi, uuid: str) -> bool:
    try:
        return api.get_call(uuid, within=LOOK_SECONDS, urgent=True).is_final
    except AuthError:
        raise
    except NotFoundError:
        return True
    except (ApiError, TransportError):
        return False
