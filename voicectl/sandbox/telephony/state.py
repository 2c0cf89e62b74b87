"""Classes that store the state of legs and conversations."""

# The life of a leg, and the parts of the exchange that write its fields
#
# A leg is one record. Each part of the exchange writes its own group of fields, and may read all fields:
#
#   - set once by call control: uuid, direction, application_id, region, to, from_, order, far_end, created, made_at,
#     number;
#   - call control: status, answered_at, ended_at;
#   - call control and the run (flow_run): flow, which says what the leg runs and what it waits for;
#   - rooms: conversation, seat, is_joined, is_muted, is_earmuffed;
#   - media: audio, except for the listeners, which the input actions add and remove;
#   - twins: twin, hops, and far_end of the two legs of a call to one of the account's numbers;
#   - base: timers, which Base.schedule() sets and call control cancels.
#
# Status: started -> ringing -> answered (-> machine) -> completed, or another final status before the answer (busy,
# rejected, timeout, cancelled ...). voicectl.voice.call.NEXT lists the allowed changes, and CallControl refuses all
# others. A WebSocket goes from started to answered without ringing. An inbound leg is answered by its flow.
#
# A leg is in exactly one conversation from its creation to its end. It may be in a conversation without being joined.
# Such a leg hears no other leg and is heard by none. Examples are a callee that still rings, and a callee that
# listens to its onAnswer NCCO.
#
# The end of a leg (CallControl.end()) follows a fixed order, because each step may report events: the status and its
# events; the timers; the sounds; the entry in Base.live; the run, with the callee that it dialled; the caller's run,
# which goes on; the recordings; the conversation. The leg itself stays in Base.legs, for the API.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from voicectl.sandbox.telephony.actions import Flow, Input, OnReply, Order, Record
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.detection import Detection
from voicectl.sandbox.telephony.effects import Fetch
from voicectl.sandbox.telephony.far_end import FarEnd
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard, Sound
from voicectl.voice.call import FINAL, CallStatus

DEFAULT_REGION = "na-east"
"""The default region of an application's calls."""

MAX_LEGS = 200
"""The maximum number of legs in a conversation."""


class Direction(StrEnum):
    """The direction of a call. A call from an outside party to the application is inbound."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(slots=True, kw_only=True, eq=False)
class Conversation:
    """A group of legs that can hear each other. It is either a room, which has a name, or the conversation of a call.

    Attributes:
        application_id: The id of the application to which the conversation belongs.
        region: The region of the conversation. Rooms with the same name in different regions are different rooms.
        created: The time of creation, in milliseconds on the call clock.
        made_at: The time of creation, in Unix seconds on the host clock.
        name: The name of a room. It is None for the conversation of a single call, which is deleted when its last leg
            leaves.
        is_started: False if a room is waiting for a leg that starts it. Before a room starts, its legs do not hear
            each other.
        is_expired: True if a room has reached its maximum age. Such a room is deleted when its last leg leaves.
        legs: The legs in the conversation, keyed by UUID.
        recordings: The recordings of the whole conversation that are in progress.
        to_record: A request to record the room when it starts, or None if there is no such request. It consists of
            the leg that made the request, and the settings of the recording.
        playing: The last prompt that an API request played to all legs, for each kind of sound.
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
        """True if the conversation is not deleted when its last leg leaves."""
        return self.name is not None and not self.is_expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The role of a leg in its current conversation.

    See :class:`voicectl.sandbox.telephony.actions.Join` for the other attributes.

    Attributes:
        is_guest: True if a ``transfer`` action moved the leg to this conversation. Such a leg has no flow. If
            only such legs remain in the conversation of a single call, the platform ends them.
    """

    ends: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    is_guest: bool = False


class RunningFlow(Protocol):
    """The part of a running NCCO that the other parts of the exchange use."""

    def callee_joined(self) -> None:
        """Inform the run that the callee of the current ``connect`` has joined."""

    def callee_left(self) -> None:
        """Go on to the next action, because the callee of the current ``connect`` did not answer or has left."""

    def callee_asks(self) -> OnReply:
        """Wait for the reply to the event about the callee, and return the function to call with its NCCO or None."""

    def room_closed(self) -> None:
        """Move the leg to a new conversation or end the leg, because its room has been closed."""

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run, and end any call that it has placed.

        If *keep_callee* is True and the call was answered, do not end the call.
        """


