"""Waiting for legs to reach a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from voicectl.errors import RateLimitedError, TransportError, WaitEnded, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.voice.call import Call, CallStatus

POLL_SECONDS = 1.0
LEAST_SECONDS = 1.0


def follow(
    api: VoiceApi,
    clock: Clock,
    uuids: Sequence[str],
    *,
    until: CallStatus | Literal["ended"],
    timeout: float,
    on_change: Callable[[Call], None],
) -> list[Call]:
    """Wait until every leg is at *until* or past it, and return each as last seen.

    The API is polled once a second, so a status shorter than that may go unseen.

    Args:
        uuids: The legs, in the order of the result.
        until: A status of the record, or ``ended`` for any final one.
        timeout: Seconds to wait in all.
        on_change: Told of each leg at first sight and at each change of status.

    Raises:
        WaitTimeout: *timeout* passed first, and all legs still might reach *until*.
        WaitEnded: A leg ended in another status, so not all can reach *until*; the others were waited for.
        NotFoundError: The API does not know one of the legs.
    """
    give_up = clock.monotonic() + timeout
    seen: dict[str, Call] = {}
    while True:
        for uuid in uuids:
            before = seen.get(uuid)
            if before and before.is_final:
                continue
            try:
                call = api.get_call(uuid, within=max(give_up - clock.monotonic(), LEAST_SECONDS))
            except (TransportError, RateLimitedError):
                if clock.monotonic() < give_up or len(seen) < len(uuids):
                    raise
                break
            seen[uuid] = call
            if before is None or before.status != call.status:
                on_change(call)
        calls = [seen[uuid] for uuid in uuids]
        missing = [call for call in calls if not call.has_reached(until)]
        if not missing:
            return calls
        live = [call for call in missing if not call.is_final]
        left = give_up - clock.monotonic()
        if live and left > 0:
            clock.sleep(min(POLL_SECONDS, left))
            continue
        if live == missing:
            raise WaitTimeout(
                f"Leg {live[0].uuid} is {live[0].status}, and was not {until} within {timeout:g} s.",
                calls,
                hint=f"It goes on as it is. Wait longer with --timeout, or end it: voicectl hangup {live[0].uuid}",
            )
        first = next(call for call in missing if call.is_final)
        raise WaitEnded(
            f"Leg {first.uuid} ended {first.status} before it was {until}.", calls, hint=_why(first)
        )


def _why(call: Call) -> str:
    return {
        "busy": "The other side was engaged. Try again later.",
        "rejected": "The call was refused by the other side or its carrier, or the number is not valid.",
        "timeout": "Nobody answered within the ringing timer.",
        "unanswered": "The other side could not be reached or declined.",
        "failed": "The call could not be routed. Check the number.",
    }.get(call.status, f"See its record: voicectl call show {call.uuid}")
