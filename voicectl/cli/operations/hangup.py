"""End legs, at once or after text has been spoken on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.cli.operations.modify import says_not_answered
from voicectl.cli.output.text import remark
from voicectl.cli.targets import LegOperation, noted, stops_all
from voicectl.errors import DryRun, OutcomeUnknown, VoicectlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.cli.context import App
    from voicectl.cli.targets import Targets


class HangUp(LegOperation):
    """Ends legs."""

    def __init__(self, app: App, *, how: str = "") -> None:
        super().__init__(app, "hangup", how=how)

    def run(self, uuid: str) -> bool:
        """End a leg, and return False if it had already ended."""
        from voicectl.core.calls.hangup import hang_up  # noqa: PLC0415 (completion needs no API client)

        app = self.app
        return hang_up(app.api, app.clock, uuid, app.history)


class HangUpAfterTalk(HangUp):
    """Speaks text on each leg, and ends the legs when the text has been spoken."""

    def __init__(self, app: App, text: str) -> None:
        super().__init__(app, how="after speaking the text to each,")
        self._text = text

    def run_each(self, several: Targets, uuids: Iterable[str]) -> None:
        """Speak the text on all legs, and then end them. Legs that cannot hear the text are ended immediately."""
        from voicectl.core.calls.hangup import let_finish, speech_seconds  # noqa: PLC0415 (as above)

        app, all_ = self.app, list(uuids)
        talking = [uuid for uuid in all_ if self._starts_to_talk(several, uuid)]
        until = app.clock.monotonic() + speech_seconds(self._text)
        super().run_each(several, (uuid for uuid in all_ if uuid not in talking))
        if talking and not app.options.dry_run:
            try:
                app.interrupts.check()
                let_finish(app.api, app.clock, talking, until=until)
            except VoicectlError as exc:
                if stops_all(exc):
                    remark(f"Not hung up: {' '.join(talking)}")
                raise
        super().run_each(several, talking)

    def _starts_to_talk(self, several: Targets, uuid: str) -> bool:
        """Start speaking the text on a leg, and return False if the leg cannot hear the text.

        If the request fails, or if its outcome is unknown, report the reason.
        """
        app, detail = self.app, {"characters": len(self._text)}
        try:
            app.interrupts.check()
            with noted(app, uuid, "talk", detail):
                app.api.start_talk(uuid, {"text": self._text})
        except DryRun as dry:
            several.not_sent(dry)
        except OutcomeUnknown as exc:
            exc.hint = "The text was not sent again. The leg will be hung up after the time needed to say it."
            several.report(exc, f"saying the text on {uuid}")
        except VoicectlError as exc:
            if not says_not_answered(exc):
                several.report(exc, f"saying the text on {uuid}")
            remark(f"{uuid} is not connected and cannot hear the text. It will be hung up now.")
            return False
        else:
            app.action_log.add(app.clock.time(), uuid, "talk", detail=detail)
        return True