@dataclass(slots=True, eq=False)
class FlowState:
    """The state of a leg's flow. It is changed by call control and by the run of the leg's NCCO.

    Attributes:
        pending: The flow to run when the leg is answered, or None if that flow has begun or has been replaced.
        run: The run of the leg's NCCO, or None if no NCCO is running.
        dialled_by: The run whose ``connect`` action created the leg, or None if no run is waiting for the leg.
        awaiting: The unanswered request for an NCCO, or None if there is no such request. Replies to earlier requests
            are ignored.
        given: The last time at which the leg received an NCCO in a reply, and the number of NCCOs that it received at
            that time.
    """

    pending: Flow | None = None
    run: RunningFlow | None = None
    dialled_by: RunningFlow | None = None
    awaiting: Fetch | None = None
    given: tuple[int, int] = (0, 0)

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run, if an NCCO is running. See :meth:`RunningFlow.abandon` for *keep_callee*."""
        run, self.run = self.run, None
        if run is not None:
            run.abandon(keep_callee=keep_callee)

    def leave_caller(self) -> None:
        """Let the run that called this leg go on without this leg. If no run called this leg, do nothing."""
        run, self.dialled_by = self.dialled_by, None
        if run is not None:
            run.callee_left()

    def leave_caller_waiting(self) -> OnReply | None:
        """Do the same as :meth:`leave_caller`, but let the run wait until the returned function is called."""
        run, self.dialled_by = self.dialled_by, None
        return None if run is None else run.callee_asks()


@dataclass(slots=True, eq=False)
class Audio:
    """A record of the sounds that a leg's party hears and makes.

    The record is changed only by :class:`~voicectl.sandbox.telephony.media.Media`.

    Attributes:
        heard: All sounds that the party has heard, in the order in which they began.
        said: The sounds that the party is making, and the last sound that the party made.
        playing: The last prompt that an API request played, for each kind of sound. The music that is played until a
            room starts is also included.
        recordings: The recordings in progress that the leg's flow began. They follow the leg to other conversations.
        inputs: The ``input`` actions that are listening.
        key_listeners: Functions that ``input`` actions have added. They are called with each key that the party
            presses, and return True if they use the key.
        speech_listeners: Functions that ``input`` actions have added. They are called with each phrase that the party
            says, and return True if they use the phrase.
        dtmf_url: The URL to which the party's key presses are reported, or None if they are not reported.
        inputs_seen: The number of times that the party has been asked for a key.
        has_pressed_all: True if the party has been asked to press all of the party's keys in succession.
    """

    heard: list[Heard] = field(default_factory=list)
    said: list[Heard] = field(default_factory=list)
    playing: dict[Sound, Heard] = field(default_factory=dict)
    recordings: list[Recording] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    key_listeners: list[Callable[[str], bool]] = field(default_factory=list)
    speech_listeners: list[Callable[[Heard], bool]] = field(default_factory=list)
    dtmf_url: str | None = None
    inputs_seen: int = 0
    has_pressed_all: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Leg:
    """The connection of one party to the platform.

    Attributes:
        application_id: The id of the application to which the leg belongs.
        region: The region of the leg, such as ``na-east``.
        to: The callee, in the format of call records. If the callee is a WebSocket, there are additional fields:
            ``headers``, ``content-type`` and ``authorization``.
        from_: The caller, in the format of call records.
        order: The request for the call.
        created: The time at which the leg was created, in milliseconds on the call clock. The attributes
            ``answered_at`` and ``ended_at`` are in the same unit.
        made_at: The time at which the leg was created, in Unix seconds on the host clock.
        number: The position of the leg in the order of creation of all legs, counted from 0.
        timers: The timers that are cancelled when the leg ends.
        twin: The other leg of a call to one of the account's numbers, or None if there is no such leg. See
            :mod:`voicectl.sandbox.telephony.twins`.
        hops: The number of such calls through which the call came to this leg.
        is_joined: True if the leg and the other legs in its conversation can hear each other.
        remark: The reason why the leg's flow did not run as written, or None if it did.
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
    number: int
    timers: list[Timer] = field(default_factory=list)

    # Written by Twins.
    twin: Leg | None = None
    hops: int = 0

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
    remark: str | None = None

    @property
    def detection(self) -> Detection | None:
        """The settings for answering machine detection.

        The value is None if detection was not requested or the callee is not a phone.
        """
        return self.order.detection if self.to["type"] == "phone" else None

    @property
    def is_over(self) -> bool:
        """True if the leg has ended."""
        return self.status in FINAL

    @property
    def is_socket(self) -> bool:
        """True if the party on the leg is a WebSocket."""
        return bool(self.to["type"] == "websocket")

    @property
    def is_up(self) -> bool:
        """True if the call has been answered (by a person or a machine) and has not ended."""
        return self.status in (CallStatus.ANSWERED, CallStatus.MACHINE)

    def hears(self, other: Leg) -> bool:
        """Return True if the party on this leg hears the speech and key tones of the party on *other*."""
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
