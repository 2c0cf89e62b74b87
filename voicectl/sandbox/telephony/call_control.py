"""The life of a leg, from its creation to its end.

This module carries out the requests that :mod:`~voicectl.sandbox.telephony.exchange` accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from voicectl.sandbox.telephony import events, far_end
from voicectl.sandbox.telephony.actions import Actions, Dial, Join, OnReply, Order, Webhook
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.detection import Behavior, Detection, DetectionEvent
from voicectl.sandbox.telephony.effects import Close, Fetch, Kind, Open, Purpose
from voicectl.sandbox.telephony.far_end import Refusal
from voicectl.sandbox.telephony.flow_run import FlowRun
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.rooms import Rooms
from voicectl.sandbox.telephony.sounds import BEEP, keys
from voicectl.sandbox.telephony.state import Conversation, Direction, Leg, Seat
from voicectl.sandbox.telephony.twins import Route, Twins
from voicectl.voice.call import FINAL, NEXT, CallStatus
from voicectl.voice.endpoint import label

MAY_BRING_FALLBACK = FINAL - {CallStatus.COMPLETED, CallStatus.CANCELLED}
"""The final statuses of a callee that allow the reply to a synchronous ``connect`` event to contain an NCCO."""

_REASON = {
    CallStatus.COMPLETED: "ok",
    CallStatus.BUSY: "busy",
    CallStatus.CANCELLED: "cancelled",
    CallStatus.REJECTED: "rejected",
    CallStatus.TIMEOUT: "timeout",
    CallStatus.UNANSWERED: "temporarily_unavailable",
    CallStatus.FAILED: "failed",
}

INBOUND_ANSWERED_AFTER = 1.0
"""The minimum time that an inbound call rings before the platform answers it, in seconds."""


class IllegalMove(Exception):
    """Raised if a leg cannot change from its current status to the requested status. Nothing was changed."""


class CallControl:
    """An object that controls all legs, from their creation to their end.

    Args:
        base: The shared state: the legs, the conversations and the call clock.
        media: The object that plays sounds to the parties, and records the parties.
        rooms: The object that creates and ends conversations, and moves legs between them.
        number: The account's own number, from which calls are placed by default.
        may_dial: A function that is called before each ``connect`` action places a call. It returns False if the rate
            limit is exceeded.
        knows_user: A function that takes a user name, an application id and a region, and returns True if that app
            user exists.
        find_route: A function that takes a phone number, and returns the route of calls to that number, or None if
            they do not lead to an application of the account.
        far_ends: The digits that determine how the parties at certain phone numbers behave, keyed by number.

    Attributes:
        twins: The object that connects the two legs of a call to one of the account's numbers.
    """

    def __init__(
        self,
        base: Base,
        media: Media,
        rooms: Rooms,
        *,
        number: str,
        may_dial: Callable[[], bool],
        knows_user: Callable[[str, str, str], bool],
        find_route: Callable[[str], Route | None],
        far_ends: Mapping[str, str],
    ) -> None:
        self._base = base
        self._media = media
        self._rooms = rooms
        self._number = number
        self._may_dial = may_dial
        self._knows_user = knows_user
        self._far_ends = far_ends
        self.twins = Twins(base, media, rooms, self, find_route)

    def place(
        self,
        order: Order,
        conversation: Conversation,
        *,
        caller: Leg | None = None,
        dialled_by: FlowRun | None = None,
    ) -> Leg:
        """Place the outbound call that *order* describes, and return the leg of the callee.

        After that, the call rings or is refused. If the callee is a WebSocket, a connection to the WebSocket is
        opened. If the callee is a number of an application of the account, the call reaches the application, too.

        Args:
            order: The call to place.
            conversation: The conversation that the callee joins.
            caller: The leg whose ``connect`` action places the call, or None if a request does.
            dialled_by: The run of that ``connect`` action.
        """
        leg = self._new_leg(order, conversation, Direction.OUTBOUND)
        leg.flow.pending, leg.flow.dialled_by = order.flow, dialled_by
        refusal = leg.far_end.refusal
        if leg.is_socket:
            self._base.emit(Open(at=self._base.now, uuid=leg.uuid))
            self._base.schedule(leg, order.ringing_timer, partial(self.end, leg, CallStatus.TIMEOUT))
        elif leg.to["type"] == "app" and not self._knows_user(leg.to["user"], leg.application_id, leg.region):
            self._base.remark(leg, f"no user {leg.to['user']!r}: create one with POST /v1/users")
            self._refuse_in(leg, far_end.UNKNOWN_USER)
        elif self.twins.call(leg, caller):
            pass
        elif refusal is not None and not refusal.rings:
            self._refuse_in(leg, refusal)
        else:
            self._base.schedule(leg, far_end.RINGING_AFTER, partial(self.ring, leg))
        return leg

    def receive(self, order: Order, conversation: Conversation) -> Leg:
        """Receive the inbound call that *order* describes, and return the leg of the caller.

        The call rings immediately.
        """
        leg = self._new_leg(order, conversation, Direction.INBOUND)
        self._set_status(leg, CallStatus.RINGING)
        if order.flow is None or isinstance(order.flow, Webhook):
            self.fetch(leg, order.flow, Purpose.ANSWER)
        else:
            self.begin(leg, order.flow)
        return leg

    def dial(self, caller: Leg, dial: Dial, run: FlowRun) -> Leg | None:
        """Call the party that *dial* describes, who will join the conversation of *caller*.

        Report the progress of the call to *run*.

        Returns:
            The leg of the called party, or None if the rate limit is exceeded.
        """
        if not self._may_dial():
            self._base.send_error(caller.uuid, "connect: over the limit of new calls per second")
            return None
        from_ = {"type": "phone", "number": self._number if dial.caller is None else dial.caller}
        if dial.caller is None and dial.order.to["type"] == "app" and caller.direction is Direction.INBOUND:
            from_ = caller.from_
        order = replace(dial.order, from_=from_, events=dial.order.events or caller.order.events)
        return self.place(order, caller.conversation, caller=caller, dialled_by=run)

    def fetch(self, leg: Leg, webhook: Webhook | None, purpose: Purpose) -> None:
        """Request an NCCO for *leg* from *webhook*. If *webhook* is None, use the application's ``answer_url``."""
        leg.flow.pending = None
        leg.flow.awaiting = Fetch(
            at=self._base.now,
            uuid=leg.uuid,
            application_id=leg.application_id,
            region=leg.region,
            webhook=webhook,
            purpose=purpose,
            parameters=events.answer(leg),
        )
        self._base.emit(leg.flow.awaiting)

    def fetched(self, fetch: Fetch) -> Leg | None:
        """Mark the NCCO request *fetch* as completed, and return the leg for which it was made.

        Return None if the leg has ended in the meantime or has received another NCCO.
        """
        leg = self._base.live.get(fetch.uuid)
        if leg is None or leg.flow.awaiting is not fetch:
            return None
        leg.flow.awaiting = None
        return leg

    def answer(self, leg: Leg) -> None:
        """Answer *leg*, which is outbound, because the called party has picked up."""
        leg.cancel_timers()
        self._set_answered(leg)
        detection = leg.detection
        if detection is not None:
            expected_events = detection.expected_events(leg.far_end)
            for event in expected_events:
                starts_flow = detection.waits and event is expected_events[-1]
                report = partial(self._report_detection, leg, detection, event, starts_flow=starts_flow)
                self._base.schedule(leg, event.after, report)
        if detection is None or not detection.waits:
            self._begin_pending(leg)

    def pick_up_for(self, leg: Leg) -> None:
        """Answer *leg* if it is inbound and still ringing.

        A flow calls this method before an action that needs an answered call.
        """
        if leg.direction is Direction.INBOUND and leg.status is CallStatus.RINGING:
            self._set_answered(leg)

    def begin(self, leg: Leg, actions: Actions) -> None:
        """Run *actions* on *leg*. If the call is inbound, wait until it has rung for the minimum time."""
        if leg.direction is Direction.INBOUND:
            rung = (self._base.now - leg.created) / 1000
            self._base.schedule(leg, max(0, INBOUND_ANSWERED_AFTER - rung), partial(self._run, leg, actions))
        else:
            self._run(leg, actions)

    def run_instead(self, leg: Leg, actions: Actions) -> None:
        """Replace the NCCO of *leg* with *actions*.

        The leg leaves its conversation, and any ``connect`` between this leg and another leg ends.
        """
        leg.flow.pending = leg.flow.awaiting = None
        leg.flow.abandon()
        leg.flow.leave_caller()
        if not (actions and isinstance(actions[0], Join)):
            self._rooms.leave_room(leg)
        self._run(leg, actions)

    def whisper(self, leg: Leg, actions: Actions) -> None:
        """Run *actions* on *leg*, the callee of a ``connect``, before the leg joins its caller."""
        self._start(leg, actions, partial(self.join_caller, leg))

    def join_caller(self, leg: Leg) -> None:
        """Let *leg*, the callee of a ``connect``, join the caller's conversation."""
        leg.flow.run = None
        self._rooms.admit(leg)
        if leg.flow.dialled_by is not None:
            leg.flow.dialled_by.callee_joined()

    def finish(self, leg: Leg) -> None:
        """End *leg* on behalf of the platform: as ``completed`` if it was answered, otherwise as ``cancelled``."""
        if leg.is_up:
            self.end(leg, CallStatus.COMPLETED, disconnected_by="platform", sip_code=200)
        else:
            self.end(leg, CallStatus.CANCELLED)

    def refuse(self, leg: Leg, refusal: Refusal) -> None:
        """End *leg*, whose party does not answer, with the status and the reason from *refusal*."""
        self.end(leg, refusal.status, detail=refusal.detail, sip_code=refusal.sip_code)

    def party_hangs_up(self, leg: Leg) -> None:
        """End *leg*, which has been answered, because its party has hung up."""
        self.end(leg, CallStatus.COMPLETED, disconnected_by="user", sip_code=200)

    def end(self, leg: Leg, status: CallStatus, **why: Any) -> None:
        """End *leg* with *status*, and stop everything that is running on the leg.

        *why* contains additional fields for the event that reports the end, such as ``sip_code``.
        """
        on_reply = None
        if leg.order.is_synchronous and status in MAY_BRING_FALLBACK:
            on_reply = leg.flow.leave_caller_waiting()
        leg.ended_at = self._base.now
        self._set_status(leg, status, on_reply=on_reply, **why)
        self._note_end(leg, status, why.get("sip_code"))
        leg.flow.pending = leg.flow.awaiting = None
        leg.cancel_timers()
        if leg.is_socket:
            self._base.emit(Close(uuid=leg.uuid))
        self._media.silence(leg)
        del self._base.live[leg.uuid]
        leg.flow.abandon()
        leg.flow.leave_caller()
        self._media.stop_recordings(leg.audio.recordings)
        self._rooms.leave(leg, status)
        self.twins.ended(leg)

    def _new_leg(self, order: Order, conversation: Conversation, direction: Direction) -> Leg:
        uuid = self._base.new_uuid()
        is_outbound = direction is Direction.OUTBOUND
        leg = Leg(
            uuid=uuid if is_outbound else uuid.replace("-", ""),
            direction=direction,
            application_id=conversation.application_id,
            region=conversation.region,
            to=order.to,
            from_=order.from_ or {"type": "phone", "number": self._number},
            order=order,
            far_end=far_end.called(order.to, self._far_ends)
            if is_outbound
            else far_end.calling(label(order.from_) or ""),
            created=self._base.now,
            made_at=self._base.host_time(),
            number=len(self._base.legs),
            conversation=conversation,
        )
        self._base.register.add(leg)
        self._base.legs[leg.uuid] = self._base.live[leg.uuid] = leg
        self._rooms.enter(leg, conversation, Seat())
        self._report(leg)
        return leg

    def ring(self, leg: Leg) -> None:
        """Let *leg*, which is outbound, ring until its party answers or its time is out."""
        self._set_status(leg, CallStatus.RINGING)
        # This timer is set before the answer's timer, so that the time-out comes first if both are due together.
        self._base.schedule(leg, leg.order.ringing_timer, partial(self.end, leg, CallStatus.TIMEOUT))
        if leg.far_end.refusal is not None:
            self._refuse_in(leg, leg.far_end.refusal)
        elif leg.far_end.answers_after is not None:
            self._base.schedule(leg, leg.far_end.answers_after, partial(self.answer, leg))

    def _refuse_in(self, leg: Leg, refusal: Refusal) -> None:
        self._base.schedule(leg, refusal.after, partial(self.refuse, leg, refusal))

    def _set_answered(self, leg: Leg) -> None:
        leg.answered_at = self._base.now
        self._set_status(leg, CallStatus.ANSWERED)
        self._base.note(leg.conversation, "member:joined", leg)
        self._base.schedule(leg, leg.order.length_timer, partial(self.finish, leg))
        if leg.far_end.hangs_up_after is not None:
            self._base.schedule(leg, leg.far_end.hangs_up_after, partial(self.party_hangs_up, leg))
        if leg.order.dtmf_answer is not None:
            self._media.play(leg, keys(leg.order.dtmf_answer))
        if leg.far_end.is_machine:
            self._media.speak(leg, far_end.GREETING)
            if leg.far_end.beeps_after is not None:
                self._base.schedule(leg, leg.far_end.beeps_after, partial(self._media.make_sound, leg, BEEP))
        self.twins.answered(leg)

    def _report_detection(
        self, leg: Leg, detection: Detection, event: DetectionEvent, *, starts_flow: bool
    ) -> None:
        """Report *event*, a result of answering machine detection.

        If *starts_flow* is True, the leg's flow begins after the webhook has replied.
        """
        is_advanced = detection.mode is not None
        if event.status == CallStatus.MACHINE:
            self._base.register.set_status(leg, CallStatus.MACHINE)
        note = "sip:amd_machine" if is_advanced else "sip:machine"
        self._base.note(leg.conversation, note, leg, type=event.sub_state or event.status)
        fields = events.detection(leg, self._base.now, event.status, event.sub_state)
        on_reply = partial(self._run_if_given, leg, starts_flow=starts_flow) if is_advanced else None
        self._base.send_event(leg, Kind.STATUS, fields, on_reply=on_reply)
        if detection.behavior is Behavior.HANGUP and event.status == CallStatus.MACHINE:
            self.finish(leg)

    def _run_if_given(self, leg: Leg, actions: Actions | None, *, starts_flow: bool) -> None:
        """Replace the NCCO of *leg* with *actions*, the NCCO in a reply. The leg stays in its conversation.

        If *actions* is None and *starts_flow* is True, begin the flow that has waited for the reply.
        """
        if not leg.is_up:
            return
        if actions:
            leg.flow.pending = leg.flow.awaiting = None
            self._run(leg, actions)
        elif starts_flow and leg.flow.run is None and leg.flow.awaiting is None:
            self._begin_pending(leg)

    def _begin_pending(self, leg: Leg) -> None:
        pending, leg.flow.pending = leg.flow.pending, None
        if isinstance(pending, Webhook):
            self._rooms.admit(leg)
            self.fetch(leg, pending, Purpose.ANSWER)
        elif pending is not None:
            self._run(leg, pending)
        elif leg.flow.dialled_by is not None and leg.order.on_answer is not None:
            self.fetch(leg, leg.order.on_answer, Purpose.ON_ANSWER)
        elif leg.flow.run is None:
            self.join_caller(leg)

    def _run(self, leg: Leg, actions: Actions) -> None:
        self._rooms.admit(leg)
        self._start(leg, actions)

    def _start(self, leg: Leg, actions: Actions, finished: Callable[[], None] | None = None) -> None:
        if leg.flow.run is not None:
            leg.flow.run.abandon()
        parts = self._base, self._media, self._rooms, self
        leg.flow.run = run = FlowRun(leg, actions, *parts, finished or partial(self.finish, leg))
        run.go_on()

    def _set_status(
        self, leg: Leg, status: CallStatus, *, on_reply: OnReply | None = None, **why: Any
    ) -> None:
        if status not in NEXT[leg.status]:
            raise IllegalMove(f"{status} may not follow {leg.status}")
        self._base.register.set_status(leg, status)
        self._report(leg, on_reply, **why)
        if status in (CallStatus.RINGING, CallStatus.ANSWERED):
            self._base.note(leg.conversation, f"{_kind(leg)}:{status}", leg)

    def _report(self, leg: Leg, on_reply: OnReply | None = None, **why: Any) -> None:
        fields = events.status(leg, self._base.now, **why)
        self._base.send_event(leg, Kind.STATUS, fields, on_reply=on_reply)
        self._base.note(leg.conversation, "leg:status:update", leg, status=leg.status)

    def _note_end(self, leg: Leg, status: CallStatus, sip_code: int | None) -> None:
        reason = {"code": _REASON[status], "text": str(status), "sip_code": sip_code}
        self._base.note(leg.conversation, f"{_kind(leg)}:hangup", leg, reason=reason)
        self._base.note(leg.conversation, f"{_kind(leg)}:status", leg, status=status)


def _kind(leg: Leg) -> str:
    """Return the prefix for the types of events about the connection of *leg*: ``rtc`` or ``sip``."""
    return "rtc" if leg.to["type"] == "app" else "sip"
