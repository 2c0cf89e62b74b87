"""The entries of one leg, and which actions from this machine had which of the reported effects."""

from __future__ import annotations

from collections import defaultdict, deque
from operator import attrgetter
from typing import TYPE_CHECKING

from voicectl.core.timeline.entries import DONE, Happening, Sort
from voicectl.voice.call import CallStatus
from voicectl.voice.event import Kind, rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOTED_SECONDS = 20.0
"""The longest time until an action is noted in the action log, in seconds. It is noted after the API answers."""

PAIRED_SECONDS = 60.0
"""The longest time between an action and its effect, in seconds, if the numbers of actions and effects differ."""

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
    """The entries of one leg, grouped by kind."""

    def __init__(self, happenings: Sequence[Happening]) -> None:
        self.all = happenings
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

    def effects(self) -> Iterator[tuple[Happening, Happening]]:
        """Yield each successful action whose effect was reported, together with the effect."""
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
            yield from _paired(sorted(done, key=_KEY), sorted(effects[what], key=_KEY))


def _paired(
    actions: Sequence[Happening], effects: Sequence[Happening]
) -> Iterator[tuple[Happening, Happening]]:
    """Yield pairs of an action and its effect.

    If there are as many actions as effects, they are paired in order. Otherwise, an action is paired with the next
    effect that is at most :data:`PAIRED_SECONDS` before or after the action.
    """
    if len(actions) == len(effects):
        yield from zip(actions, effects, strict=True)
        return
    left = deque(effects)
    for action in actions:
        while left and left[0].time < action.time - PAIRED_SECONDS:
            left.popleft()
        if left and left[0].time <= action.time + PAIRED_SECONDS:
            yield action, left.popleft()
