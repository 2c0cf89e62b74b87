"""Selecting live legs by what their records show, and by their age, which no record of a live leg shows.

Source: Voice API reference, ``GET /v1/calls`` and "call record": a leg that has not completed has no time field, and
what ``date_start`` and ``date_end`` mean for it is not documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from voicectl import times
from voicectl.core.calls.live import live_calls
from voicectl.voice import endpoint
from voicectl.voice.call import LIVE, Call, CallStatus, hyphenated, is_leg_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.core.calls.ages import Ages

BEFORE_ALL_CALLS = "2000-01-01T00:00:00Z"
"""No call was made before this time: a leg that is listed as one is not dated at all."""

PICKED_UP = (CallStatus.ANSWERED, CallStatus.MACHINE)
"""The statuses in which a leg can be muted and earmuffed."""


class Direction(StrEnum):
    """Who called: the party, or we."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which live legs are meant; all, where nothing is said.

    Attributes:
        conversation: The id of the conversation that they are in now.
        status: One of the live statuses.
        match_to: What the number they went to, URI, user or extension is like: ``4477*``.
        match_from: The same for the caller.
        older_than: Seconds since they were made, at the least.
        except_: Legs that are not meant, by their hyphenated ids.
    """

    conversation: str | None = None
    status: CallStatus | None = None
    direction: Direction | None = None
    match_to: str | None = None
    match_from: str | None = None
    older_than: float | None = None
    except_: frozenset[str] = frozenset()


def matches(call: Call, selection: Selection) -> bool:
    """Whether a record is what *selection* asks for, but for its age; one of a leg that is over never is."""
    return (
        is_leg_id(call.uuid)
        and not call.is_final
        and hyphenated(call.uuid) not in selection.except_
        and selection.conversation in (None, call.conversation_uuid)
        and selection.status in (None, call.status)
        and selection.direction in (None, call.direction)
        and is_like(endpoint.label(call.to), selection.match_to)
        and is_like(endpoint.label(call.from_), selection.match_from)
    )


def is_like(shown: str | None, glob: str | None) -> bool:
    """Whether a number, as a record shows it, is like ``4477*`` or ``+4477*``; a withheld one is like ``*`` alone."""
    return glob is None or fnmatchcase(shown or "", glob.removeprefix("+"))


def find(
    api: VoiceApi,
    selection: Selection,
    *,
    ages: Callable[[], Ages],
    statuses: Sequence[CallStatus] = LIVE,
) -> list[Call]:
    """The live legs that *selection* asks for, each once, as last seen.

    The server is asked for the conversation and the status, and its records are not taken on trust: one that ignores
    a filter shows legs that were not asked for.

    How old a live leg is can only be asked, and a server may answer as if every live leg, or none, had that age. So
    one counts as old enough only if it is listed before the cut-off, is not listed from the cut-off on, and is not
    listed before :data:`BEFORE_ALL_CALLS` either: a server that does not date live legs, that dates them all 1970, or
    that knows their day alone, then gives none that may be younger.
    What this machine knows of when a leg was made can rule it out, and never brings one in.

    Args:
        ages: Gives what this machine knows of when legs were made; called where their age is asked for.
        statuses: The statuses to look in.
    """
    ask = partial(live_calls, api, conversation_uuid=selection.conversation)
    wanted = [status for status in statuses if selection.status in (None, status)]
    if selection.older_than is None:
        return [call for call in ask(statuses=wanted) if matches(call, selection)]
    known = ages()
    cut_off = times.utc(known.platform_now - selection.older_than)
    old = [call for call in ask(statuses=wanted, date_end=cut_off) if matches(call, selection)]
    if not old:
        return []
    # in every live status: a leg that has moved on meanwhile is not to be missed
    undated = {call.uuid for call in ask(statuses=LIVE, date_end=BEFORE_ALL_CALLS)}
    younger = {call.uuid for call in ask(statuses=LIVE, date_start=cut_off)}
    return [
        call
        for call in old
        if call.uuid not in undated | younger and not known.is_younger(call.uuid, selection.older_than)
    ]
