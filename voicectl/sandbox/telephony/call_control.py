"""The life of a leg: made, ringing, answered, in one conversation and another, ended.

This is what happens by itself once something was asked for; the :mod:`~voicectl.sandbox.telephony.exchange` is what
may be asked.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events, far_end
from voicectl.sandbox.telephony.actions import Join, Order, Webhook
from voicectl.sandbox.telephony.detection import Behavior
from voicectl.sandbox.telephony.effects import Close, Kind, Open, Purpose
from voicectl.sandbox.telephony.flow_run import FlowRun
from voicectl.sandbox.telephony.rooms import Rooms
from voicectl.sandbox.telephony.sounds import BEEP, keys
from voicectl.sandbox.telephony.state import Conversation, Direction, Leg, Seat
from voicectl.voice.call import NEXT, CallStatus
from voicectl.voice.endpoint import label

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.actions import Actions, Dial
    from voicectl.sandbox.telephony.detection import Sighting
    from voicectl.sandbox.telephony.far_end import Refusal

MAY_BRING_FALLBACK = (
    CallStatus.TIMEOUT,
    CallStatus.FAILED,
    CallStatus.REJECTED,
    CallStatus.UNANSWERED,
    CallStatus.BUSY,
)
"""The ends of a synchronous ``connect`` after which the reply to the event may bring another NCCO."""

_REASON = {
    CallStatus.COMPLETED: "ok",
    CallStatus.BUSY: "busy",
    CallStatus.CANCELLED: "cancelled",
    CallStatus.REJECTED: "rejected",
    CallStatus.TIMEOUT: "timeout",
    CallStatus.UNANSWERED: "temporarily_unavailable",
    CallStatus.FAILED: "failed",
}


MOST_FLOWS = 100
"""How many NCCOs a leg may be given at one moment of the call clock."""


class IllegalMove(Exception):
    """A status that may not follow the present one; nothing was changed."""


class Switchboard(Rooms):
    """:class:`Rooms` and the legs that come to them."""

    def dial(self, caller: Leg, dial: Dial, script: FlowRun) -> Leg | None:
        """Call somebody into the conversation of *caller*, for *script*; None if over the rate limit."""
        if not self._may_dial():
            self.complain(caller.uuid, "connect: over the limit of new calls per second")
            return None
        from_ = {"type": "phone", "number": dial.caller or self._number}
        if dial.caller is None and dial.endpoint["type"] == "app" and caller.direction is Direction.INBOUND:
            from_ = caller.from_
        order = Order(
            to=dial.endpoint,
            from_=from_,
            detection=dial.detection,
            dtmf_answer=dial.dtmf_answer,
            ringing_timer=dial.timeout,
            length_timer=dial.limit,
            events=dial.events or caller.order.events,
            is_synchronous=dial.is_synchronous,
            on_answer=dial.on_answer,
        )
        return self.place(order, caller.conversation, dialled_by=script)

    def place(self, order: Order, conversation: Conversation, *, dialled_by: FlowRun | None = None) -> Leg:
        """Call the party of *order*, which rings, declines, or is a WebSocket to connect to."""
        leg = self._new_leg(order, conversation, Direction.OUTBOUND, dialled_by=dialled_by)
        refusal = leg.far_end.refusal
        if leg.is_socket:
            self._effects.append(Open(at=self.now, uuid=leg.uuid))
            self.schedule(leg, order.ringing_timer, partial(self._end, leg, CallStatus.TIMEOUT))
        elif leg.to["type"] == "app" and not self._knows_user(leg.to["user"], leg.application_id, leg.region):
            self._remark(leg, f"no user {leg.to['user']!r}: make one with POST /v1/users")
            self.schedule(leg, far_end.UNKNOWN_USER.after, partial(self._refuse, leg, far_end.UNKNOWN_USER))
        elif refusal is not None and not refusal.rings:
            self.schedule(leg, refusal.after, partial(self._refuse, leg, refusal))
        else:
            self.schedule(leg, far_end.RINGING_AFTER, partial(self._ring, leg))
        return leg

    def may_run_another(self, leg: Leg) -> bool:
        """Whether *leg* may run one more NCCO at this moment; if not, its call ends.

        Replies that bring the same again and take no time would keep the clock where it is for ever.
        """
        moment, count = leg.flows
        leg.flows = self.now, count + 1 if moment == self.now else 1
        if leg.flows[1] <= MOST_FLOWS:
            return True
        self.complain(leg.uuid, f"{MOST_FLOWS} NCCOs ran at one moment")
        self.finish(leg)
        return False

    def pick_up_for(self, leg: Leg) -> None:
        """Answer an inbound call, if that is not done: its flow has come to something that is to be heard."""
        if leg.direction is Direction.INBOUND and leg.status is CallStatus.RINGING:
            self._set_answered(leg)

    def finish(self, leg: Leg) -> None:
        """End *leg* from our side: ``cancelled`` before the answer, ``completed`` after it."""
        if leg.is_up:
            self._end(leg, CallStatus.COMPLETED, disconnected_by="platform", sip_code=200)
        else:
            self._end(leg, CallStatus.CANCELLED)

    def _new_leg(self, order: Order, conversation: Conversation, direction: Direction, **known: Any) -> Leg:
        uuid = self._new_uuid()
        is_outbound = direction is Direction.OUTBOUND
        leg = Leg(
            uuid=uuid if is_outbound else uuid.replace("-", ""),
            direction=direction,
            application_id=conversation.application_id,
            region=conversation.region,
            to=order.to,
            from_=order.from_ or {"type": "phone", "number": self._number},
            far_end=far_end.called(order.to) if is_outbound else far_end.calling(label(order.from_) or ""),
            conversation=conversation,
            created=self.now,
            made_at=self._host_time(),
            order=order,
            flow=order.flow,
            **known,
        )
        self.legs[leg.uuid] = self.live[leg.uuid] = leg
        self._enter(leg, conversation, Seat())
        self.tell(leg, Kind.STATUS, events.status(leg, self.now))
        self._note(conversation, "leg:status:update", leg, status=leg.status)
        return leg

    def _ring(self, leg: Leg) -> None:
        self._set_status(leg, CallStatus.RINGING)
        # Before the answer, so that it wins where both are due at the same moment.
        self.schedule(leg, leg.order.ringing_timer, partial(self._end, leg, CallStatus.TIMEOUT))
        if leg.far_end.refusal is not None:
            self.schedule(leg, leg.far_end.refusal.after, partial(self._refuse, leg, leg.far_end.refusal))
        elif leg.far_end.answers_after is not None:
            self.schedule(leg, leg.far_end.answers_after, partial(self._answer, leg))

    def _refuse(self, leg: Leg, refusal: Refusal) -> None:
        self._end(leg, refusal.status, detail=refusal.detail, sip_code=refusal.sip_code)

    def _answer(self, leg: Leg) -> None:
        leg.cancel_timers()
        self._set_answered(leg)
        sightings = leg.detection.sightings(leg.far_end) if leg.detection is not None else []
        for sighting in sightings:
            begins = leg.detection is not None and leg.detection.waits and sighting is sightings[-1]
            self.schedule(leg, sighting.after, partial(self._see, leg, sighting, begins=begins))
        if leg.detection is None or not leg.detection.waits:
            self._begin(leg)

    def _set_answered(self, leg: Leg) -> None:
        leg.answered_at = self.now
        self._set_status(leg, CallStatus.ANSWERED)
        self._note(leg.conversation, "member:joined", leg)
        self.schedule(leg, leg.order.length_timer, partial(self.finish, leg))
        if leg.far_end.hangs_up_after is not None:
            self.schedule(leg, leg.far_end.hangs_up_after, partial(self._party_hangs_up, leg))
        if leg.order.dtmf_answer is not None:
            self.play(leg, keys(leg.order.dtmf_answer))
        if leg.far_end.is_machine:
            self.speaks(leg, far_end.GREETING)
            if leg.far_end.beeps_after is not None:
                self.schedule(leg, leg.far_end.beeps_after, partial(self._beep, leg))

    def _beep(self, leg: Leg) -> None:
        self.utter(leg, BEEP)

    def _see(self, leg: Leg, sighting: Sighting, *, begins: bool) -> None:
        """Tell what detection saw; the flow may wait for the reply to that."""
        if sighting.status == CallStatus.MACHINE:
            leg.status = CallStatus.MACHINE
        fields = events.detection(leg, self.now, sighting.status, sighting.sub_state)
        detection = leg.detection
        is_advanced = detection is not None and detection.mode is not None
        note = "sip:amd_machine" if is_advanced else "sip:machine"
        self._note(leg.conversation, note, leg, type=sighting.sub_state or sighting.status)
        on_reply = partial(self._run_if_given, leg, begins=begins) if is_advanced else None
        self.tell(leg, Kind.STATUS, fields, on_reply=on_reply)
        hangs_up = detection is not None and detection.behavior is Behavior.HANGUP
        if hangs_up and sighting.status == CallStatus.MACHINE:
            self.finish(leg)

    def _run_if_given(self, leg: Leg, actions: Actions | None, *, begins: bool) -> None:
        """Run the NCCO of a reply in place of what *leg* runs, where it is; without one begin, if it is time."""
        if not leg.is_up:
            return
        if actions:
            leg.flow = leg.awaiting = None
            self._begin_script(leg, actions)
        elif begins and leg.script is None and leg.awaiting is None:
            self._begin(leg)

    def _begin(self, leg: Leg) -> None:
        flow, leg.flow = leg.flow, None
        if isinstance(flow, Webhook):
            leg.is_joined = True
            self._fetch(leg, flow, Purpose.ANSWER)
        elif flow is not None:
            self._begin_script(leg, flow)
        elif leg.dialled_by is not None and leg.order.on_answer is not None:
            self._fetch(leg, leg.order.on_answer, Purpose.ON_ANSWER)
        elif leg.script is None:
            self._join_caller(leg)

    def _whisper(self, leg: Leg, actions: Actions) -> None:
        """Let the callee of a ``connect`` hear *actions*, alone, before it is joined to its caller."""
        self._run_script(leg, FlowRun(self, leg, actions, finished=partial(self._join_caller, leg)))

    def _join_caller(self, leg: Leg) -> None:
        leg.script = None
        leg.is_joined = True
        if leg.dialled_by is not None:
            leg.dialled_by.callee_joined()

    def _begin_script(self, leg: Leg, actions: Actions) -> None:
        leg.is_joined = True
        self._run_script(leg, FlowRun(self, leg, actions))

    def _run_script(self, leg: Leg, script: FlowRun) -> None:
        if leg.script is not None:
            leg.script.abandon()
        leg.script = script
        script.run()

    def _run_instead(self, leg: Leg, actions: Actions) -> None:
        """Leave the present NCCO, conversation and partner of *leg* for *actions*."""
        leg.flow = leg.awaiting = None
        self._leave_flow(leg)
        if not (actions and isinstance(actions[0], Join)):
            self.leave_room(leg)
        self._begin_script(leg, actions)

    def _party_hangs_up(self, leg: Leg) -> None:
        self._end(leg, CallStatus.COMPLETED, disconnected_by="user", sip_code=200)

    def _end(self, leg: Leg, status: CallStatus, **why: Any) -> None:
        script = leg.dialled_by
        on_reply: Callable[[Actions | None], None] | None = None
        if script is not None and leg.order.is_synchronous and status in MAY_BRING_FALLBACK:
            leg.dialled_by = None
            on_reply = script.callee_asks()
        leg.ended_at = self.now
        self._set_status(leg, status, on_reply=on_reply, **why)
        self._note_end(leg, status, why.get("sip_code"))
        leg.flow = leg.awaiting = None
        leg.cancel_timers()
        if leg.is_socket:
            self._effects.append(Close(uuid=leg.uuid))
        self.part(leg)
        for heard in leg.heard:
            self.cut(heard)
        del self.live[leg.uuid]
        self._leave_flow(leg)
        for recording in list(leg.recordings):
            self.stop_recording(recording)
        turned_out = self._take_out(leg, status)
        self._see_off(leg.conversation, turned_out)

    def _note_end(self, leg: Leg, status: CallStatus, sip_code: int | None) -> None:
        reason = {"code": _REASON[status], "text": str(status), "sip_code": sip_code}
        kind = "rtc" if leg.to["type"] == "app" else "sip"
        self._note(leg.conversation, f"{kind}:hangup", leg, reason=reason)
        self._note(leg.conversation, f"{kind}:status", leg, status=status)

    def _leave_flow(self, leg: Leg) -> None:
        if leg.script is not None:
            script, leg.script = leg.script, None
            script.abandon()
        self._leave_caller(leg)

    def _set_status(
        self,
        leg: Leg,
        status: CallStatus,
        *,
        on_reply: Callable[[Actions | None], None] | None = None,
        **why: Any,
    ) -> None:
        if status not in NEXT[leg.status]:
            raise IllegalMove(f"{status} may not follow {leg.status}")
        leg.status = status
        fields = events.status(leg, self.now, **why)
        self.tell(leg, Kind.STATUS, fields, on_reply=on_reply)
        self._note(leg.conversation, "leg:status:update", leg, status=status)
        if status in (CallStatus.RINGING, CallStatus.ANSWERED):
            kind = "rtc" if leg.to["type"] == "app" else "sip"
            self._note(leg.conversation, f"{kind}:{status}", leg)
