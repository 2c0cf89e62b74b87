"""Setting up the run of a batch from the application's resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from voicectl.api.client import VoiceApi
from voicectl.core.batch.following import Follower
from voicectl.core.batch.ledger import Ledger
from voicectl.core.batch.message import Message
from voicectl.core.batch.runner import Parts, Runner
from voicectl.core.batch.under_way import CallsUnderWay
from voicectl.core.batch.workers import Results, Workers
from voicectl.core.calls.create import CallPlacer
from voicectl.core.calls.in_doubt import LostCallFinder
from voicectl.core.calls.regions import RegionFinder
from voicectl.core.history import History
from voicectl.interrupts import Interrupts
from voicectl.store.batches.spool import Spool
from voicectl.store.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from voicectl.clock import Clock
    from voicectl.core.batch.ledger import Change, Tally
    from voicectl.core.batch.load import Screen
    from voicectl.core.batch.place import Place
    from voicectl.core.batch.settings import Settings
    from voicectl.core.identity.profiles import ProfileStore
    from voicectl.core.identity.sessions import Sessions
    from voicectl.core.identity.target import Target
    from voicectl.store.action_log import ActionLog
    from voicectl.store.batches.records import BatchStore
    from voicectl.store.events import EventStore
    from voicectl.store.intents import Intents

PLACING_THREADS = 8
READING_THREADS = 2


class Resources(Protocol):
    """The clock, credentials, state and API sessions that a batch needs."""

    clock: Clock
    interrupts: Interrupts

    @property
    def target(self) -> Target:
        """The application with which the calls are made."""

    @property
    def state_directory(self) -> Path:
        """The directory that contains the application's state."""

    @property
    def sessions(self) -> Sessions:
        """The sessions with the API's hosts."""

    @property
    def profiles(self) -> ProfileStore:
        """This user's profiles."""

    @property
    def action_log(self) -> ActionLog:
        """The log of actions on legs from this machine."""

    @property
    def closing(self) -> ExitStack:
        """A stack that is closed when the command ends."""

    @property
    def history(self) -> History | None:
        """The stored events, or None if there is no event store."""

    def events(self, store: str | None) -> EventStore:
        """Open the default event store, and return it."""


class _Granted:
    """A rate limiter for requests whose turn has been taken already."""

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:  # noqa: ARG002 (the interface of limiters)
        """Return at once."""
        return 0.0


def runner(
    name: str,
    store: BatchStore,
    settings: Settings,
    columns: tuple[str, ...],
    screen: Screen,
    place: Place,
    resources: Resources,
    *,
    on_change: Callable[[Change], None],
    on_tick: Callable[[Tally], None],
    remark: Callable[[str], None],
) -> Runner:
    """Return an object that runs a batch whose lease has been taken.

    Args:
        place: The place where the batch is kept.
        on_change: A function that is called with every change.
        on_tick: A function that is called several times a second with the current counts.
        remark: A function that is called with each message for the user.

    Raises:
        JournalError: The journal cannot be used.
        InputError: The message does not suit the list.
    """
    clock, journal = place.clock, place.open_journal()
    resources.closing.callback(journal.close)
    journal.check()
    results = Results()
    ledger = Ledger(
        store=store,
        clock=clock,
        budget=settings.budget,
        on_change=on_change,
        opt_out=lambda number: place.opt_outs.add(number, name, clock.time()),
        spool=_spool(name, store, resources) if store.is_shared else None,
    )
    message = Message(settings, columns)
    readers = _readers(resources, place, results, remark, asks_for_keys=settings.asks_for_keys)
    under_way = CallsUnderWay(
        ledger=ledger, settings=settings, message=message, clock=clock, readers=readers, remark=remark
    )
    pace = resources.state_directory / "pace"
    parts = Parts(
        store=store,
        journal=journal,
        settings=settings,
        message=message,
        screen=screen,
        limiter=RateLimiter(pace, resources.clock, remark, creates_per_second=settings.rate),
        clock=clock,
        interrupts=resources.interrupts,
        results=results,
        placers=_placers(resources, place, results),
        readers=readers,
        ledger=ledger,
        under_way=under_way,
        on_tick=on_tick,
        remark=remark,
    )
    return Runner(name, parts)


def _spool(name: str, store: BatchStore, resources: Resources) -> Spool:
    return Spool(resources.state_directory, f"{name} {store.info().created_at}")


def _placers(resources: Resources, place: Place, results: Results) -> Workers[CallPlacer]:
    """Return threads that place calls. Each has a connection and a journal of its own."""

    def connect(closing: ExitStack) -> CallPlacer:
        own = _sessions(resources, closing)
        session = own.make(
            own.target.base_url, own.bearer(own.target), own.identify, limiter=_Granted(), wait_budget=0.0
        )
        limit = resources.target.policy.max_calls_per_hour
        return CallPlacer(VoiceApi(session), _journal(place, closing), limit)

    return Workers(PLACING_THREADS, connect, results)


def _readers(
    resources: Resources,
    place: Place,
    results: Results,
    remark: Callable[[str], None],
    *,
    asks_for_keys: bool,
) -> Workers[Follower]:
    """Return threads that read what became of calls. Each has connections and stores of its own."""
    has_events = place.url is not None or resources.history is not None

    def connect(closing: ExitStack) -> Follower:
        own = _sessions(resources, closing)
        regions = RegionFinder(
            own, resources.profiles, resources.action_log, events=lambda: None, on_found=remark
        )
        api = VoiceApi(own.home, regions)
        history = None
        if has_events:  # only events report keys
            history = History(lambda: resources.events(place.url), remark, is_needed=asks_for_keys)
        finder = LostCallFinder(api, _journal(place, closing), place.clock, history)
        return Follower(api, place.clock, history, finder)

    return Workers(READING_THREADS, connect, results)


def _sessions(resources: Resources, closing: ExitStack) -> Sessions:
    """Return sessions for one thread. They share nothing with those of other threads but the rate limiter."""
    return replace(resources.sessions, interrupts=Interrupts(), closing=closing)


def _journal(place: Place, closing: ExitStack) -> Intents:
    journal = place.open_journal()
    closing.callback(journal.close)
    return journal
