"""The settings of a batch: everything the user asked for, kept with the batch so that it can be resumed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from voicectl.core.batch.attempts import Budget
from voicectl.core.batch.hours import Window
from voicectl.core.batch.people import zone
from voicectl.errors import InputError
from voicectl.store.batches.records import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.voice.ncco import Ncco

LONGEST_CALL_SECONDS = 7200
"""The length of a call without a length timer.

Source: Voice API reference, ``length_timer``.
"""

PACING = frozenset({"rate", "concurrent"})
"""The settings that may differ when a batch is run again."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a batch.

    Attributes:
        ncco: The call flow, whose talk texts may contain columns in braces, or None if *answer_url* is used.
        is_own_flow: True if voicectl made *ncco*, from ``--talk``.
        from_: The caller id, or None for a random number of the application.
        detects: True to detect machines.
        leaves_message: True to let a machine hear the message after its greeting, False to hang up on it.
        second_column: The column with another number of the same person.
        exclude: The path of a file of numbers that must not be called.
        window: The hours in which people may be called.
        timezone: The time zone of the window, unless the list has a column for it.
        public_url: The URL at which the platform reaches ``webhook serve``, for *confirm_key* and *opt_out_key*.
        max_cost: The greatest cost of the batch, or None.
        rate: The number of phones that may be rung per second.
        concurrent: The maximum number of calls under way, or None for no limit.
    """

    ncco: Ncco | None = None
    is_own_flow: bool = False
    answer_url: str | None = None
    from_: str | None = None
    ringing_timer: int | None = None
    length_timer: int | None = None
    attempts: int = 1
    retry_on: tuple[str, ...] = ()
    gap: float = 240.0
    detects: bool = True
    leaves_message: bool = False
    to_column: str | None = None
    second_column: str | None = None
    consent_column: str | None = None
    exclude: str | None = None
    window: str | None = None
    timezone: str | None = None
    timezone_column: str | None = None
    confirm_key: str | None = None
    opt_out_key: str | None = None
    public_url: str | None = None
    max_cost: str | None = None
    price_per_minute: str | None = None
    rate: float = 3.0
    concurrent: int | None = None

    @cached_property
    def budget(self) -> Budget:
        """How often a person may be called."""
        return Budget(attempts=self.attempts, retry_on=frozenset(self.retry_on), gap=self.gap)

    @cached_property
    def hours(self) -> Window | None:
        """The hours in which people may be called, or None for any time."""
        return None if self.window is None else Window.parse(self.window)

    def opens_at(self, now: float, row: Mapping[str, str]) -> float | None:
        """Return when a person may be called, in Unix seconds, or None if the person may be called now.

        Args:
            row: The values of the person's row, by column.
        """
        if self.hours is None:
            return None
        own = row.get(self.timezone_column, "").strip() if self.timezone_column else ""
        return self.hours.opens_at(now, zone(own or self.timezone or "UTC"))

    @property
    def asks_for_keys(self) -> bool:
        """True if people are asked to press a key."""
        return bool(self.confirm_key or self.opt_out_key)

    @property
    def call_bound(self) -> Decimal | None:
        """The greatest price of one call, or None if no price is known."""
        if self.price_per_minute is None:
            return None
        minutes = Decimal(self.length_timer or LONGEST_CALL_SECONDS) / 60
        return Decimal(self.price_per_minute) * minutes

    def limits(self, dials: int) -> Limits:
        """Return the limits for an attempt that rings *dials* phones."""
        return Limits(
            dials=dials,
            rate=self.rate,
            concurrent=self.concurrent,
            max_cost=None if self.max_cost is None else Decimal(self.max_cost),
            call_bound=self.call_bound,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the settings in the form in which they are stored."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Settings:
        """Build settings from the output of :meth:`to_json`."""
        known = {each.name for each in fields(cls)}
        given = {name: value for name, value in raw.items() if name in known}
        return cls(**given | {"retry_on": tuple(raw["retry_on"])})

    def check_same(self, asked: Settings) -> None:
        """Check that *asked*, the settings of another run, are the same except for the pacing.

        Raises:
            InputError: A setting differs.
        """
        own, other = self.to_json(), asked.to_json()
        changed = sorted(name for name in own if name not in PACING and own[name] != other[name])
        if changed:
            options = ", ".join(
                "--talk or --ncco" if name == "ncco" else f"--{name.strip('_').replace('_', '-')}"
                for name in changed
            )
            raise InputError(
                f"The batch was started with other settings: {options}.",
                hint="Give the same options as before, or use 'voicectl batch resume NAME'. For other calls, begin a"
                " new batch with another --id.",
            )
