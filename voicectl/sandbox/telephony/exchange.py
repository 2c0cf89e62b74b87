"""The telephone exchange: the operations of the API and of the outside parties.

The exchange is pure: it uses no HTTP, no event loop and no clock, and knows only the moments that it is given. Each
operation either succeeds, or raises an exception and changes nothing. The exchange leaves the rest of the work as
effects, which the performer collects.
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
    """The present state does not allow the operation. Nothing was changed."""


class LegOver(ExchangeError):
    """The leg has ended."""


class LegNotAnswered(ExchangeError):
    """The leg is not answered yet or, if the operation needs a ringing leg, does not ring."""


class NoAnsweredLeg(ExchangeError):
    """No leg of the conversation is answered."""


class Exchange:
    """The telephone exchange, with its parts and the operations on its legs.

    Args:
        seed: The seed of the ids. The same seed and the same operations give the same ids.
        number: The account's own number, the default caller.
        now: The present moment of the call clock, in milliseconds since 1970.
        host_time: Returns the time of the host clock in Unix seconds, which is kept with each new record.
        may_dial: Called before each ``connect`` dials. Returns False if the rate limit is exceeded.
        knows_user: Takes a user name, an application id and a region. Returns True if there is such an app user.
        room_hours: Takes an application id. Returns how many hours the rooms of that application are kept.

    Attributes:
        legs: All legs by UUID, in the order of their creation. Legs are never removed.
        live: The legs that have not ended.
        conversations: The conversations that exist, by UUID.
        base: Sends events and passes on their replies.
        media: Plays and records sounds.
        rooms: Makes and ends conversations.
        calls: Makes and ends legs.
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
        """The present moment of the call clock, in milliseconds since 1970."""
        return self.base.now

    @property
    def next_due(self) -> int | None:
        """The moment of the next timer, or None if no timer is set."""
        return self.base.agenda.next_due

    def run(self, until: int) -> None:
        """Move the call clock to *until*, and run the timers that are due by then, in order."""
        self.base.agenda.run(until)

    def collect(self) -> list[Effect]:
        """Return the effects since the last call of this method, in order."""
        return self.base.collect()

    def create(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Place an outbound call for an application, and return its leg.

        The leg has the status ``started``, and is in a conversation of its own.
        """
        return self.calls.place(order, self.rooms.new(application_id, region))

    def ring(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Receive the call of a party, and return its leg.

        The call rings at once, and its flow answers it after a second at the earliest. The flow is that of *order*,
        or comes from the application's ``answer_url`` if *order* has none.
        """
        return self.calls.receive(order, self.rooms.new(application_id, region))

    def hangup(self, leg: Leg) -> None:
        """End *leg*, as ``cancelled`` before the answer and as ``completed`` after it.

        Raises:
            LegOver: The leg has ended.
        """
        self._require_live(leg)
        self.calls.finish(leg)

    def mute(self, leg: Leg, *, on: bool) -> None:
        """Mute *leg* for the others, or unmute it.

        A transfer keeps the setting. Repeating the operation changes nothing.

        Raises:
            LegOver: The leg has ended.
            LegNotAnswered: The leg is not answered yet.
        """
        self._require_up(leg)
        self.rooms.mute(leg, on=on)

    def earmuff(self, leg: Leg, *, on: bool) -> None:
        """Stop *leg* from hearing the others, or let it hear them again.

        A transfer keeps the setting. Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.rooms.earmuff(leg, on=on)

    def transfer(self, leg: Leg, flow: Flow) -> None:
        """Replace the NCCO of *leg*.

        The leg moves alone, to the room that the new NCCO names or to a new conversation. If *flow* is a
        :class:`~voicectl.sandbox.telephony.actions.Webhook`, the present NCCO goes on until the new NCCO arrives.
        Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        if isinstance(flow, Webhook):
            self.calls.fetch(leg, flow, Purpose.TRANSFER)
        else:
            self.calls.run_instead(leg, flow)

    def talk(self, leg: Leg, prompt: Prompt | None) -> None:
        """Speak *prompt* to the party of *leg* alone, in place of the last text from REST.

        If *prompt* is None, only stop that text. The prompts of the leg's NCCO go on at the same time. Raises the
        same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.play_instead(leg, Sound.SPEECH, prompt)

    def stream(self, leg: Leg, prompt: Prompt | None) -> None:
        """Play an audio file to the party of *leg* alone, in the same way as :meth:`talk` speaks a text."""
        self._require_up(leg)
        self.media.play_instead(leg, Sound.AUDIO, prompt)

    def dtmf(self, leg: Leg, digits: str) -> None:
        """Play the tones of *digits* to the party of *leg*. Raises the same exceptions as :meth:`mute`."""
        self._require_up(leg)
        self.media.play(leg, keys(digits))

    def listen(self, leg: Leg, url: str | None) -> None:
        """Set the URL that receives each key that the party of *leg* presses, or None for no URL.

        Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.forward_keys(leg, url)

    def pick_up(self, leg: Leg) -> None:
        """Answer a ringing *leg* as its called party.

        Raises:
            LegOver: The leg has ended.
            LegNotAnswered: The leg does not ring, or its party is the caller.
        """
        self._require_live(leg)
        if leg.direction is Direction.INBOUND:
            raise LegNotAnswered("The party of an inbound leg is the caller; the platform answers.")
        if leg.status is not CallStatus.RINGING:
            raise LegNotAnswered(f"The leg is not ringing: it is {leg.status}.")
        self.calls.answer(leg)

    def press(self, leg: Leg, digits: str) -> None:
        """Press keys as the party of *leg*, for all legs that hear this leg.

        Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.press(leg, digits)

    def say(self, leg: Leg, text: str) -> None:
        """Say *text* as the party of *leg*, for all legs that hear this leg.

        Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.speak(leg, speech(text, options={}))

    def party_hangs_up(self, leg: Leg) -> None:
        """Hang up as the party of *leg*.

        Before the answer, a called party declines the call, and a calling party cancels it.

        Raises:
            LegOver: The leg has ended.
            LegNotAnswered: The leg does not ring yet.
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
        """Pass on the NCCO from the reply to *event*, or None if the reply has none."""
        self.base.replied(event, actions)

    def resume(self, fetch: Fetch, actions: Actions) -> None:
        """Run the NCCO that *fetch* brought, unless the leg has ended or was given another NCCO since."""
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
        """End the call for which *fetch* brought no NCCO, unless the call has ended or was given another NCCO since.

        The callee of a ``connect`` with ``onAnswer`` joins its caller instead.
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
        """Answer *leg*, whose WebSocket is connected."""
        if leg.status is CallStatus.STARTED:
            self.calls.answer(leg)

    def socket_refused(self, leg: Leg, reason: str) -> None:
        """End *leg*, whose WebSocket could not be opened, as ``failed``."""
        if leg.status is CallStatus.STARTED:
            self.base.remark(leg, f"websocket: {reason}")
            self.calls.end(leg, CallStatus.FAILED, detail="cannot_route", sip_code=404)

    def socket_closed(self, leg: Leg) -> None:
        """End *leg*, whose WebSocket the application closed.

        The reply to the event may carry an NCCO for the caller of the leg.
        """
        if not leg.is_up:
            return
        on_reply = leg.flow.leave_caller_waiting() or (lambda _actions: None)
        self.base.send_event(leg, Kind.STATUS, events.disconnected(leg, self.now), on_reply=on_reply)
        self.calls.party_hangs_up(leg)

    def record_all(self, conversation: Conversation, order: Record, *, retention_days: int = 31) -> Recording:
        """Start to record *conversation*, and return the recording.

        Raises:
            NoAnsweredLeg: No leg of the conversation is answered.
        """
        leg = next((leg for leg in conversation.legs.values() if leg.is_up), None)
        if leg is None:
            raise NoAnsweredLeg("No leg of the conversation is answered.")
        return self.media.record(leg, order, of=conversation, retention_days=retention_days)

    def _require_live(self, leg: Leg) -> None:
        if leg.is_over:
            raise LegOver(f"The leg is over: it is {leg.status}.")

    def _require_up(self, leg: Leg) -> None:
        self._require_live(leg)
        if not leg.is_up:
            raise LegNotAnswered(f"The leg is not answered yet: it is {leg.status}.")
