"""The telephone exchange, with operations for the API and for the outside parties.

The exchange does not use HTTP, an event loop or a clock. The caller sets the time with :meth:`Exchange.run`, and
performs the effects that :meth:`Exchange.collect` returns. An operation that raises an exception changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
from voicectl.sandbox.telephony.twins import Route
from voicectl.voice.call import CallStatus


class ExchangeError(Exception):
    """Raised if an operation is not possible in the current state. Nothing was changed."""


class LegOver(ExchangeError):
    """Raised if an operation requires a leg that has not ended, and the leg has ended."""


class LegNotAnswered(ExchangeError):
    """Raised if an operation requires an answered leg, and the leg has not been answered.

    Some operations require a ringing leg instead.
    """


class LegTooEarly(LegNotAnswered):
    """Raised if a leg does not have the required status yet, but may reach it later."""


class NoAnsweredLeg(ExchangeError):
    """Raised if an operation requires an answered leg in a conversation, and no leg has been answered."""


class Exchange:
    """The telephone exchange. Its methods are the operations on legs and conversations.

    Args:
        seed: The seed for new ids. With the same seed, the same operations lead to the same ids.
        number: The account's own number, from which calls are placed by default.
        now: The current time on the call clock, in milliseconds since 1970.
        host_time: A function that returns the time on the host clock, in Unix seconds. Each new leg and conversation
            stores this time.
        may_dial: A function that is called before each ``connect`` action places a call. It returns False if the rate
            limit is exceeded.
        knows_user: A function that takes a user name, an application id and a region, and returns True if that app
            user exists.
        find_route: A function that takes a phone number, and returns the route of calls to that number, or None if
            they do not lead to an application of the account.
        room_hours: A function that takes an application id, and returns the number of hours for which the rooms of
            that application are kept.
        far_ends: The digits that determine how the parties at certain phone numbers behave, keyed by number. See
            :mod:`voicectl.sandbox.telephony.far_end`.

    Attributes:
        legs: All legs, keyed by UUID, in order of creation. Legs are never removed.
        live: The legs that have not ended, keyed by UUID.
        register: All legs, by status and by conversation.
        conversations: All existing conversations, keyed by UUID.
        base: The object that sends events, and passes on the replies.
        media: The object that plays and records sounds.
        rooms: The object that creates and ends conversations.
        calls: The object that creates and ends legs.
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
        find_route: Callable[[str], Route | None] = lambda _number: None,
        room_hours: Callable[[str], float] = lambda _application_id: 48,
        far_ends: Mapping[str, str] | None = None,
    ) -> None:
        self.base = base = Base(seed=seed, now=now, host_time=host_time)
        self.legs, self.live, self.conversations = base.legs, base.live, base.conversations
        self.register = base.register
        self.media = media = Media(base, pass_on=lambda leg, heard: self.calls.twins.pass_on(leg, heard))
        self.rooms = Rooms(base, media, finish=lambda leg: self.calls.finish(leg), hours=room_hours)
        self.calls = CallControl(
            base,
            media,
            self.rooms,
            number=number,
            may_dial=may_dial,
            knows_user=knows_user,
            find_route=find_route,
            far_ends=far_ends or {},
        )

    @property
    def now(self) -> int:
        """The current time on the call clock, in milliseconds since 1970."""
        return self.base.now

    @property
    def next_due(self) -> int | None:
        """The time at which the next timer is due, in milliseconds since 1970, or None if no timer is set."""
        return self.base.agenda.next_due

    def run(self, until: int) -> None:
        """Move the call clock to *until*, and run the timers that are due by that time, in order."""
        self.base.agenda.run(until)

    def collect(self) -> list[Effect]:
        """Return the effects that were added since the last call to this method, in order."""
        return self.base.collect()

    def create(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Place an outbound call for an application, and return the leg of the callee.

        The leg has the status ``started``, and is alone in a new conversation.
        """
        return self.calls.place(order, self.rooms.new(application_id, region))

    def ring(self, order: Order, *, application_id: str, region: str = DEFAULT_REGION) -> Leg:
        """Receive a call from an outside party, and return the leg of that party.

        The call rings immediately. The flow of the call answers it after one second at the earliest. If *order* has
        no flow, an NCCO is requested from the application's ``answer_url``.
        """
        return self.calls.receive(order, self.rooms.new(application_id, region))

    def hangup(self, leg: Leg) -> None:
        """End *leg*. The final status is ``completed`` if the call was answered, and ``cancelled`` if it was not.

        Raises:
            LegOver: The leg has already ended.
        """
        self._require_live(leg)
        self.calls.finish(leg)

    def mute(self, leg: Leg, *, on: bool) -> None:
        """Mute or unmute *leg*. The other legs do not hear a muted leg.

        The setting is kept when the leg is transferred. If the leg is already muted or unmuted, nothing changes.

        Raises:
            LegOver: The leg has already ended.
            LegNotAnswered: The leg has not been answered yet.
        """
        self._require_up(leg)
        self.rooms.mute(leg, on=on)

    def earmuff(self, leg: Leg, *, on: bool) -> None:
        """Turn earmuffs for *leg* on or off. A leg with earmuffs does not hear the other legs.

        The setting is kept when the leg is transferred. Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.rooms.earmuff(leg, on=on)

    def transfer(self, leg: Leg, flow: Flow) -> None:
        """Replace the NCCO of *leg* with *flow*.

        Only *leg* moves. It moves to the room that is named in the new NCCO, or to a new conversation if the NCCO
        names no room. If *flow* is a :class:`~voicectl.sandbox.telephony.actions.Webhook`, the leg runs its current
        NCCO until the new NCCO is received. Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        if isinstance(flow, Webhook):
            self.calls.fetch(leg, flow, Purpose.TRANSFER)
        else:
            self.calls.run_instead(leg, flow)

    def talk(self, leg: Leg, prompt: Prompt | None) -> None:
        """Speak *prompt* to the party on *leg*, and to no other party.

        If a text from an earlier call of this method is still being spoken, stop it first. If *prompt* is None, only
        stop the earlier text. Prompts from the leg's NCCO are not stopped. Raises the same exceptions as
        :meth:`mute`.
        """
        self._require_up(leg)
        self.media.play_instead(leg, Sound.SPEECH, prompt)

    def stream(self, leg: Leg, prompt: Prompt | None) -> None:
        """Play the audio file *prompt* to the party on *leg*, and to no other party.

        An audio file from an earlier call of this method is stopped first, as in :meth:`talk`. Raises the same
        exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.play_instead(leg, Sound.AUDIO, prompt)

    def dtmf(self, leg: Leg, digits: str) -> None:
        """Play the key tones for *digits* to the party on *leg*. Raises the same exceptions as :meth:`mute`."""
        self._require_up(leg)
        self.media.play(leg, keys(digits))

    def listen(self, leg: Leg, url: str | None) -> None:
        """Report each key press of the party on *leg* to *url*. If *url* is None, stop reporting key presses.

        Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        self.media.forward_keys(leg, url)

    def pick_up(self, leg: Leg) -> None:
        """Answer *leg*, which is ringing, on behalf of the called party.

        Raises:
            LegOver: The leg has already ended.
            LegNotAnswered: The leg is not ringing, or its party is the caller.
        """
        self._require_live(leg)
        if leg.direction is Direction.INBOUND:
            raise LegNotAnswered(
                "An inbound leg cannot be answered by its party, who is the caller: the platform answers it."
            )
        if leg.twin is not None:
            raise LegNotAnswered("The called party is an application: its call flow answers the call.")
        if leg.status is not CallStatus.RINGING:
            refusal = LegTooEarly if leg.status is CallStatus.STARTED else LegNotAnswered
            raise refusal(f"The leg is not ringing: its status is {leg.status}.")
        self.calls.answer(leg)

    def press(self, leg: Leg, digits: str) -> bool:
        """Press the keys in *digits* on behalf of the party on *leg*.

        All legs that hear this leg hear the key tones. Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        return self.media.press(leg, digits)

    def say(self, leg: Leg, text: str) -> bool:
        """Say *text* on behalf of the party on *leg*. All legs that hear this leg hear the text.

        Raises the same exceptions as :meth:`mute`.
        """
        self._require_up(leg)
        return self.media.speak(leg, speech(text, options={}))

    def listens(self, leg: Leg) -> list[str]:
        """Return what the party on *leg* can do with effect: press keys (``dtmf``), or speak (``speech``)."""
        return self.media.listens(leg)

    def party_hangs_up(self, leg: Leg) -> None:
        """Hang up on behalf of the party on *leg*.

        If the call has not been answered, a called party declines it, and a calling party cancels it.

        Raises:
            LegOver: The leg has already ended.
            LegNotAnswered: The leg is not ringing yet.
        """
        self._require_live(leg)
        if leg.is_up:
            self.calls.party_hangs_up(leg)
        elif leg.status is CallStatus.STARTED:
            raise LegTooEarly("The leg is not ringing yet.")
        elif leg.direction is Direction.INBOUND:
            self.calls.end(leg, CallStatus.CANCELLED)
        else:
            self.calls.refuse(leg, DECLINED)

    def replied(self, event: Event, actions: Actions | None) -> None:
        """Pass the reply to a webhook to the flow that sent *event*.

        *actions* is the NCCO in the reply, or None if the reply contains no NCCO.
        """
        self.base.replied(event, actions)

    def resume(self, fetch: Fetch, actions: Actions) -> None:
        """Run *actions*, the NCCO that *fetch* requested.

        Do nothing if the leg has ended in the meantime or has received another NCCO.
        """
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
        """End the leg for which *fetch* requested an NCCO, because the request failed.

        Log *reason*, which says why the request failed.

        If the leg is the callee of a ``connect`` with ``onAnswer``, the leg does not end but joins its caller. Do
        nothing if the leg has ended in the meantime or has received another NCCO.
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
        """Answer *leg*, because its WebSocket has been opened."""
        if leg.status is CallStatus.STARTED:
            self.calls.answer(leg)

    def socket_refused(self, leg: Leg, reason: str) -> None:
        """End *leg* with the status ``failed``, because its WebSocket could not be opened. Log *reason*."""
        if leg.status is CallStatus.STARTED:
            self.base.remark(leg, f"websocket: {reason}")
            self.calls.end(leg, CallStatus.FAILED, detail="cannot_route", sip_code=404)

    def socket_closed(self, leg: Leg) -> None:
        """End *leg*, because the application has closed the leg's WebSocket.

        The reply to the ``disconnected`` event may contain an NCCO for the leg's caller.
        """
        if not leg.is_up:
            return
        on_reply = leg.flow.leave_caller_waiting() or (lambda _actions: None)
        self.base.send_event(leg, Kind.STATUS, events.disconnected(leg, self.now), on_reply=on_reply)
        self.calls.party_hangs_up(leg)

    def record_all(self, conversation: Conversation, order: Record, *, retention_days: int = 31) -> Recording:
        """Start recording *conversation* with the settings in *order*, and return the recording.

        Raises:
            NoAnsweredLeg: The conversation has no answered leg.
        """
        leg = next((leg for leg in conversation.legs.values() if leg.is_up), None)
        if leg is None:
            raise NoAnsweredLeg("No leg in the conversation has been answered.")
        return self.media.record(leg, order, of=conversation, retention_days=retention_days)

    def _require_live(self, leg: Leg) -> None:
        if leg.is_over:
            why = f" ({leg.remark.rstrip('.')})" if leg.remark else ""
            raise LegOver(f"The leg has ended: its status is {leg.status}{why}.")

    def _require_up(self, leg: Leg) -> None:
        self._require_live(leg)
        if not leg.is_up:
            raise LegTooEarly(f"The leg has not been answered yet: its status is {leg.status}.")
