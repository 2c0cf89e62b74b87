"""The telephone exchange: what may be asked of it, by the API and by the outside parties.

Pure: it knows no HTTP, no event loop and no clock but the moments it is given. Each operation either does what it
says or raises and changes nothing. What it cannot do itself it leaves as effects, for the performer to collect.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Order, Webhook
from voicectl.sandbox.telephony.call_control import Switchboard
from voicectl.sandbox.telephony.effects import Kind, Purpose
from voicectl.sandbox.telephony.far_end import DECLINED
from voicectl.sandbox.telephony.sounds import keys, speech
from voicectl.sandbox.telephony.state import DEFAULT_REGION, Direction
from voicectl.voice.call import CallStatus

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.actions import Actions, Flow, Record
    from voicectl.sandbox.telephony.effects import Fetch
    from voicectl.sandbox.telephony.recording import Recording
    from voicectl.sandbox.telephony.sounds import Heard, Prompt
    from voicectl.sandbox.telephony.state import Conversation, Leg

INBOUND_ANSWERED_AFTER = 1.0
"""Seconds of ringing before the platform answers an inbound call."""


class ExchangeError(Exception):
    """What was asked cannot be done to the leg as it is; nothing was changed."""


class LegOver(ExchangeError):
    """The leg has ended."""


class LegNotAnswered(ExchangeError):
    """The leg is not answered yet, or (where ringing is needed) not ringing."""


class NobodyThere(ExchangeError):
    """The conversation has no leg that is answered."""


class Exchange(Switchboard):
    """A :class:`Switchboard` that can be asked for things."""

    def create(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Place an outbound call for an application; it is ``started``, in a conversation of its own."""
        return self.place(order, self._new_conversation(application_id, region))

    def hangup(self, leg: Leg) -> None:
        """End *leg*: ``cancelled`` before the answer, ``completed`` after it.

        Raises:
            LegOver: It has ended.
        """
        self._require_live(leg)
        self.finish(leg)

    def mute(self, leg: Leg, *, on: bool) -> None:
        """Let the others not hear *leg*, or hear it again. Kept over a transfer; repeating it changes nothing.

        Raises:
            LegOver: It has ended.
            LegNotAnswered: It is not answered yet.
        """
        self._require_up(leg)
        if leg.is_muted is not on:
            leg.is_muted = on
            self._note(leg.conversation, f"audio:mute:{'on' if on else 'off'}", leg, rtc_id=leg.uuid)

    def earmuff(self, leg: Leg, *, on: bool) -> None:
        """Let *leg* not hear the others, or hear them again. Kept, and raises, as :meth:`mute`."""
        self._require_up(leg)
        if leg.is_earmuffed is not on:
            leg.is_earmuffed = on
            self._note(leg.conversation, f"audio:earmuff:{'on' if on else 'off'}", leg, rtc_id=leg.uuid)

    def transfer(self, leg: Leg, flow: Flow) -> None:
        """Have *leg* leave its NCCO and run another, alone: in the room it names, or a new conversation.

        With a :class:`~voicectl.sandbox.telephony.actions.Webhook` the present NCCO goes on until the other has come.
        Raises as :meth:`mute`.
        """
        self._require_up(leg)
        leg.flow = None
        if isinstance(flow, Webhook):
            self._fetch(leg, flow, Purpose.TRANSFER)
        else:
            self._run_instead(leg, flow)

    def talk(self, leg: Leg, prompt: Prompt | None) -> None:
        """Say something to the party of *leg* alone, in place of what REST says to it now; None: be silent.

        The prompts of its NCCO go on beside it. Raises as :meth:`mute`.
        """
        self._require_up(leg)
        self.cut(leg.talk)
        leg.talk = None if prompt is None else self.play(leg, prompt)

    def stream(self, leg: Leg, prompt: Prompt | None) -> None:
        """Play an audio file to the party of *leg* alone, as :meth:`talk` says something."""
        self._require_up(leg)
        self.cut(leg.stream)
        leg.stream = None if prompt is None else self.play(leg, prompt)

    def dtmf(self, leg: Leg, digits: str) -> None:
        """Let the party of *leg* hear the tones of *digits*. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.play(leg, keys(digits))

    def listen(self, leg: Leg, url: str | None) -> None:
        """Note where each key that the party presses is wanted; None: nowhere. Raises as :meth:`mute`."""
        self._require_up(leg)
        leg.dtmf_url = url

    def ring(
        self,
        *,
        to: dict[str, Any],
        from_: dict[str, Any],
        flow: Flow | None,
        application_id: str,
        region: str = DEFAULT_REGION,
        sip_headers: dict[str, str] | None = None,
    ) -> Leg:
        """Let a party call us: it rings at once, and is answered as its flow begins, a second later at the earliest.

        Args:
            to: The endpoint called; so is *from_* the one that calls.
            flow: What it meets; None: what the application's ``answer_url`` says.
            application_id: Whose number was called.
            region: Where the call lives.
            sip_headers: ``SipHeader_X-...``, for the answer webhook.
        """
        conversation = self._new_conversation(application_id, region)
        order = Order(to=to, from_=from_)
        leg = self._new_leg(order, conversation, Direction.INBOUND, sip_headers=sip_headers or {})
        self._set_status(leg, CallStatus.RINGING)
        if flow is None or isinstance(flow, Webhook):
            self._fetch(leg, flow, Purpose.ANSWER)
        else:
            self.schedule(leg, INBOUND_ANSWERED_AFTER, partial(self._begin_script, leg, flow))
        return leg

    def pick_up(self, leg: Leg) -> None:
        """The called party of a ringing *leg* answers now.

        Raises:
            LegOver: It has ended.
            LegNotAnswered: It does not ring, or the party is the caller.
        """
        self._require_live(leg)
        if leg.direction is Direction.INBOUND:
            raise LegNotAnswered("The party of an inbound leg is the caller; the platform answers.")
        if leg.status is not CallStatus.RINGING:
            raise LegNotAnswered(f"The leg is not ringing: it is {leg.status}.")
        self._answer(leg)

    def press(self, leg: Leg, digits: str) -> None:
        """The party of *leg* presses keys; who hears that leg hears them. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.keys_in(leg, digits)

    def say(self, leg: Leg, text: str) -> None:
        """The party of *leg* says *text*; who hears that leg hears it. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.speaks(leg, speech(text, options={}))

    def depart(self, leg: Leg) -> None:
        """The party of *leg* hangs up; before the answer, a called party declines and a caller gives up.

        Raises:
            LegOver: It has ended.
            LegNotAnswered: It does not even ring.
        """
        self._require_live(leg)
        if leg.is_up:
            self._party_hangs_up(leg)
        elif leg.status is CallStatus.STARTED:
            raise LegNotAnswered("The leg does not ring yet.")
        elif leg.direction is Direction.INBOUND:
            self._end(leg, CallStatus.CANCELLED)
        else:
            self._refuse(leg, DECLINED)

    def resume(self, fetch: Fetch, actions: Actions) -> None:
        """Run the NCCO that *fetch* brought, unless its leg has ended or been told otherwise since."""
        leg = self._still_awaiting(fetch)
        if leg is None:
            return
        if fetch.purpose is Purpose.TRANSFER:
            self._run_instead(leg, actions)
        elif fetch.purpose is Purpose.ON_ANSWER:
            self._whisper(leg, actions)
        elif leg.direction is Direction.INBOUND:
            rung = (self.now - leg.created) / 1000
            self.schedule(
                leg, max(0, INBOUND_ANSWERED_AFTER - rung), partial(self._begin_script, leg, actions)
            )
        else:
            self._begin_script(leg, actions)

    def give_up(self, fetch: Fetch, reason: str) -> None:
        """End the call for which *fetch* brought no NCCO, unless it has ended or been told otherwise since.

        A callee that was to hear something first is joined to its caller without.
        """
        leg = self._still_awaiting(fetch)
        if leg is None:
            return
        self._remark(leg, f"{fetch.purpose} webhook: {reason}")
        if fetch.purpose is Purpose.ON_ANSWER:
            self._join_caller(leg)
        else:
            self.finish(leg)

    def socket_opened(self, leg: Leg) -> None:
        """The WebSocket that *leg* calls is connected."""
        if leg.status is CallStatus.STARTED:
            self._answer(leg)

    def socket_refused(self, leg: Leg, reason: str) -> None:
        """The WebSocket that *leg* calls cannot be had."""
        if leg.status is CallStatus.STARTED:
            self._remark(leg, f"websocket: {reason}")
            self._end(leg, CallStatus.FAILED, detail="cannot_route", sip_code=404)

    def socket_closed(self, leg: Leg) -> None:
        """The application closed the WebSocket of *leg*; the reply to the event may bring its caller another NCCO."""
        if not leg.is_up:
            return
        script, leg.dialled_by = leg.dialled_by, None
        answered = script.callee_asks() if script is not None else lambda _actions: None
        self.tell(leg, Kind.STATUS, events.disconnected(leg, self.now), on_reply=answered)
        self._party_hangs_up(leg)

    def found(self, name: str | None, *, application_id: str, region: str) -> Conversation:
        """Make a room by the Conversation API; its *name* must not be taken. None: a name is made up."""
        return self._new_conversation(application_id, region, name or f"NAM-{self._new_uuid()}")

    def dissolve(self, conversation: Conversation) -> None:
        """End all legs of *conversation*, and the conversation."""
        for leg in list(conversation.legs.values()):
            if not leg.is_over:
                self.finish(leg)
        self._close(conversation)
        self._vanish(conversation)

    def talk_to_all(self, conversation: Conversation, prompt: Prompt | None) -> None:
        """Say something to all parties of *conversation*, in place of what is said to them now; None: be silent."""
        self.cut(conversation.talk)
        conversation.talk = None if prompt is None else self._play_to_all(conversation, prompt)

    def stream_to_all(self, conversation: Conversation, prompt: Prompt | None) -> None:
        """Play an audio file to all parties of *conversation*, as :meth:`talk_to_all` says something."""
        self.cut(conversation.stream)
        conversation.stream = None if prompt is None else self._play_to_all(conversation, prompt)

    def record_all(self, conversation: Conversation, order: Record, *, retention_days: int = 31) -> Recording:
        """Record *conversation* from now on.

        Raises:
            NobodyThere: No leg is in it.
        """
        leg = next((leg for leg in conversation.legs.values() if leg.is_up), None)
        if leg is None:
            raise NobodyThere("Nobody is in the conversation.")
        return self.record(leg, order, of=conversation, retention_days=retention_days)

    def stop_recording_all(self, conversation: Conversation) -> None:
        """End the recordings of *conversation* as a whole."""
        for recording in list(conversation.recordings):
            self.stop_recording(recording)

    def _play_to_all(self, conversation: Conversation, prompt: Prompt) -> Heard:
        legs = [leg for leg in conversation.legs.values() if leg.is_up and leg.is_joined]
        return self._play_to(conversation, legs, prompt, None)

    def _still_awaiting(self, fetch: Fetch) -> Leg | None:
        leg = self.live.get(fetch.uuid)
        if leg is None or leg.awaiting is not fetch:
            return None
        leg.awaiting = None
        return leg

    def _require_live(self, leg: Leg) -> None:
        if leg.is_over:
            raise LegOver(f"The leg is over: it is {leg.status}.")

    def _require_up(self, leg: Leg) -> None:
        self._require_live(leg)
        if not leg.is_up:
            raise LegNotAnswered(f"The leg is not answered yet: it is {leg.status}.")
