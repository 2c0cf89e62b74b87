"""Mute, unmute, earmuff and unearmuff legs, and undo it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.cli.output.text import remark
from voicectl.cli.targets import LegOperation
from voicectl.errors import ApiError, VoicectlError
from voicectl.voice.call import LegAction, hyphenated

if TYPE_CHECKING:
    from voicectl.cli.context import App
    from voicectl.voice.call import Call

BAD_REQUEST = 400
NOT_FOUND = 404

_PAST = {LegAction.MUTE: "muted", LegAction.EARMUFF: "earmuffed"}


class Modify(LegOperation):
    """Mutes, unmutes, earmuffs or unearmuffs legs.

    Args:
        is_selected: True if the legs were selected by options. In this case, it is not a failure if a leg has
            ended since the selection.
    """

    def __init__(self, app: App, action: LegAction, *, is_selected: bool) -> None:
        super().__init__(app, action)
        self._action = action
        self._is_selected = is_selected

    def run(self, uuid: str) -> bool | None:
        """Send the request that mutes, unmutes, earmuffs or unearmuffs a leg."""
        api = self.app.api
        try:
            api.modify(uuid, self._action)
        except ApiError as exc:
            if not self._is_selected or not says_not_answered(exc):
                raise
            status = api.get_call(uuid)
            if not status.is_final:
                exc.hint = f"The leg is {status.status}; it must be answered first."
                raise
            remark(f"{uuid} has ended; there was nothing to {self._action}.")
            return None
        return True


class UndoModify(Modify):
    """Reverses an action on the legs for which the action log contains the action but no later reversal."""

    def __init__(self, app: App, action: LegAction, *, is_selected: bool) -> None:
        reverse = LegAction(f"un{action}")
        super().__init__(app, reverse, is_selected=is_selected)
        self._past = _PAST[action]
        notes = [note for note in app.action_log.since(0) if note.what in (action, reverse)]
        marks = app.action_log.marks(notes)
        self._marks: dict[str, bool | None] = {
            uuid: getattr(each, self._past) for uuid, each in marks.items()
        }

    def is_meant(self, call: Call) -> bool:
        """Return True if the action should be reversed on *call*. If this is unknown, report the leg once."""
        name = hyphenated(call.uuid)
        if self._marks.get(name, False) is None:
            self._leave(call.uuid)
            self._marks[name] = False
        return self._marks.get(name) is True

    def run(self, uuid: str) -> bool | None:
        """Reverse the action on a leg if the action log says that the action is in effect."""
        if self._marks.get(hyphenated(uuid)):
            return super().run(uuid)
        self._leave(uuid)
        return None

    def _leave(self, uuid: str) -> None:
        is_unknown = self._marks.get(hyphenated(uuid), False) is None
        why = "may or may not have been {} (the response was lost)" if is_unknown else "was not {}"
        remark(f"{uuid} {why.format(self._past + ' by voicectl on this machine')}, so it was left unchanged.")


def says_not_answered(exc: VoicectlError) -> bool:
    """Return True if *exc* may mean that a leg cannot be changed because it is still ringing or has ended."""
    return isinstance(exc, ApiError) and exc.status in (BAD_REQUEST, NOT_FOUND)
