"""The run of an NCCO on one leg, action by action."""

# How a flow runs
#
# A run holds the actions that are still to come, and performs one action at a time. go_on() takes the next action
# and starts it. When the action ends, go_on() is called again. Actions end in different ways:
#
#   - After some time (talk, stream, wait) or immediately (asynchronous record and input): a timer on the call clock
#     ends the action.
#   - When a webhook has replied: notify, synchronous input, and a synchronous connect whose callee failed or left.
#   - When another part of the exchange reports the end: the callee of any other connect has left, or the file for a
#     synchronous recording has been made.
#   - Not by themselves: conversation, transfer and an endless prompt keep the leg until something else moves it.
#
# After the last action, finished() ends the call. For an onAnswer NCCO, it joins the callee to its caller instead.
#
# Turns: each go_on() and each abandon() begins a new turn. A reply or a finished file calls a function made by
# _in_this_turn(), which remembers its turn and does nothing in a later turn. A late reply can therefore neither start
# an action twice nor revive a run that was replaced. Timers need no turn, because they are cancelled.
#
# Synchronous events: the run sends the event with a function for the reply, and waits. The performer passes on every
# reply, even an empty or failed one. An NCCO in the reply replaces the remaining actions. Without an NCCO, the run
# goes on with its next action. An asynchronous input does not wait: each key is an event of its own while the flow
# goes on. An NCCO in a reply to such an event interrupts the present action (replace()), as long as the same input
# still listens.
#
# A connect has two legs. The callee refers to the run that dialled it (flow.dialled_by), and reports to that run that
# it has joined (callee_joined()) and that it has left (callee_left()). If the reply to the callee's last event may
# carry an NCCO, callee_asks() is called in place of callee_left().
#
# bargeIn: from the first prompt with bargeIn on, the run listens for the next input. A key or speech ends the prompt
# and skips the prompts after it. The keys and the speech so far count for that input.
#
# abandon() ends a run for good, because its leg ended, was given another NCCO, or was moved by a transfer action.

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, Protocol

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import (
    Action,
    Actions,
    Dial,
    Input,
    Join,
    MoveAll,
    Notify,
    OnReply,
    Play,
    Record,
    Wait,
)
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.input import InputCollector
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.rooms import Rooms
from voicectl.sandbox.telephony.sounds import Heard, music
from voicectl.sandbox.telephony.state import Leg

P = ParamSpec("P")

MAX_FLOWS = 100
"""The maximum number of NCCOs that a leg can receive in replies while the call clock shows the same time."""


class Calls(Protocol):
    """The methods of call control that :class:`FlowRun` uses."""

    def dial(self, caller: Leg, dial: Dial, run: FlowRun) -> Leg | None:
        """Call another party for *caller*. Return the new leg, or None if the rate limit is exceeded."""

    def pick_up_for(self, leg: Leg) -> None:
        """Answer *leg* if it is inbound and still ringing."""

    def finish(self, leg: Leg) -> None:
        """End *leg* on behalf of the platform."""


