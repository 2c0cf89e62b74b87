"""The legs in order of creation, also by status and by conversation, so that a list does not look at every leg."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter

from voicectl.sandbox.telephony.state import Conversation, Leg
from voicectl.voice.call import CallStatus

_number = attrgetter("number")

Group = tuple[str, CallStatus | None]
"""The key of a group of legs.

It is an application id and a status, or None for all statuses; or it is a conversation id and None.
"""


class Register:
    """All legs, in sorted groups. Status and conversation of a leg change only through a register.

    Legs are never removed, and must end in chronological order.
    """

    def __init__(self) -> None:
        self._groups: defaultdict[Group, list[Leg]] = defaultdict(list)
        self._first_ends: dict[str, int] = {}

    def add(self, leg: Leg) -> None:
        """Add *leg*, which must be newer than all others."""
        for group in _groups(leg):
            self._groups[group].append(leg)

    def set_status(self, leg: Leg, status: CallStatus) -> None:
        """Change the status of *leg*. If the leg has ended, its ``ended_at`` must already be set."""
        self._take(leg, (leg.application_id, leg.status))
        leg.status = status
        insort(self._groups[leg.application_id, status], leg, key=_number)
        if leg.ended_at is not None:
            self._first_ends.setdefault(leg.application_id, leg.ended_at)

    def set_conversation(self, leg: Leg, conversation: Conversation) -> None:
        """Change the conversation of *leg*."""
        self._take(leg, (leg.conversation.uuid, None))
        leg.conversation = conversation
        insort(self._groups[conversation.uuid, None], leg, key=_number)

    def of_application(self, application_id: str, status: CallStatus | None = None) -> Sequence[Leg]:
        """Return the legs of an application, oldest first: all legs, or those with the given *status*."""
        return self._groups.get((application_id, status), ())

    def of_conversation(self, conversation_uuid: str) -> Sequence[Leg]:
        """Return the legs that are in a conversation or were in it when they ended, oldest first."""
        return self._groups.get((conversation_uuid, None), ())

    def has_ended_by(self, application_id: str, moment: int) -> bool:
        """Return True if a leg of an application has ended at or before *moment*, in milliseconds."""
        first = self._first_ends.get(application_id)
        return first is not None and first <= moment

    def _take(self, leg: Leg, group: Group) -> None:
        legs = self._groups[group]
        del legs[bisect_left(legs, leg.number, key=_number)]
        if not legs:
            del self._groups[group]


def _groups(leg: Leg) -> tuple[Group, ...]:
    return (leg.application_id, None), (leg.application_id, leg.status), (leg.conversation.uuid, None)
