"""The log of one conversation. It contains present and former members, and events that are numbered from 1."""

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
"""The minimum number of events that are kept for each conversation. These are the latest events.

Older events may be dropped. The remaining events keep their numbers.
"""


class MemberState(StrEnum):
    """The possible states of a member, in the order in which they occur. A member can leave without having joined."""

    INVITED = "INVITED"
    JOINED = "JOINED"
    LEFT = "LEFT"

    @property
    def event(self) -> str:
        """The type of the event that reports the state, such as ``member:joined``."""
        return f"member:{self.lower()}"


class IllegalState(Exception):
    """Raised if a member cannot change from the current state to the requested state. Nothing was changed."""


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """A user's membership of a conversation. A user who leaves and comes back becomes a new member.

    Attributes:
        id: The id of the member, ``MEM-...``.
        leg_uuid: The UUID of the member's leg, or None if the member was added through the API and has no leg.
        user: The app user, or None if the party on the member's leg is not an app user.
        since: The number of the member's first event.
        previous: The previous member with the same leg, or None if no earlier member had this leg.
        times: The times at which the member became ``invited``, ``joined`` and ``left``, keyed by these states, in
            milliseconds on the call clock.
        initiators: The user who caused each change in ``times``, also keyed by state. Changes that the platform
            caused are not included.
        given: The fields ``channel``, ``media``, ``knocking_id`` and ``invited_by`` as the client sent them, or None
            if the client sent none of them.
        reason: The reason for removing the member, or None if the client gave no reason.
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
        """The current state of the member."""
        if "left" in self.times:
            return MemberState.LEFT
        return MemberState.JOINED if "joined" in self.times else MemberState.INVITED

    def require(self, state: MemberState) -> None:
        """Check that the member can change from the current state to *state*.

        Raises:
            IllegalState: *state* cannot follow the current state.
        """
        order = list(MemberState)
        if state is MemberState.INVITED or order.index(state) <= order.index(self.state):
            raise IllegalState(f"{state} may not follow {self.state}")

    def become(self, state: MemberState, at: int) -> None:
        """Change the member's state to *state* at the time *at*, in milliseconds on the call clock.

        Raises:
            IllegalState: *state* cannot follow the current state.
        """
        if self.times:
            self.require(state)
        self.times[state.lower()] = at


@dataclass(slots=True, kw_only=True, eq=False)
class ConversationLog:
    """A conversation with its members and events, as recorded by :mod:`voicectl.sandbox.conversations.log`.

    Attributes:
        number: The position of the conversation in the order of creation, counted from 1.
        settings: The fields ``display_name``, ``image_url``, ``properties``, ``numbers`` and ``callback`` as the
            client sent them.
        updated: The time of the last change to the settings or the name, in milliseconds on the call clock, or None
            if there has been no such change.
        members: All present and former members, keyed by id, in the order in which they were added.
        deleted: The numbers of the deleted events, or None if no event has been deleted.
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
        """The name of the conversation. The conversation of a single call has a generated name."""
        return self.conversation.name or f"NAM-{derived('name', self.conversation.uuid)}"

    @property
    def last_id(self) -> int:
        """The number of the last event, or 0 if there are no events."""
        return self._dropped + len(self._notes)

    def append(self, note: Note) -> int:
        """Append *note* as the next event, and return the number of the event."""
        if len(self._notes) >= 2 * KEPT:
            del self._notes[:KEPT]
            self._dropped += KEPT
        self._notes.append(note)
        return self.last_id

    def events(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, Note]]:
        """Yield the number and content of each event from *first* to *last*, or to the end if *last* is None."""
        start = max(first - self._dropped - 1, 0)
        stop = len(self._notes) if last is None else min(last - self._dropped, len(self._notes))
        for i in range(start, stop):
            yield self._dropped + i + 1, self._notes[i]

    def event(self, number: int) -> Note | None:
        """Return the event with the given number. Return None if the event never existed or has been dropped."""
        at = number - self._dropped - 1
        return self._notes[at] if 0 <= at < len(self._notes) else None

    def erase(self, number: int) -> None:
        """Delete the body of the event with the given number. The event's number and type are kept."""
        at = number - self._dropped - 1
        self._notes[at] = replace(self._notes[at], body={})
        self.deleted = (self.deleted or set()) | {number}

    def add(self, member: Member) -> Member:
        """Add a new member and return it."""
        if member.leg_uuid is not None:
            member.previous = self._by_leg.get(member.leg_uuid)
            self._by_leg[member.leg_uuid] = member
        self.members[member.id] = member
        return member

    def member(self, reference: str | None, number: int | None = None) -> Member | None:
        """Return the member that *reference* identifies, or None if there is no such member.

        *reference* is the id of a member or the UUID of a leg. If several members have had this leg, return the
        member who had it when event *number* occurred. If *number* is None, return the latest of these members.
        """
        if reference is None:
            return None
        member = self._by_leg.get(reference)
        if member is None:
            return self.members.get(reference)
        while number is not None and member.since > number and member.previous is not None:
            member = member.previous
        return member

    def present(self) -> list[Member]:
        """Return the members who have not left."""
        return [member for member in self.members.values() if member.state is not MemberState.LEFT]


def derived(kind: str, *parts: str) -> str:
    """Return a UUID derived from *kind* and *parts*.

    The same arguments always give the same UUID, so the UUID does not have to be stored.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join((kind, *parts))))
