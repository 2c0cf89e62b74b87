"""The plan of a batch, which is shown before the first call: how many people, how long, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from voicectl.voice import ncco

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from voicectl.core.batch.settings import Settings

MAX_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a batch.

    Attributes:
        people: The number of people who may be called.
        uncalled: The number of people who are not called, by outcome.
        duplicates: The number of rows and second numbers that are left out.
        first_duplicates: The line and number of the first of them.
        first: The line and number of the first people.
    """

    settings: Settings
    people: int
    uncalled: Mapping[str, int]
    duplicates: int
    first_duplicates: Sequence[tuple[int, str]]
    first: Sequence[tuple[int, str]]

    @property
    def dials(self) -> int:
        """The number of phones that each call rings."""
        return 1 + len(list(ncco.dialled(self.settings.ncco)))

    @property
    def seconds(self) -> float:
        """The shortest time in which all people can be called once, in seconds."""
        return self.people * self.dials / self.settings.rate

    @property
    def cost(self) -> Decimal | None:
        """The greatest cost of calling all people as often as possible, or None if no price is known."""
        bound = self.settings.call_bound
        if bound is None:
            return None
        cost = bound * self.people * self.settings.attempts
        return cost if self.settings.max_cost is None else min(cost, Decimal(self.settings.max_cost))

    def lines(self) -> Iterator[str]:
        """Yield the plan, a line for each fact."""
        for line, to in self.first:
            yield f"  line {line}: {to}"
        if self.people > len(self.first):
            yield f"  and {self.people - len(self.first)} more"
        for outcome, count in sorted(self.uncalled.items()):
            yield f"Not called, {outcome}: {count}."
        if self.duplicates:
            shown = ", ".join(f"{to} (line {line})" for line, to in self.first_duplicates)
            more = ", ..." if self.duplicates > len(self.first_duplicates) else ""
            yield f"Duplicates left out: {self.duplicates}; {shown}{more}."
        if self.dials > 1:
            yield f"Each call rings {self.dials} phones, all of which count towards the rate limit."
        yield (
            f"At {self.settings.rate:g} per second, calling everyone once takes at least {_duration(self.seconds)}"
            f"{'; up to ' + str(self.settings.attempts) + ' attempts each' if self.settings.attempts > 1 else ''}."
        )
        if self.cost is not None:
            yield f"The cost is at most EUR {self.cost:.2f}."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "1 s"
