"""Conversations: what legs share, and who leaves whom behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.leg import Leg


@dataclass(slots=True, kw_only=True, eq=False)
class Conversation:
    """What legs share: a call's own, or a room with a name.

    Attributes:
        application_id: Whose it is.
        region: Where it lives: a room of the same name elsewhere is another room.
        created: Milliseconds of the call clock.
        name: None for a call's own.
        is_started: False while a room waits for a leg that may start it: nobody hears anybody.
        legs: Who is in it, by uuid.
    """

    uuid: str
    application_id: str
    region: str
    created: int
    name: str | None = None
    is_started: bool = True
    legs: dict[str, Leg] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A leg's terms in its present conversation; see :class:`voicectl.sandbox.telephony.flow.Join`."""

    ends: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None


class Conversations:
    """Those that exist. A call's own vanishes when its last leg leaves; a room stays, and waits to start again.

    Args:
        new_uuid: Makes the UUID that follows ``CON-``.

    Attributes:
        by_uuid: All of them.
    """

    def __init__(self, new_uuid: Callable[[], str]) -> None:
        self.by_uuid: dict[str, Conversation] = {}
        self._rooms: dict[tuple[str, str, str], Conversation] = {}
        self._new_uuid = new_uuid

    def new(self, application_id: str, region: str, now: int) -> Conversation:
        """A conversation for one call."""
        uuid = f"CON-{self._new_uuid()}"
        return self._add(Conversation(uuid=uuid, application_id=application_id, region=region, created=now))

    def room(self, name: str, application_id: str, region: str, now: int) -> Conversation:
        """The room *name*, made at its first use."""
        key = application_id, region, name
        if key not in self._rooms:
            room = Conversation(
                uuid=f"CON-{self._new_uuid()}",
                application_id=application_id,
                region=region,
                created=now,
                name=name,
                is_started=False,
            )
            self._rooms[key] = self._add(room)
        return self._rooms[key]

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
        if not left.legs:
            left.is_started = left.name is None
            if left.name is None:
                del self.by_uuid[left.uuid]
        return turned_out

    def _add(self, conversation: Conversation) -> Conversation:
        self.by_uuid[conversation.uuid] = conversation
        return conversation
