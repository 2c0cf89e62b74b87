"""One leg's run of an NCCO, action by action."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.ear import Ear, OpenEar
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.flow import Actions, Dial, Input, Join, MoveAll, Notify, Play, Record, Wait
from voicectl.sandbox.telephony.hearing import music

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.flow import Webhook
    from voicectl.sandbox.telephony.hearing import Heard
    from voicectl.sandbox.telephony.leg import Leg
    from voicectl.sandbox.telephony.recording import Recording
    from voicectl.sandbox.telephony.switchboard import Switchboard


class Script:
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
        self._is_over = False
        self._timer: Timer | None = None
        self._playing: Heard | None = None
        self._callee: Leg | None = None
        self._recording: Recording | None = None
        self._can_barge_in = False
        self._ear: Ear | None = None
        self._open_ear: OpenEar | None = None

    def run(self) -> None:
        """Begin the next action, or end the call if there is none."""
        self._playing = None
        if not self._rest:
            self._is_over = True
            self._finished()
            return
        action = self._rest.popleft()
        if not isinstance(action, Dial | Notify | Wait) and not (
            isinstance(action, Record) and not action.is_synchronous
        ):
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
        return self._go_on

    def room_closed(self) -> None:
        """The conversation ended with this leg in it: go on alone, or end with it."""
        if self._rest and self._callee is None:
            self._board.leave_room(self._leg)
            self._run_in(0)
        else:
            self._board.finish(self._leg)

    def replace(self, actions: Actions) -> None:
        """Leave what is under way, and run *actions* in its place."""
        self._stop()
        self._is_over = False
        self._rest = deque(actions)
        self.run()

    def abandon(self) -> None:
        """Stop where it is; a callee that it dialled loses its caller, and so its call."""
        self._stop()
        self._is_over = True

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
            if terms is not None and not terms.is_asynchronous:
                self._ear = self._listen(terms)
        self._playing = self._board.play(self._leg, action.prompt)
        if action.prompt.seconds is not None:
            self._run_in(action.prompt.seconds)

    def _barged_in(self) -> None:
        """A key or a word came while a prompt plays: on to the ``input``."""
        if self._playing is None or self._leg.script is not self:
            return
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        while self._rest and isinstance(self._rest[0], Play):
            self._rest.popleft()
        self._run_in(0)

    def _listen(self, terms: Input) -> Ear:
        def done(dtmf: dict[str, Any], speech: dict[str, Any], audio: Recording | None) -> None:
            self._ear = None
            self._taken(terms.events, dtmf, speech, audio)

        return Ear(self._board, self._leg, terms, noticed=self._barged_in, done=done)

    def _input(self, terms: Input) -> None:
        self._can_barge_in = False
        if terms.is_asynchronous:
            if self._open_ear is not None:
                self._open_ear.close()
            self._open_ear = OpenEar(self._board, self._leg, lambda digit: self._pressed(terms.events, digit))
            self._run_in(0)
            return
        if self._ear is None:
            self._ear = self._listen(terms)
        self._ear.begin()

    def _taken(
        self, webhook: Webhook | None, dtmf: dict[str, Any], speech: dict[str, Any], audio: Recording | None
    ) -> None:
        def tell() -> None:
            if audio is not None:
                speech["recording_url"] = self._board.url_of(audio)
            self._ask(Kind.INPUT, events.taken(self._leg, self._board.now, dtmf, speech), webhook)

        if audio is None:
            tell()
        else:
            audio.kept = tell

    def _pressed(self, webhook: Webhook | None, digit: str) -> None:
        def answered(actions: Actions | None) -> None:
            if actions and self._leg.script is self:
                self.replace(actions)

        dtmf = {"digits": digit, "timed_out": False}
        fields = events.taken(self._leg, self._board.now, dtmf, {"results": []})
        self._board.ask(self._leg, Kind.INPUT, fields, webhook, answered)

    def _record(self, order: Record) -> None:
        if not order.is_synchronous:
            self._board.record(self._leg, order)
            self._run_in(0)
            return

        def stopped() -> None:
            self._recording = None
            if self._leg.script is self and not self._is_over:
                self._run_in(0)

        self._recording = self._board.record(self._leg, order, stopped=stopped)

    def _join(self, room: Join) -> None:
        if not self._board.join(self._leg, room):
            self._run_in(0)

    def _dial(self, dial: Dial) -> None:
        self._callee = self._board.dial(self._leg, dial, self)
        if self._callee is None:
            self._run_in(0)
        elif dial.ringback is not None and self._leg.is_up:
            self._playing = self._board.play(self._leg, music(dial.ringback))

    def _move_all(self, move: MoveAll) -> None:
        if not self._board.move_all(self._leg, move):
            self._run_in(0)

    def _ask(self, kind: Kind, fields: dict[str, Any], webhook: Webhook | None) -> None:
        self._board.ask(self._leg, kind, fields, webhook, self._go_on)

    def _go_on(self, actions: Actions | None) -> None:
        if self._is_over or self._leg.script is not self:
            return
        if actions:
            self._rest = deque(actions)
        self.run()

    def _run_in(self, seconds: float) -> None:
        self._timer = self._board.schedule(self._leg, seconds, self.run)

    def _stop(self) -> None:
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        for ear in (self._ear, self._open_ear):
            if ear is not None:
                ear.close()
        self._ear = self._open_ear = None
        self._can_barge_in = False
        if self._callee is not None:
            callee, self._callee = self._callee, None
            callee.dialled_by = None
            self._board.finish(callee)
        if self._recording is not None:
            self._is_over = True
            self._board.stop_recording(self._recording)

    def _cut(self) -> None:
        playing, self._playing = self._playing, None
        self._board.cut(playing)
