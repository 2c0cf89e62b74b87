"""The legs in order of creation, also by status and by conversation, so that a list does not look at every leg."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter

from voicectl.sandbox.telephony.state import Conversation, Leg
from voicectl.voice.call import CallStatus

_number = attrgetter("number")

Shelf = tuple[str, CallStatus | None]
"""An application's id and a status, or None for all statuses; or the id of a conversation and None."""


class Register:
    """All legs, on sorted shelves. Status and conversation of a leg change only through a register.

    Legs are never removed, and end in the order of time.
    """

    def __init__(self) -> None:
        self._shelves: defaultdict[Shelf, list[Leg]] = defaultdict(list)
        self._first_ends: dict[str, int] = {}

    def add(self, leg: Leg) -> None:
        """Add *leg*, which must be newer than all others."""
        for shelf in _shelves(leg):
            self._shelves[shelf].append(leg)

    def set_status(self, leg: Leg, status: CallStatus) -> None:
        """Change the status of *leg*. If it has ended, ``ended_at`` must have been set."""
        self._take(leg, (leg.application_id, leg.status))
        leg.status = status
        insort(self._shelves[leg.application_id, status], leg, key=_number)
        if leg.ended_at is not None:
            self._first_ends.setdefault(leg.application_id, leg.ended_at)

    def set_conversation(self, leg: Leg, conversation: Conversation) -> None:
        """Change the conversation of *leg*."""
        self._take(leg, (leg.conversation.uuid, None))
        leg.conversation = conversation
        insort(self._shelves[conversation.uuid, None], leg, key=_number)

    def of_application(self, application_id: str, status: CallStatus | None = None) -> Sequence[Leg]:
        """Return the legs of an application, oldest first: all legs, or those with the given *status*."""
        return self._shelves.get((application_id, status), ())

    def of_conversation(self, conversation_uuid: str) -> Sequence[Leg]:
        """Return the legs that are in a conversation or were in it when they ended, oldest first."""
        return self._shelves.get((conversation_uuid, None), ())

    def has_ended_by(self, application_id: str, moment: int) -> bool:
        """Return True if a leg of an application has ended at or before *moment*, in milliseconds."""
        first = self._first_ends.get(application_id)
        return first is not None and first <= moment

    def _take(self, leg: Leg, shelf: Shelf) -> None:
        legs = self._shelves[shelf]
        del legs[bisect_left(legs, leg.number, key=_number)]
        if not legs:
            del self._shelves[shelf]


def _shelves(leg: Leg) -> tuple[Shelf, ...]:
    return (leg.application_id, None), (leg.application_id, leg.status), (leg.conversation.uuid, None)
