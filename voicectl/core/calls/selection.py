"""Selecting live legs by their records, and by their ages, which the records do not show.

Source: Voice API reference, ``GET /v1/calls`` and "call record": the record of a leg that has not completed has no
time fields. The meaning of ``date_start`` and ``date_end`` for such a leg is not documented.
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
"""A time before all calls. A server that lists a live leg as older than this does not know the ages of live legs."""

PICKED_UP = (CallStatus.ANSWERED, CallStatus.MACHINE)
"""The statuses in which a leg can be muted and earmuffed."""


class Direction(StrEnum):
    """The direction of a call, as seen from the application."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The conditions that live legs must meet to be selected. A condition that is None is met by all live legs.

    Attributes:
        conversation: The id of the conversation that the legs are in now.
        status: The status of the legs.
        direction: The direction of the legs' calls.
        match_to: A pattern for the number, URI, user or extension called, such as ``4477*``.
        match_from: A pattern for the caller.
        older_than: The minimum age of the legs, in seconds.
        except_: The hyphenated ids of legs to leave out.
    """

    conversation: str | None = None
    status: CallStatus | None = None
    direction: Direction | None = None
    match_to: str | None = None
    match_from: str | None = None
    older_than: float | None = None
    except_: frozenset[str] = frozenset()


def matches(call: Call, selection: Selection) -> bool:
    """Return True if a leg is live, and its record meets all conditions of *selection* except ``older_than``."""
    return (
        is_leg_id(call.uuid)
        and not call.is_final
        and hyphenated(call.uuid) not in selection.except_
        and meets(call, selection)
    )


def meets(call: Call, selection: Selection) -> bool:
    """Return True if a leg, live or not, meets the conditions on its conversation, status, direction and parties."""
    return (
        selection.conversation in (None, call.conversation_uuid)
        and selection.status in (None, call.status)
        and selection.direction in (None, call.direction)
        and is_like(endpoint.label(call.to), selection.match_to)
        and is_like(endpoint.label(call.from_), selection.match_from)
    )


def is_like(shown: str | None, glob: str | None) -> bool:
    """Return True if the number *shown* matches the pattern *glob*, or if *glob* is None.

    A ``+`` at the beginning of *glob* is ignored. If *shown* is None, the number is withheld, and matches only ``*``.
    """
    return glob is None or fnmatchcase(shown or "", glob.removeprefix("+"))


def find(
    api: VoiceApi,
    selection: Selection,
    *,
    ages: Callable[[], Ages],
    statuses: Sequence[CallStatus] = LIVE,
) -> list[Call]:
    """Return the latest record of each live leg that meets the conditions of *selection*.

    The requests filter by conversation and status. The records are then checked again, since a server that ignores a
    filter also lists other legs.

    The API shows the age of a live leg only through its date filters, and a server may treat every live leg, or no
    live leg, as matching a date filter. So a leg counts as old enough only if three conditions are met: it is listed
    as older than the cut-off, it is not listed as younger, and it is not listed as older than
    :data:`BEFORE_ALL_CALLS`. No leg that may be younger is then selected, even if the server does not date live legs,
    dates them all to 1970, or knows only the day on which they began. The creation times that this machine
    knows can exclude a leg, but never include a leg.

    Args:
        ages: A function that returns what this machine knows about the ages of legs. It is called only if
            ``older_than`` is set.
        statuses: The statuses of the legs to look for.
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
    # list every live status, so as not to miss a leg whose status has changed meanwhile
    undated = {call.uuid for call in ask(statuses=LIVE, date_end=BEFORE_ALL_CALLS)}
    younger = {call.uuid for call in ask(statuses=LIVE, date_start=cut_off)}
    return [
        call
        for call in old
        if call.uuid not in undated | younger and not known.is_younger(call.uuid, selection.older_than)
    ]
