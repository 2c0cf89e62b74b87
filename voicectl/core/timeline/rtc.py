"""RTC events in a timeline: which statuses they report, and which other entries they only repeat.

The Conversation API sends its own events (RTC events) about the same calls as the Voice API. Most of them report what
a call event or another RTC event reports as well: a leg that is moved leaves one conversation and joins another, and
the call event ``transfer`` covers both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from voicectl.core.timeline.entries import Happening, Sort
from voicectl.voice.call import FINAL, HUMAN, CallStatus
from voicectl.voice.event import LEG_STATUS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

REPEATED_SECONDS = 5.0
"""The longest time between two reports of the same thing, in seconds, if the thing may happen several times."""

JOINED, LEFT, MOVED = "member:joined", "member:left", "rtc:transfer"
_DETECTED = (HUMAN, CallStatus.MACHINE)
_STATUSES: dict[str, tuple[str, ...]] = {
    "member:invited": (CallStatus.STARTED,),
    "sip:ringing": (CallStatus.RINGING,),
    "rtc:ringing": (CallStatus.RINGING,),
    "sip:answered": (CallStatus.ANSWERED,),
    "rtc:answered": (CallStatus.ANSWERED,),
    "sip:machine": _DETECTED,
    "sip:amd_machine": _DETECTED,
} | dict.fromkeys(("sip:hangup", "rtc:hangup", "sip:status", "rtc:status"), tuple(FINAL))
"""The statuses that an RTC event may report, by the type of the event. Each event reports one status."""


def statuses(happening: Happening) -> tuple[str, ...]:
    """Return the statuses that an RTC event may report; empty for other events."""
    if happening.number is None:
        return ()
    if happening.what == LEG_STATUS:
        status = happening.facts.get("status", "")
        return tuple(FINAL) if status in FINAL else (status,)
    return _STATUSES.get(happening.what, ())


def folded(happenings: Sequence[Happening]) -> list[Happening]:
    """Return the entries without the RTC events that repeat another entry.

    The ids of these events are added to the events of the entry that they repeat.
    """
    own: defaultdict[tuple[str | None, str], list[Happening]] = defaultdict(list)
    for each in happenings:
        own[each.uuid, each.what].append(each)
    repeated = {id(each): found for each in happenings if (found := _repeated_entry(each, own)) is not None}
    repeats: defaultdict[int, list[Happening]] = defaultdict(list)
    for each in happenings:
        if id(each) in repeated:
            first = repeated[id(each)]
            while id(first) in repeated:  # a join repeats an RTC transfer, and that repeats a call event
                first = repeated[id(first)]
            repeats[id(first)].append(each)
    return [_with(each, repeats[id(each)]) for each in happenings if id(each) not in repeated]


def _repeated_entry(
    event: Happening, own: Mapping[tuple[str | None, str], Sequence[Happening]]
) -> Happening | None:
    """Return the entry that *event* repeats, or None.

    Args:
        own: The entries by leg and name.
    """
    if event.number is None:
        return None
    for whats, seconds, is_same in _rules(event):
        near = [
            each
            for what in whats
            for each in own.get((event.uuid, what), ())
            if abs(each.time - event.time) <= seconds and is_same(each)
        ]
        if near:
            return min(near, key=lambda each: abs(each.time - event.time))
    return None


def _rules(event: Happening) -> Iterator[tuple[Sequence[str], float, Callable[[Happening], bool]]]:
    """Yield the rules for finding the entry that *event* repeats. The most specific rules come first.

    A rule contains the possible names of the entry, the greatest difference between the times of the entry and the
    event in seconds, and a condition that the entry must meet.
    """
    here = event.conversation
    match event.what:
        case "member:joined":
            yield (Kind.TRANSFER, MOVED), REPEATED_SECONDS, lambda each: each.conversation == here
            yield (CallStatus.ANSWERED,), REPEATED_SECONDS, lambda each: each.conversation == here
        case "member:left":
            yield (Kind.TRANSFER, MOVED), REPEATED_SECONDS, lambda each: each.left == here
            yield (JOINED,), 0.0, lambda each: each.conversation != here
            yield tuple(FINAL), REPEATED_SECONDS, _is_status
        case "rtc:transfer":
            yield (Kind.TRANSFER,), REPEATED_SECONDS, lambda each: each.conversation == here
        case "audio:record:done":
            recording = event.facts.get("recording_id")
            yield (Kind.RECORD,), math.inf, lambda each: each.facts.get("recording_uuid") == recording
        case "audio:asr:done":
            yield (Kind.INPUT,), REPEATED_SECONDS, lambda each: "words" in each.facts
        case _:
            yield statuses(event), math.inf, _is_status


def _is_status(happening: Happening) -> bool:
    return happening.sort is Sort.STATUS


def _with(kept: Happening, repeats: Iterable[Happening]) -> Happening:
    """Return *kept* with the ids of the events in *repeats* added.

    If *kept* reports that a leg joined a conversation, and *repeats* shows which conversation the leg left, this
    conversation is added too.
    """
    numbers = set(kept.events)
    for each in repeats:
        numbers.update(each.events)
        if kept.what == JOINED and each.what == LEFT and each.conversation is not None:
            kept = replace(kept, left=each.conversation, facts={**kept.facts, "left": each.conversation})
    return replace(kept, events=tuple(sorted(numbers)))