class FlowRun:
    """A run of an NCCO: the actions run on a leg, one after another.

    When the leg ends or is transferred, the run is stopped with :meth:`abandon`.

    Args:
        leg: The leg that runs the actions.
        actions: The actions to run. The reply to a webhook event may replace the actions that have not run yet.
        base: The shared state: the legs, the conversations and the call clock.
        media: The object that plays sounds to the parties, and records the parties.
        rooms: The object that creates and ends conversations, and moves legs between them.
        calls: The object that creates, answers and ends legs.
        finished: A function that is called after the last action has ended.
    """

    def __init__(
        self,
        leg: Leg,
        actions: Actions,
        base: Base,
        media: Media,
        rooms: Rooms,
        calls: Calls,
        finished: Callable[[], None],
    ) -> None:
        self._leg = leg
        self._rest = deque(actions)
        self._base = base
        self._media = media
        self._rooms = rooms
        self._calls = calls
        self._finished = finished
        self._turn = 0  # replies to requests from an earlier turn are ignored
        self._action: Action | None = None
        self._timer: Timer | None = None
        self._playing: Heard | None = None
        self._callee: Leg | None = None
        self._recording: Recording | None = None
        self._can_barge_in = False
        self._collector: InputCollector | None = None
        self._key_listener: tuple[Callable[[str], bool], Input] | None = None

    def go_on(self) -> None:
        """Begin the next action. If there are no more actions, finish the run."""
        self._turn += 1
        self._playing = None
        self._action = action = self._rest.popleft() if self._rest else None
        if action is None:
            self._finished()
            return
        if _needs_answer(action):
            self._calls.pick_up_for(self._leg)
        match action:
            case Play():
                self._play(action)
            case Record():
                self._record(action)
            case Join():
                if not self._rooms.join(self._leg, action):
                    self._go_on_in(0)
            case Dial():
                self._dial(action)
            case Input():
                self._input(action)
            case Notify(payload=payload, events=webhook):
                fields = events.notify(self._leg, self._base.now, payload)
                self._base.send_event(
                    self._leg, Kind.NOTIFY, fields, webhook, self._in_this_turn(self._replied)
                )
            case Wait(seconds=seconds):
                self._go_on_in(seconds)
            case MoveAll():
                if not self._rooms.move_all(self._leg, action):
                    self._go_on_in(0)

    def callee_joined(self) -> None:
        """Stop the ringback tone, because the callee has joined. If the leg is inbound, also answer it."""
        self._cut()
        self._calls.pick_up_for(self._leg)

    def callee_left(self) -> None:
        """Go on to the next action, because the callee of the current ``connect`` did not answer or has left."""
        self._callee = None
        self._cut()
        self._go_on_in(0)

    def callee_asks(self) -> OnReply:
        """Pause the run, because the callee of the current ``connect`` did not answer or has left.

        The run waits for the reply to the event about the callee, which may contain an NCCO for this run.

        Returns:
            A function that must be called with the NCCO in the reply, or with None if the reply contains no NCCO.
        """
        self._callee = None
        self._cut()
        return self._in_this_turn(self._replied)

    def room_closed(self) -> None:
        """Move the leg to a new conversation or end the leg, because its room has been closed."""
        if self._rest and self._callee is None:
            self._rooms.leave_room(self._leg)
            self._go_on_in(0)
        else:
            self._calls.finish(self._leg)

    def replace(self, actions: Actions) -> None:
        """Stop the current action, and run *actions* instead of the rest of the NCCO.

        A call that the run has placed also ends, unless it has been answered and the first of *actions* is a
        ``transfer``.
        """
        self.abandon(keep_callee=bool(actions) and isinstance(actions[0], MoveAll))
        self._begin_anew(actions)

    def abandon(self, *, keep_callee: bool = False) -> None:
        """Stop the run, and end any call that it has placed.

        If *keep_callee* is True and the call was answered, do not end the call.
        """
        self._turn += 1
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        if self._collector is not None:
            self._collector.close()
            self._collector = None
        self._stop_listening()
        self._can_barge_in = False
        callee, self._callee = self._callee, None
        if callee is not None:
            callee.flow.dialled_by = None
            if not (keep_callee and callee.is_up):
                self._calls.finish(callee)
        if self._recording is not None:
            self._media.stop_recording(self._recording)

    def _play(self, action: Play) -> None:
        if action.barge_in and not self._can_barge_in:
            self._can_barge_in = True
            terms = next((each for each in self._rest if isinstance(each, Input)), None)
            if terms is not None and terms.is_asynchronous:
                self._listen(terms)
            elif terms is not None:
                self._collector = self._collect(terms)
        self._playing = self._media.play(self._leg, action.prompt)
        if action.prompt.seconds is not None:
            self._go_on_in(action.prompt.seconds)

    def _barged_in(self) -> None:
        """Stop the current prompt and go on to the ``input`` action, because a key press or speech was received."""
        if not isinstance(self._action, Play):
            return
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        while self._rest and isinstance(self._rest[0], Play):
            self._rest.popleft()
        self._go_on_in(0)

    def _collect(self, terms: Input) -> InputCollector:
        done = partial(self._taken, terms)
        parts = self._base, self._media
        return InputCollector(self._leg, terms, *parts, noticed=self._barged_in, done=done)

    def _input(self, terms: Input) -> None:
        was_open, self._can_barge_in = self._can_barge_in, False
        if terms.is_asynchronous:
            if not was_open:
                self._listen(terms)
            self._go_on_in(0)
            return
        self._stop_listening()
        if self._collector is None:
            self._collector = self._collect(terms)
        self._collector.begin()

    def _listen(self, terms: Input) -> None:
        """Carry out an asynchronous ``input`` action: from now on, report each key press as soon as it occurs."""
        self._stop_listening()
        listeners = self._leg.audio.key_listeners
        listener = partial(self._pressed, terms)
        self._key_listener = listener, terms
        listeners.append(listener)
        self._leg.audio.inputs.append(terms)
        self._media.asked_for_each_key(self._leg, while_=lambda: listener in listeners)

    def _stop_listening(self) -> None:
        if self._key_listener is not None:
            listener, terms = self._key_listener
            self._leg.audio.key_listeners.remove(listener)
            self._leg.audio.inputs.remove(terms)
            self._key_listener = None

    def _taken(
        self, terms: Input, dtmf: dict[str, Any], speech: dict[str, Any], audio: Recording | None
    ) -> None:
        def send_event() -> None:
            if audio is not None and audio.url is not None:
                speech["recording_url"] = audio.url
            fields = events.taken(self._leg, self._base.now, dtmf, speech, is_old=terms.is_old)
            replied = self._in_this_turn(self._replied)
            self._base.send_event(self._leg, Kind.INPUT, fields, terms.events, replied)

        self._collector = None
        if "timeout_reason" in speech:
            self._base.note(self._leg.conversation, "audio:asr:done", self._leg, asr=speech)
        if audio is None or audio.is_kept:
            send_event()
        else:
            audio.kept = self._in_this_turn(send_event)

    def _pressed(self, terms: Input, digit: str) -> bool:
        listener = self._key_listener

        def replied(actions: Actions | None) -> None:
            if actions and listener is self._key_listener and self._leg.flow.run is self:
                self.replace(actions)

        self._barged_in()
        fields = events.pressed(self._leg, self._base.now, digit, is_old=terms.is_old)
        self._base.send_event(self._leg, Kind.INPUT, fields, terms.events, replied)
        return True

    def _record(self, order: Record) -> None:
        recording = self._media.record(self._leg, order)
        if order.is_synchronous:
            self._recording = recording
            recording.kept = self._in_this_turn(self.go_on)
        else:
            self._go_on_in(0)

    def _dial(self, dial: Dial) -> None:
        self._callee = self._calls.dial(self._leg, dial, self)
        if self._callee is None:
            self._go_on_in(0)
        elif dial.ringback is not None:
            self._playing = self._media.play(self._leg, music(dial.ringback))

    def _replied(self, actions: Actions | None) -> None:
        if actions:
            self._begin_anew(actions)
        else:
            self.go_on()

    def _in_this_turn(self, do: Callable[P, None]) -> Callable[P, None]:
        """Return a function that calls *do* as long as the current action is running, and does nothing after that."""
        turn = self._turn

        def later(*args: P.args, **kwargs: P.kwargs) -> None:
            if turn == self._turn:
                do(*args, **kwargs)

        return later

    def _begin_anew(self, actions: Actions) -> None:
        """Run *actions*.

        If the leg has received more than ``MAX_FLOWS`` NCCOs while the call clock showed the same time, end the call
        instead.

        Without this limit, an endless series of NCCOs that take no time would stop the call clock forever.
        """
        self._rest = deque(actions)
        moment, count = self._leg.flow.given
        self._leg.flow.given = self._base.now, count + 1 if moment == self._base.now else 1
        if self._leg.flow.given[1] <= MAX_FLOWS:
            self.go_on()
            return
        self._base.send_error(self._leg.uuid, f"more than {MAX_FLOWS} NCCOs were given at the same moment")
        self._calls.finish(self._leg)

    def _go_on_in(self, seconds: float) -> None:
        self._timer = self._base.schedule(self._leg, seconds, self.go_on)

    def _cut(self) -> None:
        playing, self._playing = self._playing, None
        self._media.cut(playing)


def _needs_answer(action: Action) -> bool:
    """Return True if an inbound call must be answered before *action* runs."""
    if isinstance(action, Record):
        return action.is_synchronous
    return not isinstance(action, Dial | Notify | Wait)
