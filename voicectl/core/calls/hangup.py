"""Hanging up, with repeated attempts: it is what people use when something has gone wrong.

A message may be spoken first; the legs are ended once it has been heard.
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
"""Seconds from the API's reply until the voice begins."""

SLOWNESS = 1.25
"""Factor by which speech may take longer than estimated: voices and languages differ."""

MAX_SPEECH_SECONDS = 180.0
"""Longest time to wait for speech. The longest text takes about two minutes, but SSML breaks have no limit."""

LEAST_SECONDS = 0.01


def hang_up(api: VoiceApi, clock: Clock, uuid: str, history: History | None = None) -> bool:
    """End a leg, and return False if it had already ended.

    The API answers 400 for a leg that is only a second or two old, and may do so for a ringing one. voicectl then
    reads the leg and, unless it has ended, tries again until 20 seconds after the first attempt. After a 404 it looks
    for the leg in every region, and ends it where it is found. A leg counts as ended if its record, or, without a
    record, a signed event shows it.

    Args:
        history: The stored events, if there are any.

    Raises:
        NotFoundError: No region knows the leg, and no signed event shows that it has ended.
        ApiError: The API still refused after 20 seconds.
        TransportError: There was no usable answer in that time, or, after a 404, none that shows whether the leg has
            ended.
        RateLimitedError: The API limited the requests that would show whether the leg has ended.
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
                if unread is not None:  # a 404 from one host proves little
                    raise unread from exc
                exc.hint = (
                    f"The API refused for {HANGUP_SECONDS:.0f} s. See the leg: voicectl call show {uuid}"
                )
                raise
            if api.host(uuid) == asked:
                clock.sleep(PAUSE_SECONDS)
        else:
            return True


def _is_over(api: VoiceApi, uuid: str, refusal: ApiError, history: History | None) -> bool:
    """Return True if the leg has ended: by its record, or by a signed event if it was not found and has no record.

    Raises:
        ApiError, TransportError: The leg was not found, and neither a record nor an event shows that it has ended.
    """
    within = regions.SECONDS if isinstance(refusal, NotFoundError) else LOOK_SECONDS
    try:
        return api.get_call(uuid, within=within, urgent=True).is_final
    except AuthError:
        raise
    except (NotFoundError, TransportError, RateLimitedError):
        if isinstance(refusal, NotFoundError):
            reported = None if history is None else history.leg(uuid)
            if reported is None or reported.verified is None or not reported.verified.is_final:
                raise  # an unsigned event may be forged, so it does not count
            return True
    except ApiError:
        pass
    return False


def speech_seconds(text: str) -> float:
    """Return the seconds to wait for *text* to be spoken, from the request on."""
    return min(LEAD_SECONDS + SLOWNESS * speech.seconds(text), MAX_SPEECH_SECONDS)


def let_finish(api: VoiceApi, clock: Clock, uuids: Sequence[str], *, until: float) -> None:
    """Wait until the monotonic time *until*, or until all legs have ended.

    One leg is read each second, until it has ended; a leg that cannot be read counts as live.
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
