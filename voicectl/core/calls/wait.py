"""Waiting for legs to reach a status."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NoReturn, Protocol

from voicectl.errors import NotFoundError, RateLimitedError, TransportError, WaitEnded, WaitTimeout
from voicectl.voice.call import HUMAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.history import History, Told
    from voicectl.voice.call import Call, Until

POLL_SECONDS = 1.0
LOOKS_A_POLL = 5
"""How often stored events are looked at, between two questions to the API."""

LEAST_SECONDS = 1.0
BESIDE_EVENTS_SECONDS = 3.0
"""How long the API may take where events tell of the leg as well."""


def follow(
    api: VoiceApi,
    clock: Clock,
    uuids: Sequence[str],
    *,
    until: Until,
    timeout: float,
    on_change: Callable[[Call], None],
    on_trouble: Callable[[str], None] = lambda _: None,
    history: History | None = None,
) -> list[Call]:
    """Wait until every leg is at *until* or past it, and return each as last seen.

    The API is polled once a second, so a status shorter than that may go unseen. Stored events are looked at first,
    and more often; what they tell counts at once.

    Args:
        uuids: The legs, in the order of the result.
        until: A status of the record, ``ended`` for any final one, or ``human``, which only events tell.
        timeout: Seconds to wait in all.
        on_change: Told of each leg at first sight and at each change of status.
        on_trouble: Told, once, that the API does not answer where events tell of a leg as well.
        history: The stored events, if there are any.

    Raises:
        WaitTimeout: *timeout* passed first, and all legs still might reach *until*.
        WaitEnded: A leg ended in another status, so not all can reach *until*; the others were waited for.
        NotFoundError: Neither the API nor an event knows one of the legs.
    """
    give_up = clock.monotonic() + timeout
    legs = [_Leg(uuid, history, on_change) for uuid in uuids]
    is_trouble_told = False
    looks_a_poll = 1 if history is None else LOOKS_A_POLL
    for look in itertools.count():
        for leg in legs:
            leg.look()
        if look % looks_a_poll == 0:
            for leg in legs:
                if leg.is_closed or (look == 0 and leg.has_reached(until)):
                    continue
                try:
                    left = max(give_up - clock.monotonic(), LEAST_SECONDS)
                    leg.ask(api, within=min(left, BESIDE_EVENTS_SECONDS) if leg.is_told else left)
                except (TransportError, RateLimitedError) as exc:
                    if clock.monotonic() >= give_up and all(each.seen is not None for each in legs):
                        break
                    if not leg.is_told:
                        raise
                    if not is_trouble_told:
                        on_trouble(f"warning: going on with stored events alone: {exc.message}")
                    is_trouble_told = True
        missing = [leg for leg in legs if not leg.has_reached(until)]
        if not missing:
            break
        left = give_up - clock.monotonic()
        if left <= 0 or all(leg.is_over(until) for leg in missing):
            fail(legs, missing, until, timeout)
        clock.sleep(min(POLL_SECONDS / looks_a_poll, left))
    return [leg.call for leg in legs]


class Waited(Protocol):
    """A leg that is waited for."""

    @property
    def call(self) -> Call:
        """What is known of it."""
        ...

    @property
    def is_told(self) -> bool:
        """Whether events tell of it."""
        ...


class _Leg:
    """A leg that is waited for.

    Attributes:
        seen: What is known of it, from the API and from events; None at first.
    """

    def __init__(self, uuid: str, history: History | None, on_change: Callable[[Call], None]) -> None:
        self.seen: Call | None = None
        self._uuid = uuid
        self._history = history
        self._on_change = on_change
        self._record: Call | None = None
        self._told: Told | None = None
        self._looks_over = 0

    @property
    def call(self) -> Call:
        """What is known of it, once something is."""
        assert self.seen is not None  # noqa: S101 (it was asked for, or that raised)
        return self.seen

    @property
    def is_told(self) -> bool:
        """Whether events tell of it."""
        return self._told is not None

    @property
    def is_closed(self) -> bool:
        """Whether the API says that it is over: it will say nothing else."""
        return self._record is not None and self._record.is_final

    def has_reached(self, until: Until) -> bool:
        """Whether it is at *until* or past it."""
        return self.seen is not None and self.seen.has_reached(until)

    def is_over(self, until: Until) -> bool:
        """Whether it ended and nothing more will be told of it, or *until* is ruled out.

        What the API says, and what an event says, may come a moment apart, and each may tell more than the other.
        """
        if self.seen is None:
            return False
        if self.seen.rules_out(until):
            return True
        if not self.seen.is_final:
            return False
        if self._told is None and until != HUMAN:
            return True
        is_told_by_both = self.is_closed and self._told is not None and self._told.state.is_final
        return is_told_by_both or self._history is None or self._looks_over > LOOKS_A_POLL

    def look(self) -> None:
        """Look at its stored events."""
        if self._history is None:
            return
        self._told = self._history.leg(self._uuid)
        self._see()
        if self.seen is not None and self.seen.is_final:
            self._looks_over += 1

    def ask(self, api: VoiceApi, *, within: float) -> None:
        """Ask the API for its record; one that only events know of has none."""
        try:
            self._record = api.get_call(self._uuid, within=within)
        except NotFoundError:
            if self._told is None:
                raise
        self._see()

    def _see(self) -> None:
        before, self.seen = self.seen, self._known()
        if self.seen is not None and (before is None or _shown(before) != _shown(self.seen)):
            self._on_change(self.seen)

    def _known(self) -> Call | None:
        if self._record is None:
            return None if self._told is None else self._told.alone()
        return self._record if self._history is None else self._history.merged(self._record, self._told)


def fail(legs: Sequence[Waited], missing: Sequence[Waited], until: Until, timeout: float) -> NoReturn:
    """Say why *missing* ones of the *legs* are not at *until*.

    Raises:
        WaitTimeout: They may come to it yet.
        WaitEnded: They will not.
    """
    calls = [leg.call for leg in legs]
    over = [leg.call for leg in missing if leg.call.is_final]
    if over:
        raise WaitEnded(
            f"Leg {over[0].uuid} ended {over[0].status} before it was {until}.", calls, hint=_why(over[0])
        )
    for call in (leg.call for leg in missing if leg.call.rules_out(until)):
        raise WaitEnded(
            f"Leg {call.uuid} is no {until}: what answered was found to be the other.",
            calls,
            hint=f"It goes on as it is. See its record: voicectl call show {call.uuid}",
        )
    first = missing[0]
    live = first.call
    raise WaitTimeout(
        f"Leg {live.uuid} is {live.status}, and was not {until} within {timeout:g} s.",
        calls,
        hint=_how_to_hear(first) if until == HUMAN else _how_to_go_on(live),
    )


def _how_to_go_on(call: Call) -> str:
    return f"It goes on as it is. Wait longer with --timeout, or end it: voicectl hangup {call.uuid}"


def _how_to_hear(leg: Waited) -> str:
    """Why nothing may tell of a human, though there is a store."""
    if not leg.is_told:
        return "No event of it is in the store. Do its webhooks go to 'webhook serve', and is this its store?"
    return "A call tells that only if it was created with --machine-detection."


def _shown(call: Call) -> tuple[str, object]:
    return call.status, call.raw.get("detection")


def _why(call: Call) -> str:
    return {
        "busy": "The other side was engaged. Try again later.",
        "rejected": "The call was refused by the other side or its carrier, or the number is not valid.",
        "timeout": "Nobody answered within the ringing timer.",
        "unanswered": "The other side could not be reached or declined.",
        "failed": "The call could not be routed. Check the number.",
    }.get(call.status, f"See its record: voicectl call show {call.uuid}")
