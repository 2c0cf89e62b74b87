"""Selecting live legs by their records, and by their age, which the record of a live leg does not show.

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
"""A time before all calls: a server that lists a leg as older does not date live legs."""

PICKED_UP = (CallStatus.ANSWERED, CallStatus.MACHINE)
"""The statuses in which a leg can be muted and earmuffed."""


class Direction(StrEnum):
    """Direction of a call, seen from the application."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The conditions that selected live legs meet; without any, all live legs are selected.

    Attributes:
        conversation: The id of the conversation that they are in now.
        status: One of the live statuses.
        match_to: A pattern for the number, URI, user or extension called: ``4477*``.
        match_from: The same for the caller.
        older_than: Seconds since their creation, at least.
        except_: Legs to leave out, as hyphenated ids.
    """

    conversation: str | None = None
    status: CallStatus | None = None
    direction: Direction | None = None
    match_to: str | None = None
    match_from: str | None = None
    older_than: float | None = None
    except_: frozenset[str] = frozenset()


def matches(call: Call, selection: Selection) -> bool:
    """Return True if a live leg's record meets all conditions of *selection* except its age."""
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
    """Return True if a number from a record matches ``4477*`` or ``+4477*``; a withheld one matches only ``*``."""
    return glob is None or fnmatchcase(shown or "", glob.removeprefix("+"))


def find(
    api: VoiceApi,
    selection: Selection,
    *,
    ages: Callable[[], Ages],
    statuses: Sequence[CallStatus] = LIVE,
) -> list[Call]:
    """Return the live legs that *selection* selects, each once, as last seen.

    The request filters by conversation and status, and the records are checked again, since a server that ignores a
    filter lists other legs too.

    The age of a live leg is known only from filters by date, and a server may treat every live leg, or none, as
    matching them. So a leg counts as old enough only if it is listed before the cut-off, not listed from the cut-off
    on, and not listed before :data:`BEFORE_ALL_CALLS`. A server that does not date live legs, dates them all 1970, or
    knows only their day then lists none that may be younger. What this machine knows of a leg's creation can exclude
    the leg, and never includes one.

    Args:
        ages: Returns what this machine knows of the age of legs; called only if *selection* has an age.
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
    # list every live status, so as not to miss a leg that has moved on meanwhile
    undated = {call.uuid for call in ask(statuses=LIVE, date_end=BEFORE_ALL_CALLS)}
    younger = {call.uuid for call in ask(statuses=LIVE, date_start=cut_off)}
    return [
        call
        for call in old
        if call.uuid not in undated | younger and not known.is_younger(call.uuid, selection.older_than)
    ]
