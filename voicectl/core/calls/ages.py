"""The ages of legs, as far as they are known from this machine's journal and event store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicectl.core.history import forms
from voicectl.errors import JournalError, StoreError
from voicectl.store.events import Query
from voicectl.voice.call import CallStatus
from voicectl.voice.event import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voicectl.clock import Clock
    from voicectl.store.events import EventStore
    from voicectl.store.journal import Journal
    from voicectl.voice.call import Call


@dataclass(slots=True)
class Ages:
    """Determines the ages of legs from the journal and the event store, which are opened on first use.

    If the journal or the event store fails, the failure is reported once, and that source is not used again.

    Attributes:
        clock: This machine's clock, with which the times in the journal were recorded.
        offset: How far the platform's clock is ahead of *clock*, in seconds. The times of events are on the
            platform's clock.
        journal: A function that returns the journal, or None if there is no journal.
        events: A function that returns the event store, or None if there is no event store.
        on_trouble: A function that is called with a warning when the journal or the event store fails.
        first_seen: A function that returns, by leg id, the Unix time at which this machine first listed each known
            leg.
    """

    clock: Clock
    offset: float
    journal: Callable[[], Journal | None]
    events: Callable[[], EventStore | None]
    on_trouble: Callable[[str], None]
    first_seen: Callable[[], Mapping[str, float]] = dict
    _failed: list[Callable[[str], list[float]]] = field(default_factory=list, init=False)

    @property
    def platform_now(self) -> float:
        """The current time on the platform's clock, in Unix seconds."""
        return self.clock.time() + self.offset

    def is_younger(self, uuid: str, seconds: float) -> bool:
        """Return True if the journal or a ``started`` event shows that a leg was created less than *seconds* ago.

        Unsigned events count too. The worst that a forged event can do is keep a leg from being selected.
        """
        return any(age < seconds for age in self._known(uuid))

    def of(self, call: Call) -> tuple[float, bool] | None:
        """Return the age of a live leg in seconds, and whether the age is exact. An inexact age is a minimum.

        The time at which the leg was answered or first listed shows only a minimum age. The result is None if nothing
        is known about the leg's age.
        """
        if (exact := next(self._known(call.uuid), None)) is not None:
            return max(exact, 0.0), True
        answered, first = moment(call.raw.get("start_time")), self.first_seen().get(call.uuid)
        least = [] if answered is None else [self.platform_now - answered]
        if first is not None:
            least.append(self.clock.time() - first)
        return (max(0.0, *least), False) if least else None

    def _known(self, uuid: str) -> Iterator[float]:
        """Yield the leg's age according to the journal, then its age according to the event store, if they are known.

        The event store comes last, since it may be on another machine.
        """
        for source in (self._since_asked, self._since_started):
            if source in self._failed:
                continue
            try:
                yield from source(uuid)
            except (JournalError, StoreError) as exc:
                self._failed.append(source)
                self.on_trouble(
                    f"warning: the ages of some legs may be missing or only minimums: {exc.message}"
                )

    def _since_asked(self, uuid: str) -> list[float]:
        journal = self.journal()
        if journal is None:
            return []
        intents = map(journal.by_leg, forms(uuid))
        return [self.clock.time() - intent.asked_at for intent in intents if intent is not None]

    def _since_started(self, uuid: str) -> list[float]:
        events = self.events()
        if events is None:
            return []
        queries = [Query(leg=name, status=CallStatus.STARTED) for name in forms(uuid)]
        reported = [each.arrival.told for query in queries for each in events.find(query)]
        return [self.platform_now - told for told in reported if told is not None]
