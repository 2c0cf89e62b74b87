"""A leg: one party's connection, and all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony.actions import LENGTH_TIMER, RINGING_TIMER, Flow
from voicectl.sandbox.telephony.conversation import Conversation, Seat
from voicectl.voice.call import FINAL, CallStatus

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.actions import Webhook
    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.detection import Detection
    from voicectl.sandbox.telephony.effects import Fetch
    from voicectl.sandbox.telephony.far_end import FarEnd
    from voicectl.sandbox.telephony.flow_run import Script
    from voicectl.sandbox.telephony.input import Ear, OpenEar
    from voicectl.sandbox.telephony.recording import Recording
    from voicectl.sandbox.telephony.sounds import Heard


DEFAULT_REGION = "na-east"
"""Where a call lives unless it, or its application, says otherwise."""


class Direction(StrEnum):
    """Who called: the party (inbound) or we (outbound)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


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
        flow: What to do when answered; None once it is begun or replaced, and for a callee of ``connect``.
        is_joined: Hears, and can be heard by, the others of its conversation.
        dialled_by: The NCCO whose ``connect`` made it, while that waits for it.
        is_synchronous: The reply to the event of its failure may bring that caller another NCCO.
        on_answer: Where to ask for what it, alone, hears before it is joined to its caller.
        sip_headers: ``SipHeader_X-...``, as the answer webhook is told of them.
        awaiting: The NCCO asked for; an answer to an earlier request is out of date.
        ears: What listens to its party: the ``input`` of a flow.
        recordings: Those that its flow began; they follow it from conversation to conversation.
        inputs_seen: How many times its party was asked for a key.
        has_pressed_all: Whether its party was asked for each of its keys.
        flows: When it was last given an NCCO by a reply, and how many at that moment.
        talk: What REST plays to it, or played last; so do ``stream`` and, for waiting, ``music``.
        heard: What its party heard, in the order in which it began.
        said: What its party said or pressed last, and what it says now.
        timers: What is due for it.
        events: Where its events go; None: the application's ``event_url``.
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
    flow: Flow | None = None
    detection: Detection | None = None
    dtmf_answer: str | None = None
    ringing_timer: int = RINGING_TIMER
    length_timer: int = LENGTH_TIMER
    events: Webhook | None = None

    status: CallStatus = CallStatus.STARTED
    answered_at: int | None = None
    ended_at: int | None = None
    is_joined: bool = False
    is_muted: bool = False
    is_earmuffed: bool = False
    seat: Seat = field(default_factory=Seat)
    script: Script | None = None
    dialled_by: Script | None = None
    is_synchronous: bool = False
    on_answer: Webhook | None = None
    sip_headers: dict[str, str] = field(default_factory=dict)
    awaiting: Fetch | None = None
    ears: list[Ear | OpenEar] = field(default_factory=list)
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
