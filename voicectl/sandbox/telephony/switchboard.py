"""The life of a leg: made, ringing, answered, in one conversation and another, ended.

This is what happens by itself once something was asked for; the :mod:`~voicectl.sandbox.telephony.exchange` is what
may be asked.
"""

from __future__ import annotations

import random
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events, far_end
from voicectl.sandbox.telephony.agenda import Agenda
from voicectl.sandbox.telephony.conversation import Conversation, Conversations, Seat
from voicectl.sandbox.telephony.detection import Behavior
from voicectl.sandbox.telephony.effects import Effect, Event, Fetch, Kind, Purpose, Remark
from voicectl.sandbox.telephony.flow import Join, Webhook
from voicectl.sandbox.telephony.hearing import keys, music
from voicectl.sandbox.telephony.leg import Direction, Leg
from voicectl.sandbox.telephony.script import Script
from voicectl.voice.call import NEXT, CallStatus
from voicectl.voice.endpoint import label

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.detection import Sighting
    from voicectl.sandbox.telephony.far_end import Refusal
    from voicectl.sandbox.telephony.flow import Actions, Dial
    from voicectl.sandbox.telephony.hearing import Heard, Prompt


class IllegalMove(Exception):
    """A status that may not follow the present one; nothing was changed."""


class Switchboard:
    """Legs and conversations, and the agenda of what happens to them.

    Args:
        seed: Ids come from it: the same seed and the same operations give the same ids.
        number: The account's own number, the caller where no other is named.
        now: The call clock's moment, in milliseconds since 1970.
        host_time: Tells the host clock's Unix seconds, kept with each new record.
        may_dial: Asked before each ``connect`` dials; False when over the rate limit.

    Attributes:
        legs: Every leg, by uuid, in the order they were made. Records are kept for ever.
        live: Those that have not ended.
        conversations: Those that exist.
    """

    def __init__(
        self,
        *,
        seed: str,
        number: str,
        now: int,
        host_time: Callable[[], float],
        may_dial: Callable[[], bool] = lambda: True,
    ) -> None:
        self.legs: dict[str, Leg] = {}
        self.live: dict[str, Leg] = {}
        self.conversations = Conversations(self._new_uuid)
        self._effects: list[Effect] = []
        self._agenda = Agenda(now)
        self._random = random.Random(f"ids {seed}")  # noqa: S311 (ids that repeat from run to run are wanted)
        self._number = number
        self._host_time = host_time
        self._may_dial = may_dial

    @property
    def now(self) -> int:
        """The call clock's moment, in milliseconds since 1970."""
        return self._agenda.now

    @property
    def next_due(self) -> int | None:
        """The moment at which something happens next; None if nothing is to happen by itself."""
        return self._agenda.next_due

    def run(self, until: int) -> None:
        """Let everything happen that is due up to *until*, in order."""
        self._agenda.run(until)

    def collect(self) -> list[Effect]:
        """Take away the effects so far, in order."""
        effects, self._effects = self._effects, []
        return effects

    def schedule(self, leg: Leg, seconds: float, do: Callable[[], None]) -> Timer:
        """Have *do* called in *seconds* unless *leg* has ended by then."""
        timer = self._agenda.after(seconds, do)
        leg.timers.append(timer)
        return timer

    def play(self, leg: Leg, prompt: Prompt) -> Heard:
        """Let the party of *leg* hear *prompt* from now on."""
        return leg.hear(prompt, self.now)

    def cut(self, heard: Heard | None) -> None:
        """Stop a prompt that still plays."""
        if heard is not None:
            heard.cut(self.now)

    def join(self, leg: Leg, room: Join) -> None:
        """Bring *leg* into a named room, and the room to life if the leg may do that."""
        conversation = self.conversations.room(room.name, leg.application_id, leg.region, self.now)
        leg.is_muted = leg.is_muted or room.mute
        self._move(leg, conversation, Seat(ends=room.ends, can_hear=room.can_hear, can_speak=room.can_speak))
        if room.starts:
            conversation.is_started = True
            for other in conversation.legs.values():
                self.cut(other.music)
        elif room.music is not None and not conversation.is_started:
            leg.music = self.play(leg, music(room.music))

    def leave_room(self, leg: Leg) -> None:
        """Bring *leg* into a new conversation of its own."""
        self._move(leg, self.conversations.new(leg.application_id, leg.region, self.now), Seat())

    def dial(self, caller: Leg, dial: Dial, script: Script) -> Leg | None:
        """Call a phone into the conversation of *caller*, for *script*; None if over the rate limit."""
        if not self._may_dial():
            self._remark(caller, "connect: over the limit of new calls per second")
            return None
        leg = self._new_leg(
            direction=Direction.OUTBOUND,
            to=dial.endpoint,
            from_={"type": "phone", "number": dial.caller or self._number},
            application_id=caller.application_id,
            region=caller.region,
            events=dial.events or caller.events,
            conversation=caller.conversation,
            far_end=far_end.called(dial.endpoint),
            detection=dial.detection,
            dtmf_answer=dial.dtmf_answer,
            ringing_timer=dial.timeout,
            length_timer=dial.limit,
            dialled_by=script,
        )
        self._call(leg)
        return leg

    def finish(self, leg: Leg) -> None:
        """End *leg* from our side: ``cancelled`` before the answer, ``completed`` after it."""
        if leg.is_up:
            self._end(leg, CallStatus.COMPLETED, disconnected_by="platform")
        else:
            self._end(leg, CallStatus.CANCELLED)

    def _new_leg(self, *, direction: Direction, conversation: Conversation, **known: Any) -> Leg:
        plain = self._new_uuid()
        leg = Leg(
            uuid=plain if direction is Direction.OUTBOUND else plain.replace("-", ""),
            direction=direction,
            conversation=conversation,
            created=self.now,
            made_at=self._host_time(),
            **known,
        )
        self.legs[leg.uuid] = self.live[leg.uuid] = leg
        self.conversations.enter(leg, conversation, Seat())
        self._tell(leg, Kind.STATUS, events.status(leg, self.now), leg.events)
        return leg

    def _call(self, leg: Leg) -> None:
        refusal = leg.far_end.refusal
        if refusal is not None and not refusal.rings:
            self.schedule(leg, refusal.after, partial(self._refuse, leg, refusal))
        else:
            self.schedule(leg, far_end.RINGING_AFTER, partial(self._ring, leg))

    def _ring(self, leg: Leg) -> None:
        self._set_status(leg, CallStatus.RINGING)
        # Before the answer, so that it wins where both are due at the same moment.
        self.schedule(leg, leg.ringing_timer, partial(self._end, leg, CallStatus.TIMEOUT))
        if leg.far_end.refusal is not None:
            self.schedule(leg, leg.far_end.refusal.after, partial(self._refuse, leg, leg.far_end.refusal))
        elif leg.far_end.answers_after is not None:
            self.schedule(leg, leg.far_end.answers_after, partial(self._answer, leg))

    def _refuse(self, leg: Leg, refusal: Refusal) -> None:
        self._end(leg, refusal.status, detail=refusal.detail, sip_code=refusal.sip_code)

    def _answer(self, leg: Leg) -> None:
        leg.answered_at = self.now
        self._set_status(leg, CallStatus.ANSWERED)
        leg.cancel_timers()
        self.schedule(leg, leg.length_timer, partial(self.finish, leg))
        if leg.far_end.hangs_up_after is not None:
            self.schedule(leg, leg.far_end.hangs_up_after, partial(self._party_hangs_up, leg))
        if leg.dtmf_answer is not None:
            self.play(leg, keys(leg.dtmf_answer))
        sightings = leg.detection.sightings(leg.far_end) if leg.detection is not None else []
        for sighting in sightings:
            self.schedule(leg, sighting.after, partial(self._see, leg, sighting))
        if leg.detection is not None and leg.detection.waits:
            self.schedule(leg, sightings[-1].after, partial(self._begin, leg))
        else:
            self._begin(leg)

    def _see(self, leg: Leg, sighting: Sighting) -> None:
        if sighting.status == CallStatus.MACHINE:
            leg.status = CallStatus.MACHINE
        fields = events.detection(leg, self.now, sighting.status, sighting.sub_state)
        self._tell(leg, Kind.STATUS, fields, leg.events)
        hangs_up = leg.detection is not None and leg.detection.behavior is Behavior.HANGUP
        if hangs_up and sighting.status == CallStatus.MACHINE:
            self.finish(leg)

    def _begin(self, leg: Leg) -> None:
        flow, leg.flow = leg.flow, None
        leg.is_joined = True
        if isinstance(flow, Webhook):
            self._fetch(leg, flow, Purpose.ANSWER)
        elif flow is not None:
            self._begin_script(leg, flow)
        elif leg.dialled_by is not None:
            leg.dialled_by.callee_joined()

    def _begin_script(self, leg: Leg, actions: Actions) -> None:
        leg.script = Script(self, leg, actions)
        leg.script.run()

    def _run_instead(self, leg: Leg, actions: Actions) -> None:
        """Leave the present NCCO, conversation and partner of *leg* for *actions*."""
        leg.flow = leg.awaiting = None
        leg.is_joined = True
        self._leave_flow(leg)
        if not (actions and isinstance(actions[0], Join)):
            self.leave_room(leg)
        self._begin_script(leg, actions)

    def _party_hangs_up(self, leg: Leg) -> None:
        self._end(leg, CallStatus.COMPLETED, disconnected_by="user")

    def _end(self, leg: Leg, status: CallStatus, **why: Any) -> None:
        leg.ended_at = self.now
        self._set_status(leg, status, **why)
        leg.flow = leg.awaiting = None
        leg.cancel_timers()
        for heard in leg.heard:
            heard.cut(self.now)
        del self.live[leg.uuid]
        self._leave_flow(leg)
        self._turn_out(self.conversations.leave(leg))

    def _leave_flow(self, leg: Leg) -> None:
        if leg.script is not None:
            script, leg.script = leg.script, None
            script.abandon()
        if leg.dialled_by is not None:
            dialler, leg.dialled_by = leg.dialled_by, None
            dialler.callee_left()

    def _move(self, leg: Leg, conversation: Conversation, seat: Seat) -> None:
        self.cut(leg.music)
        if conversation is leg.conversation:
            leg.seat = seat
            return
        left = leg.conversation
        turned_out = self.conversations.leave(leg)
        self.conversations.enter(leg, conversation, seat)
        self._tell(
            leg, Kind.TRANSFER, events.transfer(leg, self.now, left.uuid, conversation.uuid), leg.events
        )
        self._turn_out(turned_out)

    def _turn_out(self, legs: list[Leg]) -> None:
        """Tell *legs* that the room they were in is closed; only a script brings a leg into a room."""
        for leg in legs:
            if leg.script is not None:
                leg.script.room_closed()

    def _set_status(self, leg: Leg, status: CallStatus, **why: Any) -> None:
        if status not in NEXT[leg.status]:
            raise IllegalMove(f"{status} may not follow {leg.status}")
        leg.status = status
        self._tell(leg, Kind.STATUS, events.status(leg, self.now, **why), leg.events)

    def _fetch(self, leg: Leg, webhook: Webhook | None, purpose: Purpose) -> None:
        parameters = {
            "to": label(leg.to) or "",
            "from": label(leg.from_) or "",
            "uuid": leg.uuid,
            "conversation_uuid": leg.conversation.uuid,
            "endpoint_type": str(leg.to.get("type", "phone")),
        }
        leg.awaiting = Fetch(
            at=self.now,
            uuid=leg.uuid,
            application_id=leg.application_id,
            region=leg.region,
            webhook=webhook,
            purpose=purpose,
            parameters=parameters,
        )
        self._effects.append(leg.awaiting)

    def _tell(self, leg: Leg, kind: Kind, fields: dict[str, Any], webhook: Webhook | None) -> None:
        self._effects.append(
            Event(
                at=self.now,
                kind=kind,
                uuid=leg.uuid,
                application_id=leg.application_id,
                fields=fields,
                webhook=webhook,
            )
        )

    def _remark(self, leg: Leg, reason: str) -> None:
        self._effects.append(Remark(at=self.now, uuid=leg.uuid, reason=reason))

    def _new_uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
