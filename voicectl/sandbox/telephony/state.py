"""Legs and the conversations that they share: all that is known of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from voicectl.sandbox.telephony.actions import Flow, OnReply, Order, Record
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.detection import Detection
from voicectl.sandbox.telephony.effects import Fetch
from voicectl.sandbox.telephony.far_end import FarEnd
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard, Sound
from voicectl.voice.call import FINAL, CallStatus

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
        playing: What all its legs hear at the wish of the API, by kind, or heard last.
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
    to_record: tuple[Leg, Record] | None = None
    playing: dict[Sound, Heard] = field(default_factory=dict)

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


class RunningFlow(Protocol):
    """The run of a leg's NCCO, as the rest of the exchange sees it."""

    def callee_joined(self) -> None:
        """The callee of the present ``connect`` is there."""

    def callee_left(self) -> None:
        """The callee of the present ``connect`` did not come, or has gone: go on."""

    def callee_asks(self) -> OnReply:
        """As :meth:`callee_left`, but go on once the returned function is called with an NCCO or None."""

    def room_closed(self) -> None:
        """The conversation ended with the leg in it."""

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop, and end the call of a callee that it dialled; *keep_callee*: unless that has answered."""


@dataclass(slots=True, eq=False)
class FlowState:
    """What a leg runs and waits for; call control and the run itself write it.

    Attributes:
        pending: What to do when answered; None once it is begun or replaced.
        run: The run of its NCCO.
        dialled_by: The run whose ``connect`` made the leg, while that waits for it.
        awaiting: The NCCO asked for; an answer to an earlier request is out of date.
        given: When it was last given an NCCO by a reply, and how many at that moment.
    """

    pending: Flow | None = None
    run: RunningFlow | None = None
    dialled_by: RunningFlow | None = None
    awaiting: Fetch | None = None
    given: tuple[int, int] = (0, 0)

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run, if there is one; see :meth:`RunningFlow.abandon`."""
        run, self.run = self.run, None
        if run is not None:
            run.abandon(keep_callee=keep_callee)

    def leave_caller(self) -> None:
        """Let the run that dialled the leg, if there is one, go on without it."""
        run, self.dialled_by = self.dialled_by, None
        if run is not None:
            run.callee_left()

    def leave_caller_waiting(self) -> OnReply | None:
        """As :meth:`leave_caller`, but let it go on once the reply to an event is there."""
        run, self.dialled_by = self.dialled_by, None
        return None if run is None else run.callee_asks()


@dataclass(slots=True, eq=False)
class Audio:
    """What the party of a leg hears, says and presses; :class:`~voicectl.sandbox.telephony.media.Media` writes it.

    Attributes:
        heard: What it heard, in the order in which it began.
        said: What it said or pressed last, and what it says now.
        playing: What it hears until it hears something else of the kind, or heard last: by REST, or to wait by.
        recordings: Those that its leg's flow began; they follow the leg from conversation to conversation.
        key_listeners: The ``input`` actions that wait for its keys: each is called with every key.
        speech_listeners: Those that wait for it to speak: each is called with all it says.
        dtmf_url: Where a listener wants each key that it presses.
        inputs_seen: How many times it was asked for a key.
        has_pressed_all: Whether it was asked for each of its keys.
    """

    heard: list[Heard] = field(default_factory=list)
    said: list[Heard] = field(default_factory=list)
    playing: dict[Sound, Heard] = field(default_factory=dict)
    recordings: list[Recording] = field(default_factory=list)
    key_listeners: list[Callable[[str], None]] = field(default_factory=list)
    speech_listeners: list[Callable[[Heard], None]] = field(default_factory=list)
    dtmf_url: str | None = None
    inputs_seen: int = 0
    has_pressed_all: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Leg:
    """One party's connection.

    Attributes:
        application_id: Whose it is.
        region: Where it lives, as applications name it: ``na-east`` ...
        to: The callee, as records show it; a websocket's has ``headers``, ``content-type`` and ``authorization`` too.
        from_: The caller, as records show it.
        order: The call as it was asked for.
        created: When it was made, in milliseconds of the call clock, as all times here.
        made_at: When its record was made, in Unix seconds of the host clock.
        timers: What is due for it.
        is_joined: Hears, and can be heard by, the others of its conversation.
    """

    uuid: str
    direction: Direction
    application_id: str
    region: str
    to: dict[str, Any]
    from_: dict[str, Any]
    order: Order
    far_end: FarEnd
    created: int
    made_at: float
    timers: list[Timer] = field(default_factory=list)

    # Call control's.
    status: CallStatus = CallStatus.STARTED
    answered_at: int | None = None
    ended_at: int | None = None
    flow: FlowState = field(default_factory=FlowState)

    # The rooms'.
    conversation: Conversation
    seat: Seat = field(default_factory=Seat)
    is_joined: bool = False
    is_muted: bool = False
    is_earmuffed: bool = False

    audio: Audio = field(default_factory=Audio)

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
