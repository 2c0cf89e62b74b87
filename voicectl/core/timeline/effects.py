"""The entries of one leg, and the pairing of this machine's actions with their reported effects."""

from __future__ import annotations

import math
from bisect import bisect, bisect_left, bisect_right
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING

from voicectl.core.timeline.entries import DONE, Happening, Sort
from voicectl.voice.call import CallStatus
from voicectl.voice.event import Kind, rank

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

NOTED_SECONDS = 20.0
"""The longest time between an action's entry in the action log and the action's effect, in seconds."""

_END = "end"
EFFECTS: dict[str, str] = {
    "hangup": _END,
    "transfer": Kind.TRANSFER,
    "move": Kind.TRANSFER,
    "mute": "audio:mute:on",
    "unmute": "audio:mute:off",
    "earmuff": "audio:earmuff:on",
    "unearmuff": "audio:earmuff:off",
    "talk": "audio:say",
    "stream": "audio:play",
    "dtmf": "audio:dtmf",
}
"""The event or status that reports the effect of each action.

Names that begin with ``audio:`` are names of RTC events.
"""

_KEY = attrgetter("key")
_RINGING, _FINAL = rank(CallStatus.RINGING), rank(CallStatus.COMPLETED)


class Own:
    """The entries of one leg, grouped by kind.

    Args:
        rooms: The known names of conversations, by the conversations' ids.
        has_entered: True if the NCCO with which the leg was created brings the leg into a room.
    """

    def __init__(
        self,
        happenings: Sequence[Happening],
        *,
        rooms: Mapping[str | None, Collection[str]],
        has_entered: bool,
    ) -> None:
        self.all = happenings
        self._rooms = rooms
        self._has_entered = has_entered
        self.asked = [each for each in happenings if each.sort is Sort.ASKED]
        self.actions = [each for each in happenings if each.sort is Sort.ACTION]
        self.begun = [
            each for each in happenings if each.sort is Sort.STATUS and 0 < rank(each.what) <= _RINGING
        ]

    def by_rank(self) -> list[list[Happening]]:
        """Return the statuses in groups of equal rank, with the lowest rank first."""
        groups: defaultdict[int, list[Happening]] = defaultdict(list)
        for each in self.all:
            if each.sort is Sort.STATUS and rank(each.what):
                groups[rank(each.what)].append(each)
        return [group for _, group in sorted(groups.items())]

    def effects(self, ahead: float) -> Iterator[tuple[Happening, Happening]]:
        """Yield each successful action whose effect was reported, together with the effect.

        Args:
            ahead: How far this machine's clock is known to have been ahead of the platform's, in seconds.
        """
        actions: defaultdict[str, list[Happening]] = defaultdict(list)
        for each in self.actions:
            if each.outcome == DONE:
                actions[EFFECTS.get(each.what, "")].append(each)
        effects: defaultdict[str, list[Happening]] = defaultdict(list)
        if actions:
            for each in self.all:
                if each.sort is Sort.OTHER and each.events:
                    effects[each.what].append(each)
            ends = [each for each in self.all if each.sort is Sort.STATUS and rank(each.what) == _FINAL]
            effects[_END] = sorted(ends, key=_KEY)[:1]
        for what, done in actions.items():
            yield from self._paired(what, sorted(done, key=_KEY), sorted(effects[what], key=_KEY), ahead)

    def _paired(
        self, what: str, actions: Sequence[Happening], effects: Sequence[Happening], ahead: float
    ) -> list[tuple[Happening, Happening]]:
        """Pair *actions* with the *effects* that they caused. Both must be sorted by time.

        An action and an effect are near if their times differ by at most :data:`NOTED_SECONDS`. In general, only near
        ones are paired. But if there are equal numbers of actions and effects, and none are near, they are paired in
        order.

        The flow with which a leg was created may also move the leg. If it is known to do so, the first transfer is
        ignored when pairing in order. If this is not known, only near transfers are paired.

        Args:
            what: The name of the effect, as in :data:`EFFECTS`.
        """
        effects = [each for each in effects if any(self._fits(action, each) for action in actions)]
        is_transfer = what == Kind.TRANSFER
        own = effects[1:] if is_transfer and self._has_entered else effects
        in_order = list(zip(actions, own, strict=True)) if len(actions) == len(own) else []
        is_fit = bool(in_order) and all(self._fits(*pair) for pair in in_order)
        if is_fit and all(_apart(*pair, ahead) <= NOTED_SECONDS for pair in in_order):
            return in_order
        near = self._nearest(actions, effects, ahead)
        are_all = not is_transfer or self._has_entered
        return in_order if is_fit and are_all and not near else near

    def _nearest(
        self, actions: Sequence[Happening], effects: Sequence[Happening], ahead: float
    ) -> list[tuple[Happening, Happening]]:
        """Pair actions with effects at most :data:`NOTED_SECONDS` before or after them. The nearest are paired first.

        The pairs preserve order: if one action is later than another, its effect is later too.
        """
        times = [each.time for each in effects]
        near: list[tuple[float, int, int]] = []
        for number, action in enumerate(actions):
            at = action.time - ahead
            if at == math.inf:  # nothing is near it
                continue
            first, last = bisect_left(times, at - NOTED_SECONDS), bisect_right(times, at + NOTED_SECONDS)
            near += [
                (_apart(action, effects[each], ahead), number, each)
                for each in range(first, last)
                if self._fits(action, effects[each])
            ]
        found: list[tuple[int, int]] = []
        for _, number, each in sorted(near):
            place = bisect(found, (number, each))
            is_after = place == 0 or (found[place - 1][0] < number and found[place - 1][1] < each)
            is_before = place == len(found) or (number < found[place][0] and each < found[place][1])
            if is_after and is_before:
                found.insert(place, (number, each))
        return [(actions[number], effects[each]) for number, each in found]

    def _fits(self, action: Happening, effect: Happening) -> bool:
        """Return False if *action* is known to move the leg to a different room than *effect* reports."""
        names = self._rooms.get(effect.conversation)
        return not names or action.facts.get("room") in (None, *names)


def rooms(happenings: Iterable[Happening]) -> dict[str | None, set[str]]:
    """Return the names of conversations that RTC events report, by the conversations' ids."""
    found: defaultdict[str | None, set[str]] = defaultdict(set)
    for each in happenings:
        if each.what.startswith("conversation:") and "name" in each.facts:
            found[each.conversation].add(each.facts["name"])
    return dict(found)


def _apart(action: Happening, effect: Happening, ahead: float) -> float:
    return abs(action.time - ahead - effect.time)
