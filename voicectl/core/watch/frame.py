"""The layout of a table of watched legs.

Legs are grouped by conversation. Each group begins with its oldest leg, and the group with the newest leg comes
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.core.watch.sight import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The content of a table of legs.

    Attributes:
        groups: One group of legs for each conversation. Each group begins with its oldest leg. The group with the
            newest leg comes first.
        hidden: The number of legs that are not in *groups*, because there is no space for them.
        live: The number of all live legs.
        conversations: The number of conversations with a live leg.
        over: The number of legs that have ended and that the board has not forgotten yet.
        disagreements: For each leg about which the API and the events disagree, the leg's id and a message about the
            difference.
    """

    groups: tuple[tuple[Sight, ...], ...] = ()
    hidden: int = 0
    live: int = 0
    conversations: int = 0
    over: int = 0
    disagreements: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, sights: Sequence[Sight], *, most: int, over_since: float) -> Frame:
        """Return a table of the newest legs in *sights*.

        Args:
            most: The maximum number of legs to show.
            over_since: A time in Unix seconds. Legs that ended at or before this time are left out.
        """
        shown = [each for each in sights if each.ended is None or each.ended > over_since]
        together: dict[str, list[Sight]] = {}
        for sight in shown:
            together.setdefault(_group(sight), []).append(sight)
        groups: list[tuple[Sight, ...]] = []
        left = most
        for group in sorted(together.values(), key=lambda group: max(map(_age_order, group)), reverse=True):
            if left <= 0:
                break
            fitting = sorted(group, key=_age_order)[-left:]
            groups.append(tuple(fitting))
            left -= len(fitting)
        live = [each for each in sights if not each.is_over]
        return cls(
            groups=tuple(groups),
            hidden=len(shown) - (most - left),
            live=len(live),
            conversations=len(set(map(_group, live))),
            over=len(sights) - len(live),
            disagreements=tuple((each.call.uuid, each.disagreement) for each in sights if each.disagreement),
        )


def age_text(seconds: float, *, is_exact: bool) -> str:
    """Return an age as text, such as ``12s``, ``3m`` or ``4d``, preceded by ``>`` if the real age may be higher."""
    units = (86_400, "d"), (3600, "h"), (60, "m")
    size, unit = next((each for each in units if seconds >= each[0]), (1, "s"))
    shown = f"{min(int(seconds // size), 999)}{unit}"
    return shown if is_exact else f">{shown}"


def _group(sight: Sight) -> str:
    return sight.call.conversation_uuid or sight.call.uuid


def _age_order(sight: Sight) -> tuple[float, str]:
    return sight.birth.at, sight.call.uuid
