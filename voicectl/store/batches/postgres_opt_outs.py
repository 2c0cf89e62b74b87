"""The numbers whose owners have asked not to be called again, in a database that several machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicectl.clock import Clock
    from voicectl.store.postgres import Database

FRESH_SECONDS = 1.0
"""How long the numbers that were read may be used, in seconds."""


class PostgresOptOuts:
    """The numbers of one application.

    Every method may raise ``StoreError``.
    """

    def __init__(self, database: Database, application_id: str, clock: Clock) -> None:
        self._application = application_id
        self._clock = clock
        self._database = database
        self._numbers: frozenset[str] = frozenset()
        self._read_at: float | None = None

    def __contains__(self, number: object) -> bool:
        """Return True if the owner of *number* has asked not to be called again."""
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at > FRESH_SECONDS:
            with self._database.within() as link:
                rows = link.execute("SELECT number FROM opt_outs WHERE application = %s", [self._application])
                self._numbers = frozenset(number for (number,) in rows)
            self._read_at = now
        return number in self._numbers

    def add(self, number: str, batch: str, now: float) -> None:
        """Add a number durably."""
        with self._database.within() as link:
            link.execute(
                "INSERT INTO opt_outs VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [self._application, number, batch, now],
            )
        self._numbers |= {number}
