"""Conversations: what legs share, and who leaves whom behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.actions import Join
    from voicectl.sandbox.telephony.recording import Recording
    from voicectl.sandbox.telephony.sounds import Heard
    from voicectl.sandbox.telephony.state import Leg

MAX_LEGS = 200
"""How many legs a conversation holds."""


@dataclass(slots=True, kw_only=True, eq=False)
class Conversation:
    """What legs share: a call's own, or a room with a name.

    Attributes:
        application_id: Whose it is.
        region: Where it lives: a room of the same name elsewhere is another room.
        created: Milliseconds of the call clock.
        made_at: The same moment in Unix seconds of the host clock.
        name: None for a call's own, which vanishes when the last leg leaves.
        is_started: False while a room waits for a leg that may start it: nobody hears anybody.
        is_expired: A room whose time is up vanishes like a call's own.
        legs: Who is in it, by uuid.
        recordings: Those that take down what is heard in it now.
        to_record: How to record the room once it is started, by the leg that asked for it.
        talk: What all its legs are told, or were told last; so is ``stream``.
    """

    uuid: str
    application_id: str
    region: str
    created: int
    made_at: float
    name: str | None = None
    is_started: bool = True
    is_expired: bool = False
    legs: dict[str, Leg] = field(default_factory=dict)
    recordings: list[Recording] = field(default_factory=list)
    to_record: tuple[Leg, Join] | None = None
    talk: Heard | None = None
    stream: Heard | None = None

    @property
    def stays(self) -> bool:
        """Whether it is there, empty, when all have left."""
        return self.name is not None and not self.is_expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A leg's terms in its present conversation; see :class:`voicectl.sandbox.telephony.actions.Join`.

    Attributes:
        is_guest: Brought there by another's ``transfer``: it runs no flow, and stays while there is one.
    """

    ends: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    is_guest: bool = False


class Conversations:
    """Those that exist. A call's own vanishes when its last leg leaves; a room stays, and waits to start again.

    Args:
        new_uuid: Makes the UUID that follows ``CON-``.
        host_time: Tells the host clock's Unix seconds, kept with each new one.

    Attributes:
        by_uuid: All of them.
    """

    def __init__(self, new_uuid: Callable[[], str], host_time: Callable[[], float]) -> None:
        self.by_uuid: dict[str, Conversation] = {}
        self._rooms: dict[tuple[str, str, str], Conversation] = {}
        self._new_uuid = new_uuid
        self._host_time = host_time

    def new(self, application_id: str, region: str, now: int, name: str | None = None) -> Conversation:
        """A conversation for one call; a room, if it has a *name* that no other of its place has."""
        conversation = Conversation(
            uuid=f"CON-{self._new_uuid()}",
            application_id=application_id,
            region=region,
            created=now,
            made_at=self._host_time(),
            name=name,
            is_started=name is None,
        )
        self.by_uuid[conversation.uuid] = conversation
        if name is not None:
            self._rooms[application_id, region, name] = conversation
        return conversation

    def room(self, name: str, application_id: str, region: str) -> Conversation | None:
        """The room *name*; None if there is none yet."""
        return self._rooms.get((application_id, region, name))

    def rename(self, conversation: Conversation, name: str) -> None:
        """Give *conversation* a *name* that no other of its place has; a call's own becomes a room by it."""
        place = conversation.application_id, conversation.region
        if conversation.name is not None:
            del self._rooms[*place, conversation.name]
        conversation.name = name
        self._rooms[*place, name] = conversation

    def enter(self, leg: Leg, conversation: Conversation, seat: Seat) -> None:
        """Put *leg*, which is in no other, into *conversation*."""
        leg.conversation = conversation
        leg.seat = seat
        conversation.legs[leg.uuid] = leg

    def leave(self, leg: Leg) -> list[Leg]:
        """Take *leg* out of its conversation; its record goes on naming it.

        Returns:
            The legs for which the conversation is over because this one left (``endOnExit``): in none now.
        """
        left = leg.conversation
        if left.legs.pop(leg.uuid, None) is None:
            return []
        turned_out = list(left.legs.values()) if leg.seat.ends else []
        if turned_out:
            left.legs.clear()
        return turned_out

    def forget(self, conversation: Conversation) -> None:
        """Let *conversation* exist no more."""
        self.by_uuid.pop(conversation.uuid, None)
        if conversation.name is not None:
            self._rooms.pop((conversation.application_id, conversation.region, conversation.name), None)
