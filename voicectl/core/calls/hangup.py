"""Hanging up legs. Failed attempts are retried, because legs are often hung up in an emergency.

A message can be spoken to the legs first. In this case, the legs are ended once they have heard the message.
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
"""The assumed delay between the API's reply to a talk request and the start of the voice, in seconds."""

SLOWNESS = 1.25
"""The factor by which the estimated duration of speech is multiplied, since voices and languages differ in speed."""

MAX_SPEECH_SECONDS = 180.0
"""The longest time to wait for speech to end, in seconds.

The longest text that the API accepts takes 120 seconds, but SSML can add breaks of any length.
"""

LEAST_SECONDS = 0.01


def hang_up(api: VoiceApi, clock: Clock, uuid: str, history: History | None = None) -> bool:
    """End a leg.

    The API returns 400 for a leg that is only a second or two old, and may do so for a leg that is ringing. voicectl
    then reads the leg's record and, unless the leg has ended, tries again until 20 seconds after the first attempt.
    After a 404, voicectl looks for the leg in every region, and under the other spellings of its id, and ends the leg
    where it is found. A leg counts as ended if its record shows that it has ended. If there is no record, a signed
    event that shows the end of the leg is enough.

    Args:
        history: The stored events, or None if there is no event store.

    Returns:
        True if the leg was hung up, False if it had already ended.

    Raises:
        NotFoundError: No region knows the leg, and no signed event shows that the leg has ended.
        ApiError: The API still refused after 20 seconds.
        TransportError: The API gave no usable response within 20 seconds. Or the API returned 404, and no later
            response showed whether the leg has ended.
        RateLimitedError: The API rate-limited the requests that would show whether the leg has ended.
    """
    give_up = clock.monotonic() + HANGUP_SECONDS
    while True:
        asked = api.host(uuid), api.spelling(uuid)
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
                if unread is not None:  # a 404 from one host does not show that the leg has ended
                    raise unread from exc
                exc.hint = (
                    f"voicectl tried for {HANGUP_SECONDS:.0f} s, but the API kept refusing to hang up the leg. See"
                    f" its record: voicectl call show {uuid}"
                )
                raise
            if (api.host(uuid), api.spelling(uuid)) == asked:
                clock.sleep(PAUSE_SECONDS)
        else:
            return True


def _is_over(api: VoiceApi, uuid: str, refusal: ApiError, history: History | None) -> bool:
    """Return True if the leg's record shows that the leg has ended.

    If *refusal* is a 404 and no record can be read, return True if a signed event shows that the leg has ended.

    Raises:
        AuthError: The API refused the credentials.
        NotFoundError, TransportError, RateLimitedError: *refusal* is a 404, no record could be read, and no signed
            event shows that the leg has ended.
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
                raise  # an unsigned event does not count, since it may be forged
            return True
    except ApiError:
        pass
    return False


def speech_seconds(text: str) -> float:
    """Estimate how long it takes to speak *text* after the API has accepted it, in seconds."""
    return min(LEAD_SECONDS + SLOWNESS * speech.seconds(text), MAX_SPEECH_SECONDS)


def let_finish(api: VoiceApi, clock: Clock, uuids: Sequence[str], *, until: float) -> None:
    """Wait until all legs in *uuids* have ended, but no longer than until the time *until*.

    Each second, the record of the first leg that is not known to have ended is read. A leg whose record cannot be
    read counts as live.

    Args:
        uuids: The ids of the legs.
        until: The time at which to stop waiting, on the monotonic clock.
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
