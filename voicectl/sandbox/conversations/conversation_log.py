"""The log of one conversation: who its members are and were, and what happened in it, numbered from 1."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from voicectl.sandbox.conversations.users import User
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.state import Conversation

KEPT = 10_000
"""How many events of one conversation are kept at least; the oldest go first, and the numbers go on."""


class MemberState(StrEnum):
    """What a member is; it passes through them in this order, and may leave without having joined."""

    INVITED = "INVITED"
    JOINED = "JOINED"
    LEFT = "LEFT"

    @property
    def event(self) -> str:
        """The type of the event that tells of it: ``member:joined`` ..."""
        return f"member:{self.lower()}"


class IllegalState(Exception):
    """A state that may not follow the present one; nothing was changed."""


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """One stay of one user in one conversation; who comes back is another member.

    Attributes:
        id: ``MEM-...``.
        leg_uuid: Whose member it is; None for one that the API made, which has no leg.
        user: None for the automatic user of a leg.
        since: The number of the event with which it began.
        previous: The member that the same leg was before.
        times: When it was ``invited``, ``joined`` and ``left``, in milliseconds of the call clock.
        initiators: Who brought that about, where it was a user and not the platform, by the same names.
        given: ``channel``, ``media``, ``knocking_id`` and ``invited_by``, as they were given.
        reason: Why it was made to leave, as it was given.
    """

    id: str
    leg_uuid: str | None = None
    user: User | None = None
    since: int = 0
    previous: Member | None = None
    times: dict[str, int] = field(default_factory=dict)
    initiators: dict[str, dict[str, Any]] | None = None
    given: dict[str, Any] | None = None
    reason: dict[str, Any] | None = None

    @property
    def state(self) -> MemberState:
        """What it is now."""
        if "left" in self.times:
            return MemberState.LEFT
        return MemberState.JOINED if "joined" in self.times else MemberState.INVITED

    def require(self, state: MemberState) -> None:
        """Make sure that *state* may follow the present one.

        Raises:
            IllegalState: It may not.
        """
        order = list(MemberState)
        if state is MemberState.INVITED or order.index(state) <= order.index(self.state):
            raise IllegalState(f"{state} may not follow {self.state}")

    def become(self, state: MemberState, at: int) -> None:
        """Note that it is now in *state*. Raises as :meth:`require`."""
        if self.times:
            self.require(state)
        self.times[state.lower()] = at


@dataclass(slots=True, kw_only=True, eq=False)
class ConversationLog:
    """A conversation with its members and events; :mod:`voicectl.sandbox.conversations.log` fills it.

    Attributes:
        number: In which order they were made, from 1.
        settings: ``display_name``, ``image_url``, ``properties``, ``numbers`` and ``callback``, as they were given.
        updated: When those or the name were changed, in milliseconds of the call clock; None: never.
        members: By their ids, in the order in which they came.
        deleted: The numbers of the events that were deleted.
    """

    conversation: Conversation
    number: int
    settings: dict[str, Any] = field(default_factory=dict)
    updated: int | None = None
    members: dict[str, Member] = field(default_factory=dict)
    deleted: set[int] | None = None
    _by_leg: dict[str, Member] = field(default_factory=dict)
    _notes: list[Note] = field(default_factory=list)
    _dropped: int = 0

    @property
    def name(self) -> str:
        """Its name; a call's own conversation has a generated one."""
        return self.conversation.name or f"NAM-{derived('name', self.conversation.uuid)}"

    @property
    def last_id(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._dropped + len(self._notes)

    def append(self, note: Note) -> int:
        """Write down *note*; its number is returned."""
        if len(self._notes) >= 2 * KEPT:
            del self._notes[:KEPT]
            self._dropped += KEPT
        self._notes.append(note)
        return self.last_id

    def events(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, Note]]:
        """The events from number *first* to number *last*, both included; None: to the end."""
        start = max(first - self._dropped - 1, 0)
        stop = len(self._notes) if last is None else min(last - self._dropped, len(self._notes))
        for i in range(start, stop):
            yield self._dropped + i + 1, self._notes[i]

    def event(self, number: int) -> Note | None:
        """The event of this number; None if there is none, or none any more."""
        at = number - self._dropped - 1
        return self._notes[at] if 0 <= at < len(self._notes) else None

    def erase(self, number: int) -> None:
        """Delete an event: its number and type stay, its body is gone."""
        at = number - self._dropped - 1
        self._notes[at] = replace(self._notes[at], body={})
        self.deleted = (self.deleted or set()) | {number}

    def add(self, member: Member) -> Member:
        """Take in a new member."""
        if member.leg_uuid is not None:
            member.previous = self._by_leg.get(member.leg_uuid)
            self._by_leg[member.leg_uuid] = member
        self.members[member.id] = member
        return member

    def member(self, reference: str | None, number: int | None = None) -> Member | None:
        """The member with this id, or the one that a leg is, or was when event *number* happened."""
        if reference is None:
            return None
        member = self._by_leg.get(reference)
        if member is None:
            return self.members.get(reference)
        while number is not None and member.since > number and member.previous is not None:
            member = member.previous
        return member

    def present(self) -> list[Member]:
        """Those that have not left."""
        return [member for member in self.members.values() if member.state is not MemberState.LEFT]


def derived(kind: str, *parts: str) -> str:
    """A UUID that follows from the ids *parts*, so that nothing need be kept and a run repeats."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join((kind, *parts))))
