"""The state of legs and of their conversations."""

# The life of a leg, and the parts of the exchange that write its fields
#
# A leg is one record. Each part of the exchange writes its own group of fields, and may read all fields:
#
#   - set once by call control: uuid, direction, application_id, region, to, from_, order, far_end, created, made_at;
#   - call control: status, answered_at, ended_at;
#   - call control and the run (flow_run): flow, which says what the leg runs and what it waits for;
#   - rooms: conversation, seat, is_joined, is_muted, is_earmuffed;
#   - media: audio, except for the listeners, which the input actions add and remove;
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

from voicectl.sandbox.telephony.actions import Flow, OnReply, Order, Record
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.detection import Detection
from voicectl.sandbox.telephony.effects import Fetch
from voicectl.sandbox.telephony.far_end import FarEnd
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard, Sound
from voicectl.voice.call import FINAL, CallStatus

DEFAULT_REGION = "na-east"
"""The region of a call, unless the application has another region."""

MAX_LEGS = 200
"""The maximum number of legs in a conversation."""


class Direction(StrEnum):
    """The direction of a call from the application's point of view: a call from an outside party is inbound."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(slots=True, kw_only=True, eq=False)
class Conversation:
    """A group of legs that can hear each other: the legs in a single call, or the legs in a room, which has a name.

    Attributes:
        application_id: The id of the application that the conversation belongs to.
        region: The region of the conversation. Rooms of the same name in different regions are different rooms.
        created: The moment of creation on the call clock, in milliseconds since 1970.
        made_at: The moment of creation on the host clock, in Unix seconds.
        name: The name of a room. None for the conversation of a single call, which is deleted when its last leg
            leaves.
        is_started: False while a room waits for a leg that starts it. Until then, the legs do not hear each other.
        is_expired: True for a room that has reached its maximum age. The room is deleted when its last leg leaves.
        legs: The legs in the conversation, by UUID.
        recordings: The running recordings of the whole conversation.
        to_record: The leg that requested a recording of the room, and the settings of that recording, which begins
            when the room starts. None if no such recording is waiting.
        playing: For each kind of sound, the last prompt that the API played to all legs.
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
        """True if the conversation is kept after its last leg has left."""
        return self.name is not None and not self.is_expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The role of a leg in its present conversation.

    See :class:`voicectl.sandbox.telephony.actions.Join` for the other attributes.

    Attributes:
        is_guest: True if a ``transfer`` action moved the leg to this conversation. Such a guest has no flow. If only
            guests are left in the conversation of a single call, the platform ends them.
    """

    ends: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    is_guest: bool = False


class RunningFlow(Protocol):
    """The running NCCO of a leg, as the other parts of the exchange see it."""

    def callee_joined(self) -> None:
        """Tell the run that the callee of the present ``connect`` has joined."""

    def callee_left(self) -> None:
        """Go on with the next action, because the callee of the present ``connect`` did not answer or has left."""

    def callee_asks(self) -> OnReply:
        """Act like :meth:`callee_left`, but wait until the returned function is called with an NCCO or None."""

    def room_closed(self) -> None:
        """Move the leg to a new conversation, or end it, because its room has closed."""

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run. Also end the call that it dialled, unless *keep_callee* is True and the call was answered."""


@dataclass(slots=True, eq=False)
class FlowState:
    """The state of a leg's flow. Call control and the run of the NCCO change this record.

    Attributes:
        pending: The flow to run when the leg is answered. None once that flow has begun or been replaced.
        run: The run of the leg's NCCO, or None if no NCCO is running.
        dialled_by: The run whose ``connect`` created the leg, or None if no run waits for the leg.
        awaiting: The present request for an NCCO, or None. Answers to earlier requests are ignored.
        given: The last moment at which the leg got an NCCO from a reply, and how many NCCOs it got at that moment.
    """

    pending: Flow | None = None
    run: RunningFlow | None = None
    dialled_by: RunningFlow | None = None
    awaiting: Fetch | None = None
    given: tuple[int, int] = (0, 0)

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run, if there is one. See :meth:`RunningFlow.abandon` for *keep_callee*."""
        run, self.run = self.run, None
        if run is not None:
            run.abandon(keep_callee=keep_callee)

    def leave_caller(self) -> None:
        """Let the run that dialled the leg, if there is one, go on without the leg."""
        run, self.dialled_by = self.dialled_by, None
        if run is not None:
            run.callee_left()

    def leave_caller_waiting(self) -> OnReply | None:
        """Act like :meth:`leave_caller`, but let the run wait until the returned function is called."""
        run, self.dialled_by = self.dialled_by, None
        return None if run is None else run.callee_asks()


@dataclass(slots=True, eq=False)
class Audio:
    """The sounds to and from a leg's party. :class:`~voicectl.sandbox.telephony.media.Media` changes this record.

    Attributes:
        heard: All sounds that the party has heard, in the order in which they began.
        said: The sounds that the party is making, and the last sound that it made.
        playing: The last prompt of each kind that an API request or the wait for a room to start has played.
        recordings: The running recordings that the leg's flow began. They follow the leg to other conversations.
        key_listeners: Functions to call with each key that the party presses, added by ``input`` actions. They return
            True if they use the key.
        speech_listeners: Functions to call with each phrase that the party says, added by ``input`` actions. They
            return True if they use the phrase.
        dtmf_url: The URL to which each key of the party is reported, or None to report no keys.
        inputs_seen: How many times the party has been asked for its next key.
        has_pressed_all: True once the party has been asked for all its keys.
    """

    heard: list[Heard] = field(default_factory=list)
    said: list[Heard] = field(default_factory=list)
    playing: dict[Sound, Heard] = field(default_factory=dict)
    recordings: list[Recording] = field(default_factory=list)
    key_listeners: list[Callable[[str], bool]] = field(default_factory=list)
    speech_listeners: list[Callable[[Heard], bool]] = field(default_factory=list)
    dtmf_url: str | None = None
    inputs_seen: int = 0
    has_pressed_all: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Leg:
    """One party's connection to the platform.

    Attributes:
        application_id: The id of the application that the leg belongs to.
        region: The region of the leg, in the form that applications use, such as ``na-east``.
        to: The callee, in the format of call records. A WebSocket also has ``headers``, ``content-type`` and
            ``authorization``.
        from_: The caller, in the format of call records.
        order: The request for the call.
        created: When the leg was created, in milliseconds on the call clock. ``answered_at`` and ``ended_at`` use the
            same unit.
        made_at: When the leg was created, in Unix seconds on the host clock.
        timers: The timers to cancel when the leg ends.
        is_joined: True if the leg can hear, and be heard by, the other legs in its conversation.
        remark: The reason why the leg's flow did not run as written, or None.
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
    remark: str | None = None

    @property
    def detection(self) -> Detection | None:
        """The settings for machine detection, or None if it was not requested or the call is not to a phone."""
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
        """True if the call has been answered, by a person or a machine, and has not ended."""
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
