"""The telephone exchange: what may be asked of it, by the API and by the outside parties.

Pure: it knows no HTTP, no event loop and no clock but the moments it is given. Each operation either does what it
says or raises and changes nothing. What it cannot do itself it leaves as effects, for the performer to collect.
"""

from __future__ import annotations

from collections.abc import Callable

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Actions, Flow, Order, Record, Webhook
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.call_control import CallControl
from voicectl.sandbox.telephony.effects import Effect, Event, Fetch, Kind, Purpose
from voicectl.sandbox.telephony.far_end import DECLINED
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.rooms import Rooms
from voicectl.sandbox.telephony.sounds import Prompt, Sound, keys, speech
from voicectl.sandbox.telephony.state import DEFAULT_REGION, Conversation, Direction, Leg
from voicectl.voice.call import CallStatus


class ExchangeError(Exception):
    """What was asked cannot be done to the leg as it is; nothing was changed."""


class LegOver(ExchangeError):
    """The leg has ended."""


class LegNotAnswered(ExchangeError):
    """The leg is not answered yet, or (where ringing is needed) not ringing."""


class NobodyThere(ExchangeError):
    """The conversation has no leg that is answered."""


class Exchange:
    """The exchange: the parts that it is made of, and what may be asked of its legs.

    Args:
        seed: Ids come from it: the same seed and the same operations give the same ids.
        number: The account's own number, the caller where no other is named.
        now: The call clock's moment, in milliseconds since 1970.
        host_time: Tells the host clock's Unix seconds, kept with each new record.
        may_dial: Asked before each ``connect`` dials; False when over the rate limit.
        knows_user: Whether an application has an app user of this name, in this region.
        room_hours: For how many hours an application's rooms stay.

    Attributes:
        legs: Every leg, by uuid, in the order they were made. Records are kept for ever.
        live: Those that have not ended.
        conversations: Those that exist, by uuid.
        base: Tells webhooks, and hands over what they reply.
        media: Plays, and records.
        rooms: Makes conversations, and ends them.
        calls: Makes legs, and ends them.
    """

    def __init__(
        self,
        *,
        seed: str,
        number: str,
        now: int,
        host_time: Callable[[], float],
        may_dial: Callable[[], bool] = lambda: True,
        knows_user: Callable[[str, str, str], bool] = lambda _name, _application_id, _region: True,
        room_hours: Callable[[str], float] = lambda _application_id: 48,
    ) -> None:
        self.base = base = Base(seed=seed, now=now, host_time=host_time)
        self.legs, self.live, self.conversations = base.legs, base.live, base.conversations
        self.media = media = Media(base)
        self.rooms = Rooms(base, media, finish=lambda leg: self.calls.finish(leg), hours=room_hours)
        self.calls = CallControl(
            base, media, self.rooms, number=number, may_dial=may_dial, knows_user=knows_user
        )

    @property
    def now(self) -> int:
        """The call clock's moment, in milliseconds since 1970."""
        return self.base.now

    @property
    def next_due(self) -> int | None:
        """The moment at which something happens next; None if nothing is to happen by itself."""
        return self.base.agenda.next_due

    def run(self, until: int) -> None:
        """Let everything happen that is due up to *until*, in order."""
        self.base.agenda.run(until)

    def collect(self) -> list[Effect]:
        """Take away the effects so far, in order."""
        return self.base.collect()

    def create(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Place an outbound call for an application; it is ``started``, in a conversation of its own."""
        return self.calls.place(order, self.rooms.new(application_id, region))

    def ring(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Let a party call us: it rings at once, and is answered as its flow begins, after a second at the earliest.

        Its flow is that of the *order*, or what the application's ``answer_url`` says.
        """
        return self.calls.receive(order, self.rooms.new(application_id, region))

    def hangup(self, leg: Leg) -> None:
        """End *leg*: ``cancelled`` before the answer, ``completed`` after it.

        Raises:
            LegOver: It has ended.
        """
        self._require_live(leg)
        self.calls.finish(leg)

    def mute(self, leg: Leg, *, on: bool) -> None:
        """Let the others not hear *leg*, or hear it again. Kept over a transfer; repeating it changes nothing.

        Raises:
            LegOver: It has ended.
            LegNotAnswered: It is not answered yet.
        """
        self._require_up(leg)
        self.rooms.mute(leg, on=on)

    def earmuff(self, leg: Leg, *, on: bool) -> None:
        """Let *leg* not hear the others, or hear them again. Kept, and raises, as :meth:`mute`."""
        self._require_up(leg)
        self.rooms.earmuff(leg, on=on)

    def transfer(self, leg: Leg, flow: Flow) -> None:
        """Have *leg* leave its NCCO and run another, alone: in the room it names, or a new conversation.

        With a :class:`~voicectl.sandbox.telephony.actions.Webhook` the present NCCO goes on until the other has come.
        Raises as :meth:`mute`.
        """
        self._require_up(leg)
        if isinstance(flow, Webhook):
            self.calls.fetch(leg, flow, Purpose.TRANSFER)
        else:
            self.calls.run_instead(leg, flow)

    def talk(self, leg: Leg, prompt: Prompt | None) -> None:
        """Say something to the party of *leg* alone, in place of what REST says to it now; None: be silent.

        The prompts of its NCCO go on beside it. Raises as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.play_instead(leg, Sound.SPEECH, prompt)

    def stream(self, leg: Leg, prompt: Prompt | None) -> None:
        """Play an audio file to the party of *leg* alone, as :meth:`talk` says something."""
        self._require_up(leg)
        self.media.play_instead(leg, Sound.AUDIO, prompt)

    def dtmf(self, leg: Leg, digits: str) -> None:
        """Let the party of *leg* hear the tones of *digits*. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.media.play(leg, keys(digits))

    def listen(self, leg: Leg, url: str | None) -> None:
        """Note where each key that the party presses is wanted; None: nowhere. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.media.forward_keys(leg, url)

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
        self.calls.answer(leg)

    def press(self, leg: Leg, digits: str) -> None:
        """The party of *leg* presses keys; who hears that leg hears them. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.media.press(leg, digits)

    def say(self, leg: Leg, text: str) -> None:
        """The party of *leg* says *text*; who hears that leg hears it. Raises as :meth:`mute`."""
        self._require_up(leg)
        self.media.speak(leg, speech(text, options={}))

    def depart(self, leg: Leg) -> None:
        """The party of *leg* hangs up; before the answer, a called party declines and a caller gives up.

        Raises:
            LegOver: It has ended.
            LegNotAnswered: It does not even ring.
        """
        self._require_live(leg)
        if leg.is_up:
            self.calls.party_hangs_up(leg)
        elif leg.status is CallStatus.STARTED:
            raise LegNotAnswered("The leg does not ring yet.")
        elif leg.direction is Direction.INBOUND:
            self.calls.end(leg, CallStatus.CANCELLED)
        else:
            self.calls.refuse(leg, DECLINED)

    def replied(self, event: Event, actions: Actions | None) -> None:
        """Hand over what the reply to *event* brought; None if there was none."""
        self.base.replied(event, actions)

    def resume(self, fetch: Fetch, actions: Actions) -> None:
        """Run the NCCO that *fetch* brought, unless its leg has ended or been told otherwise since."""
        leg = self.calls.fetched(fetch)
        if leg is None:
            return
        if fetch.purpose is Purpose.TRANSFER:
            self.calls.run_instead(leg, actions)
        elif fetch.purpose is Purpose.ON_ANSWER:
            self.calls.whisper(leg, actions)
        else:
            self.calls.begin(leg, actions)

    def give_up(self, fetch: Fetch, reason: str) -> None:
        """End the call for which *fetch* brought no NCCO, unless it has ended or been told otherwise since.

        A callee that was to hear something first is joined to its caller without.
        """
        leg = self.calls.fetched(fetch)
        if leg is None:
            return
        self.base.remark(leg, f"{fetch.purpose} webhook: {reason}")
        if fetch.purpose is Purpose.ON_ANSWER:
            self.calls.join_caller(leg)
        else:
            self.calls.finish(leg)

    def socket_opened(self, leg: Leg) -> None:
        """The WebSocket that *leg* calls is connected."""
        if leg.status is CallStatus.STARTED:
            self.calls.answer(leg)

    def socket_refused(self, leg: Leg, reason: str) -> None:
        """The WebSocket that *leg* calls cannot be had."""
        if leg.status is CallStatus.STARTED:
            self.base.remark(leg, f"websocket: {reason}")
            self.calls.end(leg, CallStatus.FAILED, detail="cannot_route", sip_code=404)

    def socket_closed(self, leg: Leg) -> None:
        """The application closed the WebSocket of *leg*; the reply to the event may bring its caller another NCCO."""
        if not leg.is_up:
            return
        on_reply = leg.flow.leave_caller_waiting() or (lambda _actions: None)
        self.base.tell(leg, Kind.STATUS, events.disconnected(leg, self.now), on_reply=on_reply)
        self.calls.party_hangs_up(leg)

    def record_all(self, conversation: Conversation, order: Record, *, retention_days: int = 31) -> Recording:
        """Record *conversation* from now on.

        Raises:
            NobodyThere: No leg is in it.
        """
        leg = next((leg for leg in conversation.legs.values() if leg.is_up), None)
        if leg is None:
            raise NobodyThere("Nobody is in the conversation.")
        return self.media.record(leg, order, of=conversation, retention_days=retention_days)

    def _require_live(self, leg: Leg) -> None:
        if leg.is_over:
            raise LegOver(f"The leg is over: it is {leg.status}.")

    def _require_up(self, leg: Leg) -> None:
        self._require_live(leg)
        if not leg.is_up:
            raise LegNotAnswered(f"The leg is not answered yet: it is {leg.status}.")
