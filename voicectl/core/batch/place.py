"""The place where batches are kept: files of this machine, or a database that several machines share.

A place provides everything that differs between them: the batches, the journal of their calls, the people who must
not be called again, the clock, and how people are handed out to processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from voicectl.clock import Clock
    from voicectl.store.batches.directory import NewBatch
    from voicectl.store.batches.records import BatchStore
    from voicectl.store.intents import Intents

MAX_CALLS = 200
"""The number of people whom one process calls at the same time, if there is no limit."""


class Batches(Protocol):
    """The batches of one application in one place."""

    def names(self) -> list[str]:
        """Return the names of all batches, in alphabetical order."""

    def exists(self, name: str) -> bool:
        """Return True if there is a batch called *name*."""

    def open(self, name: str) -> BatchStore:
        """Open a batch."""

    def new(self, name: str) -> AbstractContextManager[NewBatch]:
        """Return a context manager with a batch that can be filled."""


class NeverAgain(Protocol):
    """The numbers whose owners have asked not to be called again."""

    def __contains__(self, number: object) -> bool:
        """Return True if the owner of *number* has asked."""

    def add(self, number: str, batch: str, now: float) -> None:
        """Add a number durably."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place where batches are kept.

    Attributes:
        clock: The clock that all processes share which run batches of this place.
        open_journal: A function that opens the journal of their calls, for one thread.
        open: A function that opens a batch which is to be run.
        hand_out: A function that returns a context manager, during which a batch's people are handed out to this
            process, up to a number of people at the same time.
        close: A function that closes what is open.
        url: The URL of the database, or None.
    """

    batches: Batches
    opt_outs: NeverAgain
    clock: Clock
    open_journal: Callable[[], Intents]
    open: Callable[[str], BatchStore]
    hand_out: Callable[[BatchStore, int], AbstractContextManager[None]]
    close: Callable[[], None]
    url: str | None = None
