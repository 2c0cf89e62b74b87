"""One leg's run of an NCCO, action by action."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from voicectl.sandbox.telephony.flow import Actions, Dial, Join, Play
from voicectl.sandbox.telephony.hearing import music

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.hearing import Heard
    from voicectl.sandbox.telephony.leg import Leg
    from voicectl.sandbox.telephony.switchboard import Switchboard


class Script:
    """Runs *actions* on *leg*, one after the other; when the last is done, the call ends.

    The leg leaves it by ending or by being transferred: :meth:`abandon`.
    """

    def __init__(self, board: Switchboard, leg: Leg, actions: Actions) -> None:
        self._board = board
        self._leg = leg
        self._rest = deque(actions)
        self._timer: Timer | None = None
        self._playing: Heard | None = None
        self._callee: Leg | None = None

    def run(self) -> None:
        """Begin the next action, or end the call if there is none."""
        match self._rest.popleft() if self._rest else None:
            case Play(prompt=prompt):
                self._playing = self._board.play(self._leg, prompt)
                if prompt.seconds is not None:
                    self._run_in(prompt.seconds)
            case Join() as room:
                self._board.join(self._leg, room)
            case Dial() as dial:
                self._dial(dial)
            case None:
                self._board.finish(self._leg)

    def callee_joined(self) -> None:
        """The callee of the present ``connect`` is there: no more ringing in the caller's ear."""
        self._cut()

    def callee_left(self) -> None:
        """The callee of the present ``connect`` did not come, or has gone: go on."""
        self._callee = None
        self._cut()
        self._run_in(0)

    def room_closed(self) -> None:
        """The room of the present ``conversation`` ended with this leg in it: go on, or end with the room."""
        if self._rest:
            self._board.leave_room(self._leg)
            self._run_in(0)
        else:
            self._board.finish(self._leg)

    def abandon(self) -> None:
        """Stop where it is; a callee that it dialled loses its caller, and so its call."""
        self._cut()
        if self._timer is not None:
            self._timer.cancel()
        if self._callee is not None:
            callee, self._callee = self._callee, None
            callee.dialled_by = None
            self._board.finish(callee)

    def _dial(self, dial: Dial) -> None:
        self._callee = self._board.dial(self._leg, dial, self)
        if self._callee is None:
            self._run_in(0)
        elif dial.ringback is not None:
            self._playing = self._board.play(self._leg, music(dial.ringback))

    def _run_in(self, seconds: float) -> None:
        self._timer = self._board.schedule(self._leg, seconds, self.run)

    def _cut(self) -> None:
        if self._playing is not None:
            self._board.cut(self._playing)
