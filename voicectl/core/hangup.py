"""Hanging up, which must not give up: the button that is pressed when something went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.api.session import HANGUP_SECONDS
from voicectl.errors import ApiError, AuthError, NotFoundError, TransportError

if TYPE_CHECKING:
    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.history import History

PAUSE_SECONDS = 1.0
LOOK_SECONDS = 2.0
BAD_REQUEST = 400


def hang_up(api: VoiceApi, clock: Clock, uuid: str, history: History | None = None) -> bool:
    """End a leg; False if it was over already.

    A leg younger than a second or two answers 400, and so may one that is ringing: it is read, and tried
    again until 20 seconds after the first try, also if it cannot be read. A 404 is looked into as well: over is done,
    by its record or, where that is gone, by events that were signed.

    Args:
        history: The stored events, if there are any.

    Raises:
        NotFoundError: The API does not know the leg, and no event says that it is over.
        ApiError: It still refused after 20 seconds.
        TransportError: No usable answer in that time.
    """
    give_up = clock.monotonic() + HANGUP_SECONDS
    while True:
        try:
            api.hangup(uuid, within=give_up - clock.monotonic())
        except ApiError as exc:
            if not isinstance(exc, NotFoundError) and exc.status != BAD_REQUEST:
                raise
            if _is_over(api, uuid, exc, history):
                return False
            if clock.monotonic() + PAUSE_SECONDS > give_up:
                exc.hint = (
                    f"It was refused for {HANGUP_SECONDS:.0f} s. Look at the leg: voicectl call show {uuid}"
                )
                raise
            clock.sleep(PAUSE_SECONDS)
        else:
            return True


def _is_over(api: VoiceApi, uuid: str, refusal: ApiError, history: History | None) -> bool:
    """Whether the record says so. One that cannot be read says nothing, unless both answers are 404."""
    try:
        return api.get_call(uuid, within=LOOK_SECONDS, urgent=True).is_final
    except AuthError:
        raise
    except NotFoundError:
        if isinstance(refusal, NotFoundError):
            told = None if history is None else history.leg(uuid)
            if told is None or told.vouched is None or not told.vouched.is_final:
                raise  # what anybody may have sent is no reason to let go
            return True
    except (ApiError, TransportError):
        pass
    return False
