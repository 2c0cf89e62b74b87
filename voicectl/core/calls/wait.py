"""Waiting for legs to reach a status: the rules that ``wait``, ``call create --wait`` and ``watch --for`` share.

A leg has reached a status if its API record or its events show that status or a later one. A leg that ends without
reaching the status can no longer reach it. However, the API and the events may report the end a moment apart, and the
later report may show that the call was answered. So a leg counts as ended only if both have reported the end, if a
second has passed since the first report, or if there is no event store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from voicectl.core.history import leg_key
from voicectl.core.watch.board import Board
from voicectl.core.watch.poller import SOON_SECONDS, Poller, Tail
from voicectl.core.watch.schedule import PollSchedule
from voicectl.errors import WaitEnded, WaitTimeout
from voicectl.voice.call import HUMAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.watch.sight import Change, Sight
    from voicectl.store.events import EventStore
    from voicectl.voice.call import Call, Until

POLL_SECONDS = 1.0
REQUESTS_PER_SECOND = 15.0
"""The maximum number of requests per second during a wait. Waits are short, so they may use the whole rate limit."""

LAST_SECONDS = 1.0
"""How long to wait for outstanding answers when time is up, in seconds."""

LATE_SECONDS = 1.0
"""How long to wait for an event about the end of a leg after the end was first reported, in seconds."""


class Waiter:
    """Polls until legs have reached a status or a later one.

    The legs are those that the board names. If the board names no legs, they are all live legs. The status ``ended``
    then counts as reached if no leg is live.

    Args:
        until: The status to wait for: a status of API records; ``ended``, for any final status; or ``human``,
            a result of machine detection that only events report.
        timeout: How long to wait in total, in seconds, from the creation of the waiter.
    """

    def __init__(self, poller: Poller, board: Board, clock: Clock, until: Until, timeout: float) -> None:
        self._poller = poller
        self._board = board
        self._clock = clock
        self._until = until
        self._timeout = timeout
        self._deadline = clock.monotonic() + timeout

    @property
    def is_late(self) -> bool:
        """True if the timeout has passed."""
        return self._left < SOON_SECONDS

    @property
    def _left(self) -> float:
        return self._deadline - self._clock.monotonic()

    def rounds(self) -> Iterator[list[Change]]:
        """Yield the latest changes, at least once a second, until the legs have reached the awaited status.

        If nothing has changed, an empty list is yielded.

        Raises:
            WaitTimeout: Time is up, and the legs may still reach the status.
            WaitEnded: A leg can no longer reach the status, for example because it has ended. The error is raised
                when the wait for the other legs is over.
            NotFoundError: The API has no record of one of the named legs, and no event mentions the leg.
            TransportError, RateLimitedError: Time is up, and the API gave no response about one of the legs.
        """
        for changes in self._poller.rounds(give_up=self._deadline):
            yield changes
            if self._is_reached():
                return

    def _is_reached(self) -> bool:
        board, poller = self._board, self._poller
        sights = board.sights()
        missing = [each for each in sights if not each.call.has_reached(self._until)]
        is_enough = bool(sights) or board.named is not None or self._until == "ended"
        if poller.knows_all and not missing and is_enough:
            return True
        is_asking = poller.status.asking is not None
        if poller.is_about_to_ask or (is_asking and self._left > -LAST_SECONDS):
            return False
        for sight in missing:
            if sight.is_gone and not sight.has_events:
                raise WaitEnded(
                    f"The API no longer has a record of leg {sight.call.uuid}, which did not reach '{self._until}'.",
                    [each.call for each in sights],
                    hint=f"See its timeline: voicectl trace {sight.call.uuid}",
                )
        if self.is_late and poller.failure is not None and not poller.knows_all:
            raise poller.failure
        is_over = poller.knows_all and not is_asking and all(map(self._is_over, missing))
        if missing and (self.is_late or is_over):
            self._fail(sights, missing)
        if self.is_late:
            raise WaitTimeout(
                f"No live leg appeared within {self._timeout:g} s, so none reached '{self._until}'.",
                [each.call for each in sights],
                hint="Check the conversation or the profile, or wait longer with --timeout.",
            )
        return False

    def _is_over(self, sight: Sight) -> bool:
        """Return True if a leg can no longer reach the awaited status, and no later report can show that it did."""
        if sight.call.rules_out(self._until):
            return True
        if sight.ended is None or sight.is_gone:
            return False
        is_ended_by_both = sight.is_settled and sight.has_events
        is_old = self._clock.time() - sight.ended > LATE_SECONDS
        return is_ended_by_both or is_old or not self._poller.status.has_events

    def _fail(self, sights: Sequence[Sight], missing: Sequence[Sight]) -> NoReturn:
        """Raise an error that says why the *missing* legs have not reached the awaited status."""
        until = self._until
        calls = [each.call for each in sights]
        for call in (each.call for each in missing if each.call.is_final):
            raise WaitEnded(
                f"Leg {call.uuid} ended with status {call.status}, and did not reach '{until}'.",
                calls,
                hint=_why(call),
            )
        for call in (each.call for each in missing if each.call.rules_out(until)):
            raise WaitEnded(
                f"Leg {call.uuid} was answered by a {'machine' if until == HUMAN else 'person'}, not a"
                f" {'person' if until == HUMAN else 'machine'}.",
                calls,
                hint=f"The call continues. See its record: voicectl call show {call.uuid}",
            )
        live = missing[0].call
        if until != HUMAN:
            hint = f"The call continues. Wait longer with --timeout, or end it: voicectl hangup {live.uuid}"
        elif missing[0].has_events:
            hint = "The platform reports 'human' only for calls created with --machine-detection."
        else:
            hint = (
                "The event store has no events for this leg. Check that 'webhook serve' receives its webhooks, and"
                " keeps them in this store."
            )
        raise WaitTimeout(
            f"Leg {live.uuid} has the status {live.status}, and did not reach '{until}' within {self._timeout:g} s.",
            calls,
            hint=hint,
        )


def follow(
    api: VoiceApi,
    clock: Clock,
    uuids: Sequence[str],
    *,
    until: Until,
    timeout: float,
    on_change: Callable[[Call], None],
    on_trouble: Callable[[str], None],
    events: Callable[[], EventStore | None] | None,
    offset: float,
    check: Callable[[], None],
) -> list[Call]:
    """Wait until every leg has reached *until* or a later status, and return the last known record of each leg.

    The API is polled once a second, so a status that lasts less than a second may be missed. Stored events are read
    first, and then more often than the API.

    Args:
        uuids: The ids of the legs, in the order of the result.
        until: The status to wait for; see :class:`Waiter`.
        timeout: How long to wait in total, in seconds.
        on_change: A function that is called with a leg when the leg is first seen, and whenever its status or its
            machine detection result changes.
        on_trouble: A function that is called with a warning the first time that the API fails, and the first time
            that the event store fails, if the wait continues.
        events: A function that returns the event store, or None if no store exists. If *events* itself is None, only
            the API is used.
        offset: How far the platform's clock is ahead of *clock*, in seconds.
        check: A function that is called regularly. It raises an exception if a signal has arrived.

    Raises:
        TransportError, RateLimitedError: The API gave no response about a leg that has no stored events.
        StoreError: The event store failed, and only events report *until*.
        WaitTimeout, WaitEnded, NotFoundError: As for :meth:`Waiter.rounds`.
    """
    tail = None if events is None else Tail(events, clock, is_needed=until == HUMAN)
    board = Board(
        named=uuids,
        past=tail.past if tail is not None else lambda _: (),
        offset=offset,
        is_sourced=tail is not None,
    )
    schedule = PollSchedule(
        POLL_SECONDS, clock.monotonic(), is_steady=True, requests_per_second=REQUESTS_PER_SECOND
    )
    poller = Poller(api, clock, board, schedule, tail=tail, check=check, is_strict=True)
    waiter = Waiter(poller, board, clock, until, timeout)
    shown: dict[str, tuple[str, object]] = {}
    troubles: set[str] = set()

    def warn(what: str, why: str) -> None:
        if what not in troubles:
            troubles.add(what)
            on_trouble(f"warning: continuing {what}: {why}")

    for uuid in uuids:
        board.recall(uuid, clock.time())
    for _ in waiter.rounds():
        for call in (each.call for each in board.sights()):
            news = call.status, call.raw.get("detection")
            if shown.get(key := leg_key(call.uuid)) != news:
                shown[key] = news
                on_change(call)
        if tail is not None and tail.trouble is not None:
            warn("without the event store", tail.trouble)
        if poller.failure is not None and not waiter.is_late:
            warn("with stored events only", poller.failure.message)
    return [each.call for each in board.sights()]


def _why(call: Call) -> str:
    return {
        "busy": "The far end was busy. Try again later.",
        "rejected": "The far end or its carrier rejected the call, or the number is not valid.",
        "timeout": "The call was not answered before the ringing timer expired.",
        "unanswered": "The far end could not be reached, or declined the call.",
        "failed": "The call could not be routed. Check the number.",
    }.get(call.status, f"See its record: voicectl call show {call.uuid}")
