"""Hanging up, which must not give up: the button that is pressed when something went wrong.

Before it a message may be said, and is let be heard to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.api.repetition import HANGUP_SECONDS
from voicectl.core.calls import regions
from voicectl.errors import ApiError, AuthError, NotFoundError, RateLimitedError, TransportError
from voicectl.voice import speech

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.history import History

PAUSE_SECONDS = 1.0
LOOK_SECONDS = 2.0
BAD_REQUEST = 400

LEAD_SECONDS = 1.0
"""From the answer of the API until the voice begins."""

SLOWNESS = 1.25
"""How much slower than estimated a voice may be: they differ, and so do languages."""

MAX_SPEECH_SECONDS = 180.0
"""The longest text takes a little more than two minutes; the breaks of SSML could stretch it without end."""

LEAST_SECONDS = 0.01


def hang_up(api: VoiceApi, clock: Clock, uuid: str, history: History | None = None) -> bool:
    """End a leg; False if it was over already.

    A leg younger than a second or two answers 400, and so may one that is ringing: it is read, and tried
    again until 20 seconds after the first try, also if it cannot be read. A 404 is looked into as well: over is done,
    by its record, in whichever region it is, or, where that is gone, by events that were signed. One that lives in
    another region is then ended there.

    Args:
        history: The stored events, if there are any.

    Raises:
        NotFoundError: No region knows the leg, and no event says that it is over.
        ApiError: It still refused after 20 seconds.
        TransportError: No usable answer in that time, or none that tells whether a leg that is not found is over;
            RateLimitedError: the latter was asked for too often.
    """
    give_up = clock.monotonic() + HANGUP_SECONDS
    while True:
        asked = api.host(uuid)
        try:
            api.hangup(uuid, within=give_up - clock.monotonic())
        except ApiError as exc:
            if not isinstance(exc, NotFoundError) and exc.status != BAD_REQUEST:
                raise
            unread: Exception | None = None
            try:
                if _is_over(api, uuid, exc, history):
                    return False
            except (TransportError, RateLimitedError) as silence:
                unread = silence
            if clock.monotonic() + PAUSE_SECONDS > give_up:
                if unread is not None:  # a 404 of one host says little
                    raise unread from exc
                exc.hint = (
                    f"It was refused for {HANGUP_SECONDS:.0f} s. Look at the leg: voicectl call show {uuid}"
                )
                raise
            if api.host(uuid) == asked:
                clock.sleep(PAUSE_SECONDS)
        else:
            return True


def _is_over(api: VoiceApi, uuid: str, refusal: ApiError, history: History | None) -> bool:
    """Whether the record says so, or, where the leg was not found and the record is not to be had, a signed event.

    Raises:
        ApiError, TransportError: The leg was not found, and nothing tells whether it is over.
    """
    within = regions.SECONDS if isinstance(refusal, NotFoundError) else LOOK_SECONDS
    try:
        return api.get_call(uuid, within=within, urgent=True).is_final
    except AuthError:
        raise
    except (NotFoundError, TransportError, RateLimitedError):
        if isinstance(refusal, NotFoundError):
            told = None if history is None else history.leg(uuid)
            if told is None or told.vouched is None or not told.vouched.is_final:
                raise  # what anybody may have sent is no reason to let go
            return True
    except ApiError:
        pass
    return False


def speech_seconds(text: str) -> float:
    """Seconds to wait until *text* is said, from when it was asked for."""
    return min(LEAD_SECONDS + SLOWNESS * speech.seconds(text), MAX_SPEECH_SECONDS)


def let_finish(api: VoiceApi, clock: Clock, uuids: Sequence[str], *, until: float) -> None:
    """Wait until a moment of the monotonic clock, or until none of the legs hears anything any more.

    One leg is looked at a second, as long as it is live; one that cannot be looked at is taken for live.
    """
    listening = list(uuids)
    while listening and (left := until - clock.monotonic()) > 0:
        clock.sleep(min(PAUSE_SECONDS, max(left, LEAST_SECONDS)))
        while listening and until > clock.monotonic() and _hears_no_more(api, listening[0]):
            del listening[0]


def _hears_no_more(api: VoiceApi, uuid: str) -> bool:
    try:
        return api.get_call(uuid, within=LOOK_SECONDS, urgent=True).is_final
    except AuthError:
        raise
    except NotFoundError:
        return True
    except (ApiError, TransportError):
        return False
