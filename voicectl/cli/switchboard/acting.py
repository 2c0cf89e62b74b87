"""The keys that act on legs, and the dialogs between a key and its action."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from voicectl.cli.switchboard.actions import Verb, counted, name_of
from voicectl.cli.switchboard.dialogs import LineDialog, Question, Reading
from voicectl.cli.switchboard.keys import Key
from voicectl.errors import GuardError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from voicectl.cli.switchboard.actions import Action, Desk
    from voicectl.cli.switchboard.app import Switchboard
    from voicectl.core.watch.sight import Sight
    from voicectl.voice.call import Call

KEYS = (
    Key("m", Verb.MUTE, "Mute: the others do not hear the leg"),
    Key("u", Verb.UNMUTE, "Unmute"),
    Key("e", Verb.EARMUFF, "Earmuff: the leg does not hear the others"),
    Key("r", Verb.UNEARMUFF, "Unearmuff"),
    Key("t", Verb.TALK, "Speak text"),
    Key("d", Verb.DTMF, "Press keys (DTMF)"),
    Key("v", Verb.MOVE, "Move to a room"),
    Key("x", Verb.TRANSFER, "Transfer to a number or another endpoint, or to an NCCO"),
    Key("h", Verb.HANGUP, "Hang up"),
    Key("w", Verb.SAY_AND_HANG_UP, "Speak text, then hang up"),
    Key("z", Verb.UNDO, "Undo the last mute or earmuff from this screen"),
)
"""The keys that act on the marked legs or, if none is marked, on the leg under the cursor."""


class _Input(NamedTuple):
    """The dialog for the text that an action needs. In the title, ``{}`` stands for the legs."""

    title: str
    hint: str


_INPUTS = {
    Verb.TALK: _Input("Say to {}:", "Text, or SSML in one <speak> element"),
    Verb.DTMF: _Input("Press keys on {}:", "0-9, *, # and p (a half-second pause)"),
    Verb.MOVE: _Input("Move {} to room:", "The name of a room; Tab completes it"),
    Verb.TRANSFER: _Input("Transfer {} to:", "A number, sip:, wss:, app: or vbc:, or the file of an NCCO"),
    Verb.SAY_AND_HANG_UP: _Input("Say to {}, then hang up:", "Text, or SSML in one <speak> element"),
}


class LegActions:
    """The actions on legs that the screen offers.

    Args:
        rooms: A function that returns the names of rooms, which are offered as completions.
    """

    def __init__(self, board: Switchboard, desk: Desk, rooms: Callable[[], Iterable[str]]) -> None:
        self.keys: Sequence[Key] = () if desk.is_read_only else KEYS
        self._board = board
        self._desk = desk
        self._rooms = rooms

    def needs_legs(self, action: str) -> bool:
        """Return True if the user must choose the legs for an action."""
        return action != Verb.UNDO

    def act(self, action: str, legs: Sequence[Sight]) -> None:
        """Begin an action on *legs*.

        If it needs a dialog, this dialog is open when the method returns, so that the next key goes there.
        """
        verb, calls = Verb(action), [sight.call for sight in legs]
        try:
            if verb in _INPUTS:
                self._desk.check(verb, len(calls))
                self._board.push_screen(self._dialog(verb, calls), self._confirm)
            else:
                self._confirm(self._desk.prepare(verb, calls))
        except (InputError, GuardError) as exc:
            self._board.say(" ".join(filter(None, (exc.message, exc.hint))), is_bad=True)

    def _dialog(self, verb: Verb, calls: Sequence[Call]) -> LineDialog[Action]:
        title, hint = _INPUTS[verb]
        names = name_of(calls[0]) if len(calls) == 1 else counted(len(calls))
        return LineDialog(
            title.format(names),
            hint=hint,
            take=lambda text: self._desk.prepare(verb, calls, text),
            suggestions=sorted(self._rooms()) if verb is Verb.MOVE else (),
            is_production=self._desk.is_production,
        )

    def _confirm(self, action: Action | None) -> None:
        """Run an action, after asking if necessary. None means that the user has given up."""
        if action is None:
            return
        question = self._desk.question(action)
        if question is None:
            self._start(action)
            return
        lines = [f"{name_of(call)}  {call.status}  {call.uuid}" for call in action.legs.values()]
        asked = Question(question, lines, is_production=self._desk.is_production)
        self._board.push_screen(asked, partial(self._answered, action))

    def _answered(self, action: Action, is_yes: bool | None) -> None:
        if is_yes:
            self._start(action)
        else:
            self._board.say("Nothing was done.")

    def _start(self, action: Action) -> None:
        self._board.say(f"{action.title}: in progress")
        self._board.run_worker(self._follow(action, self._desk.start(action)))

    async def _follow(self, action: Action, ended: Future[None]) -> None:
        """Show the outcome when the action has ended. The legs for which it is done are no longer marked."""
        await asyncio.wrap_future(ended)
        self._board.unmark(key for key, outcome in action.outcomes.items() if not outcome.kind.is_bad)
        self._board.say(action.summary(), is_bad=action.is_bad)
        if action.requests:
            title = "Not sent, because of --dry-run:"
            self._board.push_screen(Reading(title, "\n".join(action.requests)))

    def deeds(self, uuid: str) -> Sequence[str]:
        """Return what was done to a leg from this screen, oldest first, as lines of text."""
        return self._desk.deeds(uuid)
