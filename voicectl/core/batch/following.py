"""Following the calls of a batch until they are over, by stored events and by the API's records.

Events are cheap to read and report the verdict of machine detection at once, so they are read for every call in every
pass. The API is asked only about the calls whose turn has come, and in as few requests as possible: calls that began
within a minute of each other are looked up by one search, unless there are only a few of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voicectl.core.calls.hangup import hang_up
from voicectl.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.calls.in_doubt import LostCallFinder
    from voicectl.core.history import History
    from voicectl.store.batches.records import Attempt
    from voicectl.store.intents import Intents
    from voicectl.store.journal import Intent
    from voicectl.voice.call import Call

WINDOW_SECONDS = 60.0
MARGIN_SECONDS = 15.0
FEW = 3
"""The number of calls up to which each is asked for by itself."""

ONE_CALL_SECONDS = 5.0
SEARCH_SECONDS = 10.0

RECORD_SECONDS = 60.0
"""How long after a call began a missing record may only be late, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A call as seen in one pass.

    Attributes:
        call: The call, or None if the platform has no record of it.
        keys: The keys that the person pressed when the message asked for one.
        is_end_reported: True if an event reports the end of the call, so that no earlier event is missing.
    """

    call: Call | None
    keys: str = ""
    is_end_reported: bool = False


class Follower:
    """Reads what became of calls, in one thread.

    Args:
        history: The stored events, or None if there is no event store.
        finder: The object that looks for calls in doubt.
    """

    def __init__(
        self, api: VoiceApi, clock: Clock, history: History | None, finder: LostCallFinder[Intents]
    ) -> None:
        self._api = api
        self._clock = clock
        self._history = history
        self._finder = finder

    @property
    def has_events(self) -> bool:
        """True if there is an event store."""
        return self._history is not None

    def look(self, attempts: Sequence[Attempt], asked: Sequence[Attempt]) -> dict[str, Seen]:
        """Return what is known about live attempts, by reference. Attempts of which nothing is known are left out.

        Args:
            asked: Those of the attempts about which the API is asked.

        Raises:
            ApiError: The API refused a request.
            TransportError: The API gave no usable answer.
        """
        records = self._records(asked)
        found: dict[str, Seen] = {}
        for each in attempts:
            uuid = each.uuid or ""
            is_known, record = uuid in records, records.get(uuid)
            reported = None if self._history is None else self._history.leg(uuid)
            keys = "" if self._history is None else self._history.keys(uuid, each.token)
            is_end_reported = reported is not None and reported.state.is_final
            if record is not None:
                call = record if self._history is None else self._history.merged(record, reported)
                found[each.reference] = Seen(call=call, keys=keys, is_end_reported=is_end_reported)
            elif reported is not None:
                found[each.reference] = Seen(
                    call=reported.alone(), keys=keys, is_end_reported=is_end_reported
                )
            elif is_known:
                found[each.reference] = Seen(call=None)
        return found

    def find(self, references: Sequence[str]) -> list[Intent]:
        """Look for the calls of attempts in doubt, and return the intents that are settled now.

        An intent that the user has settled in the meantime is settled, too. The errors are those of :meth:`look`.
        """
        intents = [each for name in references if (each := self._finder.journal.get(name)) is not None]
        open_ = [each for each in intents if each.state.is_open]
        return [each for each in intents if not each.state.is_open] + self._finder.find_together(open_)

    def hang_up(self, uuid: str) -> None:
        """End a call. The errors are those of :meth:`look`."""
        hang_up(self._api, self._clock, uuid, self._history)

    def _records(self, asked: Sequence[Attempt]) -> dict[str, Call | None]:
        """Return the API's records by leg id. The record of a call that the platform does not know is None."""
        found: dict[str, Call | None] = {}
        for group in _groups(asked):
            wanted = {each.uuid: each for each in group if each.uuid is not None}
            if len(wanted) > FEW:
                for call in self._search(group[0].asked_at, group[-1].asked_at):
                    if call.uuid in wanted:
                        found[call.uuid] = call
                        del wanted[call.uuid]
                    if not wanted:
                        break
            for uuid, each in wanted.items():
                try:
                    found[uuid] = self._api.get_call(uuid, within=ONE_CALL_SECONDS, is_exact=True)
                except NotFoundError:
                    if self._clock.time() - each.asked_at > RECORD_SECONDS:
                        found[uuid] = None
        return found

    def _search(self, first: float, last: float) -> Iterator[Call]:
        start = datetime.fromtimestamp(math.floor(first - MARGIN_SECONDS), UTC)
        end = datetime.fromtimestamp(math.ceil(last + MARGIN_SECONDS), UTC)
        return self._api.get_calls(
            date_start=f"{start:%Y-%m-%dT%H:%M:%SZ}",
            date_end=f"{end:%Y-%m-%dT%H:%M:%SZ}",
            within=SEARCH_SECONDS,
        )


def _groups(attempts: Sequence[Attempt]) -> Iterator[list[Attempt]]:
    """Yield the attempts, oldest first, in groups. Those of a group began at most a minute after its first."""
    group: list[Attempt] = []
    for each in sorted(attempts, key=lambda attempt: attempt.asked_at):
        if group and each.asked_at - group[0].asked_at > WINDOW_SECONDS:
            yield group
            group = []
        group.append(each)
    if group:
        yield group
