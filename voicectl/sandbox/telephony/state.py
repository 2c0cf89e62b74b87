"""Legs and the conversations that they share: all that is known of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from voicectl.voice.call import FINAL, CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.actions import Actions, Flow, Join, Order
    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.detection import Detection
    from voicectl.sandbox.telephony.effects import Fetch
    from voicectl.sandbox.telephony.far_end import FarEnd
    from voicectl.sandbox.telephony.recording import Recording
    from voicectl.sandbox.telephony.sounds import Heard

DEFAULT_REGION = "na-east"
"""Where a call lives unless it, or its application, says otherwise."""

MAX_LEGS = 200
"""How many legs a conversation holds."""


class Direction(StrEnum):
    """Who called: the party (inbound) or we (outbound)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


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


class RunningFlow(Protocol):
    """The run of a leg's NCCO, as the rest of the exchange sees it."""

    def callee_joined(self) -> None:
        """The callee of the present ``connect`` is there."""

    def callee_left(self) -> None:
        """The callee of the present ``connect`` did not come, or has gone: go on."""

    def callee_asks(self) -> Callable[[Actions | None], None]:
        """As :meth:`callee_left`, but go on once the returned function is called with an NCCO or None."""

    def room_closed(self) -> None:
        """The conversation ended with the leg in it."""

    def abandon(self) -> None:
        """Stop; a callee that it dialled loses its caller, and so its call."""

    def release(self) -> None:
        """Stop, and let a callee that is there go on."""


@dataclass(slots=True, kw_only=True, eq=False)
class Leg:
    """One party's connection. The :class:`~voicectl.sandbox.telephony.exchange.Exchange` alone changes it.

    Attributes:
        application_id: Whose it is.
        region: Where it lives, as applications name it: ``na-east`` ...
        to: The callee, as records show it; a websocket's has ``headers``, ``content-type`` and ``authorization`` too.
        from_: The caller, as records show it.
        created: When it was made, in milliseconds of the call clock, as all times here.
        made_at: When its record was made, in Unix seconds of the host clock.
        order: The call as it was asked for.
        flow: What to do when answered; None once it is begun or replaced, and for a callee of ``connect``.
        is_joined: Hears, and can be heard by, the others of its conversation.
        dialled_by: The NCCO whose ``connect`` made it, while that waits for it.
        sip_headers: ``SipHeader_X-...``, as the answer webhook is told of them.
        awaiting: The NCCO asked for; an answer to an earlier request is out of date.
        key_listeners: The ``input`` actions that wait for keys of its party: each is called with every key.
        speech_listeners: Those that wait for its party to speak: each is called with all it says.
        recordings: Those that its flow began; they follow it from conversation to conversation.
        inputs_seen: How many times its party was asked for a key.
        has_pressed_all: Whether its party was asked for each of its keys.
        flows: When it was last given an NCCO by a reply, and how many at that moment.
        talk: What REST plays to it, or played last; so do ``stream`` and, for waiting, ``music``.
        heard: What its party heard, in the order in which it began.
        said: What its party said or pressed last, and what it says now.
        timers: What is due for it.
        dtmf_url: Where a listener wants each key that its party presses.
    """

    uuid: str
    direction: Direction
    application_id: str
    region: str
    to: dict[str, Any]
    from_: dict[str, Any]
    far_end: FarEnd
    conversation: Conversation
    created: int
    made_at: float
    order: Order
    flow: Flow | None = None
    sip_headers: dict[str, str] = field(default_factory=dict)

    status: CallStatus = CallStatus.STARTED
    answered_at: int | None = None
    ended_at: int | None = None
    is_joined: bool = False
    is_muted: bool = False
    is_earmuffed: bool = False
    seat: Seat = field(default_factory=Seat)
    script: RunningFlow | None = None
    dialled_by: RunningFlow | None = None
    awaiting: Fetch | None = None
    key_listeners: list[Callable[[str], None]] = field(default_factory=list)
    speech_listeners: list[Callable[[Heard], None]] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    inputs_seen: int = 0
    has_pressed_all: bool = False
    flows: tuple[int, int] = (0, 0)
    talk: Heard | None = None
    stream: Heard | None = None
    music: Heard | None = None
    dtmf_url: str | None = None
    heard: list[Heard] = field(default_factory=list)
    said: list[Heard] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)

    @property
    def detection(self) -> Detection | None:
        """The machine detection that was asked for; phones alone have it."""
        return self.order.detection if self.to["type"] == "phone" else None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status in FINAL

    @property
    def is_socket(self) -> bool:
        """Whether its party is a WebSocket."""
        return bool(self.to["type"] == "websocket")

    @property
    def is_up(self) -> bool:
        """Whether somebody, or a machine, has picked up and not hung up."""
        return self.status in (CallStatus.ANSWERED, CallStatus.MACHINE)

    def hears(self, other: Leg) -> bool:
        """Whether this leg's party hears what *other*'s says or presses."""
        return (
            other is not self
            and other.conversation is self.conversation
            and self.conversation.is_started
            and self.is_joined
            and other.is_joined
            and not self.is_earmuffed
            and not other.is_muted
            and (self.seat.can_hear is None or other.uuid in self.seat.can_hear)
            and (other.seat.can_speak is None or self.uuid in other.seat.can_speak)
        )

    def cancel_timers(self) -> None:
        """Let nothing that is due for it happen."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
