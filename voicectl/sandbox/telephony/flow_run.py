"""One leg's run of an NCCO, action by action."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import (
    Action,
    Actions,
    Dial,
    Input,
    Join,
    MoveAll,
    Notify,
    Play,
    Record,
    Wait,
)
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.input import InputCollector
from voicectl.sandbox.telephony.sounds import music

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.actions import Webhook
    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.call_control import Switchboard
    from voicectl.sandbox.telephony.recording import Recording
    from voicectl.sandbox.telephony.sounds import Heard
    from voicectl.sandbox.telephony.state import Leg


class FlowRun:
    """Runs *actions* on *leg*, one after the other.

    The leg leaves it by ending or by being transferred: :meth:`abandon`.

    Args:
        board: Where the leg is.
        leg: Whose run it is.
        actions: What to do; more may come by the reply to an event.
        finished: Called when the last is done; the call ends if nothing is given.
    """

    def __init__(
        self, board: Switchboard, leg: Leg, actions: Actions, finished: Callable[[], None] | None = None
    ) -> None:
        self._board = board
        self._leg = leg
        self._rest = deque(actions)
        self._finished = finished or (lambda: board.finish(leg))
        self._turn = 0  # what was asked for in an earlier one is answered too late
        self._action: Action | None = None
        self._timer: Timer | None = None
        self._playing: Heard | None = None
        self._callee: Leg | None = None
        self._recording: Recording | None = None
        self._can_barge_in = False
        self._collector: InputCollector | None = None
        self._key_listener: Callable[[str], None] | None = None

    def run(self) -> None:
        """Begin the next action, or end the call if there is none."""
        self._turn += 1
        self._playing = None
        self._action = action = self._rest.popleft() if self._rest else None
        if action is None:
            self._finished()
            return
        if _needs_answer(action):
            self._board.pick_up_for(self._leg)
        match action:
            case Play():
                self._play(action)
            case Record():
                self._record(action)
            case Join():
                self._join(action)
            case Dial():
                self._dial(action)
            case Input():
                self._input(action)
            case Notify(payload=payload, events=webhook):
                fields = events.notify(self._leg, self._board.now, payload)
                self._ask(Kind.NOTIFY, fields, webhook)
            case Wait(seconds=seconds):
                self._run_in(seconds)
            case MoveAll():
                self._move_all(action)

    def callee_joined(self) -> None:
        """The callee of the present ``connect`` is there: no more ringing in the caller's ear."""
        self._cut()
        self._board.pick_up_for(self._leg)

    def callee_left(self) -> None:
        """The callee of the present ``connect`` did not come, or has gone: go on."""
        self._callee = None
        self._cut()
        self._run_in(0)

    def callee_asks(self) -> Callable[[Actions | None], None]:
        """The callee did not come, or has gone, and the reply to the event may bring another NCCO: wait for it."""
        self._callee = None
        self._cut()
        return self._reply()

    def room_closed(self) -> None:
        """The conversation ended with this leg in it: go on alone, or end with it."""
        if self._rest and self._callee is None:
            self._board.leave_room(self._leg)
            self._run_in(0)
        else:
            self._board.finish(self._leg)

    def replace(self, actions: Actions) -> None:
        """Leave what is under way, and run *actions* in its place.

        A callee that it dialled loses its caller, and so its call, unless all are to be moved together.
        """
        if actions and isinstance(actions[0], MoveAll):
            self.release()
        else:
            self.abandon()
        self._begin_anew(actions)

    def abandon(self) -> None:
        """Stop where it is; a callee that it dialled loses its caller, and so its call."""
        self._turn += 1
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        if self._collector is not None:
            self._collector.close()
            self._collector = None
        self._stop_listening()
        self._can_barge_in = False
        if self._callee is not None:
            callee, self._callee = self._callee, None
            callee.dialled_by = None
            self._board.finish(callee)
        if self._recording is not None:
            self._board.stop_recording(self._recording)
            self._recording = None

    def release(self) -> None:
        """Stop where it is, and let a callee that is there go on."""
        if self._callee is not None and self._callee.is_up:
            self._callee.dialled_by = None
            self._callee = None
        self.abandon()

    def _play(self, action: Play) -> None:
        if action.barge_in and not self._can_barge_in:
            self._can_barge_in = True
            terms = next((each for each in self._rest if isinstance(each, Input)), None)
            if terms is not None and terms.is_asynchronous:
                self._listen(terms)
            elif terms is not None:
                self._collector = self._collect(terms)
        self._playing = self._board.play(self._leg, action.prompt)
        if action.prompt.seconds is not None:
            self._run_in(action.prompt.seconds)

    def _barged_in(self) -> None:
        """A key or a word came while a prompt plays: on to the ``input``."""
        if not isinstance(self._action, Play):
            return
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        while self._rest and isinstance(self._rest[0], Play):
            self._rest.popleft()
        self._run_in(0)

    def _collect(self, terms: Input) -> InputCollector:
        def done(dtmf: dict[str, Any], speech: dict[str, Any], audio: Recording | None) -> None:
            self._collector = None
            self._taken(terms.events, dtmf, speech, audio)

        return InputCollector(self._board, self._leg, terms, noticed=self._barged_in, done=done)

    def _input(self, terms: Input) -> None:
        was_open, self._can_barge_in = self._can_barge_in, False
        if terms.is_asynchronous:
            if not was_open:
                self._listen(terms)
            self._run_in(0)
            return
        self._stop_listening()
        if self._collector is None:
            self._collector = self._collect(terms)
        self._collector.begin()

    def _listen(self, terms: Input) -> None:
        """Tell each key at once, for an asynchronous ``input``."""
        self._stop_listening()
        listeners = self._leg.key_listeners
        self._key_listener = listener = partial(self._pressed, terms.events)
        listeners.append(listener)
        self._board.asked_for_each_key(self._leg, while_=lambda: listener in listeners)

    def _stop_listening(self) -> None:
        if self._key_listener is not None:
            self._leg.key_listeners.remove(self._key_listener)
            self._key_listener = None

    def _taken(
        self, webhook: Webhook | None, dtmf: dict[str, Any], speech: dict[str, Any], audio: Recording | None
    ) -> None:
        turn = self._turn

        def tell() -> None:
            if turn != self._turn:
                return
            if audio is not None and audio.url is not None:
                speech["recording_url"] = audio.url
            self._ask(Kind.INPUT, events.taken(self._leg, self._board.now, dtmf, speech), webhook)

        if "timeout_reason" in speech:
            self._board.understood(self._leg, speech)
        if audio is None or audio.is_kept:
            tell()
        else:
            audio.kept = tell

    def _pressed(self, webhook: Webhook | None, digit: str) -> None:
        listener = self._key_listener

        def answered(actions: Actions | None) -> None:
            if actions and listener is self._key_listener and self._leg.script is self:
                self.replace(actions)

        self._barged_in()
        dtmf = {"digits": digit, "timed_out": False}
        fields = events.taken(self._leg, self._board.now, dtmf, {"results": []})
        self._board.tell(self._leg, Kind.INPUT, fields, webhook, answered)

    def _record(self, order: Record) -> None:
        if not order.is_synchronous:
            self._board.record(self._leg, order)
            self._run_in(0)
            return

        turn = self._turn

        def kept() -> None:
            if turn == self._turn:
                self._recording = None
                self.run()

        self._recording = self._board.record(self._leg, order)
        self._recording.kept = kept

    def _join(self, room: Join) -> None:
        if not self._board.join(self._leg, room):
            self._run_in(0)

    def _dial(self, dial: Dial) -> None:
        self._callee = self._board.dial(self._leg, dial, self)
        if self._callee is None:
            self._run_in(0)
        elif dial.ringback is not None:
            self._playing = self._board.play(self._leg, music(dial.ringback))

    def _move_all(self, move: MoveAll) -> None:
        if not self._board.move_all(self._leg, move):
            self._run_in(0)

    def _ask(self, kind: Kind, fields: dict[str, Any], webhook: Webhook | None) -> None:
        self._board.tell(self._leg, kind, fields, webhook, self._reply())

    def _reply(self) -> Callable[[Actions | None], None]:
        """What goes on with the reply to what is asked now, unless something else has been begun by then."""
        turn = self._turn

        def go_on(actions: Actions | None) -> None:
            if turn != self._turn:
                return
            if actions:
                self._begin_anew(actions)
            else:
                self.run()

        return go_on

    def _begin_anew(self, actions: Actions) -> None:
        self._rest = deque(actions)
        if self._board.may_run_another(self._leg):
            self.run()

    def _run_in(self, seconds: float) -> None:
        self._timer = self._board.schedule(self._leg, seconds, self.run)

    def _cut(self) -> None:
        playing, self._playing = self._playing, None
        self._board.cut(playing)


def _needs_answer(action: Action) -> bool:
    """Whether an inbound call is answered for *action*: the others leave it ringing."""
    match action:
        case Dial() | Notify() | Wait():
            return False
        case Record():
            return action.is_synchronous
    return True
