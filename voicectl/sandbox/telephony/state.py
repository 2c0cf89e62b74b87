"""The state of legs and of the conversations that they share."""

# How a leg lives, and which part owns which of its fields
#
# A leg is one record; each part of the exchange writes its own group of fields, and reads the others':
#
#   - made by call control, then fixed: uuid, direction, application_id, region, to, from_, order, far_end, created,
#     made_at;
#   - call control: status, answered_at, ended_at;
#   - call control and the run (flow_run): flow, that is, what the leg runs, and what it waits for;
#   - rooms: conversation, seat, is_joined, is_muted, is_earmuffed;
#   - media: audio, except for the listeners, which the input actions add and remove;
#   - base: timers, which Base.schedule() sets and call control cancels.
#
# Status: started -> ringing -> answered (-> machine) -> completed, or another final status before the answer (busy,
# rejected, timeout, cancelled ...). voicectl.voice.call.NEXT lists the moves; CallControl refuses any other. A
# WebSocket is answered from started, without ringing; an inbound leg is answered by its flow.
#
# A leg is in exactly one conversation from its creation to its end. It may be in it without being joined: then it
# hears no other leg and is not heard, as a callee that still rings or listens to its onAnswer NCCO.
#
# The end (CallControl.end()) follows a fixed order, since each step may report events: the status and its events; the
# timers; the sounds; the entry in Base.live; the run, with the callee that it dialled; the caller's run, which goes
# on; the recordings; the conversation. The record itself stays in Base.legs, for the API.

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
"""Default region of calls, unless the application has another."""

MAX_LEGS = 200
"""Maximum number of legs in a conversation."""


class Direction(StrEnum):
    """The direction of a call, as the application sees it: inbound if the party called."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(slots=True, kw_only=True, eq=False)
class Conversation:
    """A conversation of legs: a call's own, or a room with a name.

    Attributes:
        application_id: The application that it belongs to.
        region: Its region; a room of the same name in another region is another room.
        created: Milliseconds of the call clock.
        made_at: The same moment in Unix seconds of the host clock.
        name: None for a call's own conversation, which vanishes when the last leg leaves.
        is_started: False while a room waits for a leg that may start it; until then no leg hears another.
        is_expired: True for a room whose time is up; it vanishes like a call's own conversation.
        legs: Its legs, by uuid.
        recordings: The recordings of it that are running.
        to_record: The recording to begin once the room has started, with the leg that asked for it.
        playing: The last prompt of each kind that the API played to all its legs.
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
        """True if the conversation remains, empty, after all legs have left."""
        return self.name is not None and not self.is_expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The role of a leg in its present conversation; see :class:`voicectl.sandbox.telephony.actions.Join`.

    Attributes:
        is_guest: True if another leg's ``transfer`` brought it. It has no flow, and ends when only guests are left.
    """

    ends: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    is_guest: bool = False


class RunningFlow(Protocol):
    """The run of a leg's NCCO, as other parts of the exchange use it."""

    def callee_joined(self) -> None:
        """Note that the callee of the present ``connect`` has joined."""

    def callee_left(self) -> None:
        """Go on: the callee of the present ``connect`` did not answer, or has left."""

    def callee_asks(self) -> OnReply:
        """Act as :meth:`callee_left`, but only when the returned function is called with an NCCO or None."""

    def room_closed(self) -> None:
        """Go on alone, or end the leg: its conversation has ended."""

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run, and end the call of its callee; with *keep_callee*, unless the callee has answered."""


@dataclass(slots=True, eq=False)
class FlowState:
    """The flow of a leg; call control and the run itself write it.

    Attributes:
        pending: The flow to run when answered; None once it has begun or was replaced.
        run: The run of its NCCO.
        dialled_by: The run whose ``connect`` made the leg, while that run waits for it.
        awaiting: The present request for an NCCO; answers to earlier requests are ignored.
        given: The last moment at which a reply gave it an NCCO, and the number of NCCOs at that moment.
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
        """Make the run that dialled the leg, if there is one, go on without it."""
        run, self.dialled_by = self.dialled_by, None
        if run is not None:
            run.callee_left()

    def leave_caller_waiting(self) -> OnReply | None:
        """Act as :meth:`leave_caller`, but the run goes on only when the returned function gets a reply."""
        run, self.dialled_by = self.dialled_by, None
        return None if run is None else run.callee_asks()


@dataclass(slots=True, eq=False)
class Audio:
    """The sounds to and from the party of a leg; :class:`~voicectl.sandbox.telephony.media.Media` writes it.

    Attributes:
        heard: All that it heard, in the order in which the sounds began.
        said: The sounds that it makes now, and the last one that it made.
        playing: The last prompt of each kind that REST played to it; also the music while it waits.
        recordings: The running recordings that its leg's flow began; they follow the leg between conversations.
        key_listeners: The ``input`` actions that wait for its keys; each is called with every key.
        speech_listeners: The ``input`` actions that wait for its speech; each is called with every phrase.
        dtmf_url: The URL of a DTMF listener, which receives each key.
        inputs_seen: The number of times it was asked for a key.
        has_pressed_all: True once it was asked for each of its keys.
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
        application_id: The application that it belongs to.
        region: Its region, as applications name it: ``na-east`` ...
        to: The callee, as records show it; a websocket's has ``headers``, ``content-type`` and ``authorization`` too.
        from_: The caller, as records show it.
        order: The call as requested.
        created: Its creation, in milliseconds of the call clock, as all times here.
        made_at: The creation of its record, in Unix seconds of the host clock.
        timers: Its timers.
        is_joined: True if it hears, and can be heard by, the others of its conversation.
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

    # Written by call control.
    status: CallStatus = CallStatus.STARTED
    answered_at: int | None = None
    ended_at: int | None = None
    flow: FlowState = field(default_factory=FlowState)

    # Written by Rooms.
    conversation: Conversation
    seat: Seat = field(default_factory=Seat)
    is_joined: bool = False
    is_muted: bool = False
    is_earmuffed: bool = False

    audio: Audio = field(default_factory=Audio)

    @property
    def detection(self) -> Detection | None:
        """The machine detection that the call requested; None for parties other than phones."""
        return self.order.detection if self.to["type"] == "phone" else None

    @property
    def is_over(self) -> bool:
        """True if the leg has ended."""
        return self.status in FINAL

    @property
    def is_socket(self) -> bool:
        """True if the party is a WebSocket."""
        return bool(self.to["type"] == "websocket")

    @property
    def is_up(self) -> bool:
        """True if a person or a machine has answered and not hung up."""
        return self.status in (CallStatus.ANSWERED, CallStatus.MACHINE)

    def hears(self, other: Leg) -> bool:
        """Return True if this leg's party hears the speech and keys of the party of *other*."""
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
        """Cancel all timers of the leg."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
