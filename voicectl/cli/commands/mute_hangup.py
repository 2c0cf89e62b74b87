"""``mute``, ``unmute``, ``earmuff``, ``unearmuff``, ``hangup``: act on legs that are named or selected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.arguments import Max, check_text, grouped
from voicectl.cli.context import App, current
from voicectl.cli.options.media import read_text
from voicectl.cli.output.text import remark
from voicectl.cli.selectors import Selectors, SomeLegs, choose, each_chosen, each_selected, hold_selected
from voicectl.cli.targets import LegOperation, each_leg, noted, stops_all
from voicectl.errors import ApiError, DryRun, InputError, OutcomeUnknown, VoicectlError
from voicectl.voice.call import LegAction, hyphenated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voicectl.cli.targets import Targets
    from voicectl.voice.call import Call

BAD_REQUEST = 400
NOT_FOUND = 404

_MARK = {LegAction.MUTE: "muted", LegAction.EARMUFF: "earmuffed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOptions:
    """The options of ``mute`` and ``earmuff`` other than those that choose the legs."""

    hold: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="For this long, also act on legs that join the conversation or start to match the selection.",
        ),
    ] = None
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Undo the changes that this command made from this machine."),
    ] = False
    max_: Max = 10


@grouped
def mute(
    ctx: typer.Context, legs: SomeLegs = None, *, hold_options: HoldOptions, selectors: Selectors
) -> None:
    """Keep the other parties from hearing a leg.

    Name the legs, or select them with options. Before acting on legs that are read from standard input or selected
    with options, voicectl lists them and asks for confirmation (without a terminal, add --yes). --hold DURATION also
    mutes legs that join the conversation, or start to match the selection, within that time; all of them stay muted
    afterwards. --undo unmutes legs that were muted from this machine: all live legs, or those that you name or
    select.

    Examples:
      $ voicectl mute "$LEG"
      $ voicectl mute --conversation room --except "$LEG" --hold 2s --yes
      $ voicectl mute --undo --conversation room --except "$LEG" --yes
    """
    _keep(current(ctx), legs, selectors, LegAction.MUTE, hold_options)


@grouped
def unmute(ctx: typer.Context, legs: SomeLegs = None, max_: Max = 10, *, selectors: Selectors) -> None:
    """Let the other parties hear a leg again.

    Examples:
      $ voicectl unmute "$LEG"
      $ voicectl unmute --conversation room --except "$LEG" --yes
    """
    _keep(current(ctx), legs, selectors, LegAction.UNMUTE, HoldOptions(max_=max_))


@grouped
def earmuff(
    ctx: typer.Context, legs: SomeLegs = None, *, hold_options: HoldOptions, selectors: Selectors
) -> None:
    """Keep a leg from hearing the other parties.

    Naming and selecting legs, --hold and --undo work as for 'mute'.

    Examples:
      $ voicectl earmuff "$LEG"
      $ voicectl earmuff --undo "$LEG"
    """
    _keep(current(ctx), legs, selectors, LegAction.EARMUFF, hold_options)


@grouped
def unearmuff(ctx: typer.Context, legs: SomeLegs = None, max_: Max = 10, *, selectors: Selectors) -> None:
    """Let a leg hear the other parties again.

    Example:
      $ voicectl unearmuff "$LEG"
    """
    _keep(current(ctx), legs, selectors, LegAction.UNEARMUFF, HoldOptions(max_=max_))


@grouped
def hangup(
    ctx: typer.Context,
    legs: SomeLegs = None,
    say: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Before hanging up, speak this text in full; - reads standard input."
        ),
    ] = None,
    max_: Max = 10,
    *,
    selectors: Selectors,
) -> None:
    """End legs, even while they are ringing; it is not an error if a leg has already ended.

    voicectl retries for up to 20 s if the platform refuses, as it may in the first seconds of a call. Name the legs,
    or select them with options. Before acting on legs that are read from standard input or selected with options,
    voicectl lists them and asks for confirmation (without a terminal, add --yes); legs that start to match the
    selection before the command has finished are also hung up. --older-than uses start times from the platform: a leg
    without one never matches.

    Examples:
      $ voicectl hangup "$LEG"
      $ voicectl call list --match-to '4477009*' | voicectl hangup - --yes
      $ voicectl hangup --conversation room --say 'Goodbye.' --except "$LEG" --yes
      $ voicectl hangup --status ringing --older-than 5m --yes
    """
    app = current(ctx)
    if say is not None:
        say = check_text(read_text(app.terminal, "-") if say == "-" else say)
    choose(legs, selectors)
    app.rate_limiter.hurry()
    operation = _HangUp(app, "hangup") if say is None else _HangUpAfterTalk(app, say)
    each_chosen(app, legs, selectors, operation, limit=max_)


class _HangUp(LegOperation):
    """Ends legs."""

    def run(self, uuid: str) -> bool:
        """End a leg, and return False if it had already ended."""
        from voicectl.core.calls.hangup import hang_up  # noqa: PLC0415 (completion needs no API client)

        app = self.app
        return hang_up(app.api, app.clock, uuid, app.history)


class _HangUpAfterTalk(_HangUp):
    """Speaks text on each leg, and ends the legs when the text has been spoken."""

    def __init__(self, app: App, text: str) -> None:
        super().__init__(app, "hangup", how="after speaking the text to each,")
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
            app.consent.show_request(dry)
        except OutcomeUnknown as exc:
            exc.hint = "The text was not sent again. The leg will be hung up after the time needed to say it."
            several.report(exc, f"saying the text on {uuid}")
        except VoicectlError as exc:
            if not _says_not_answered(exc):
                several.report(exc, f"saying the text on {uuid}")
            remark(f"{uuid} is not connected and cannot hear the text. It will be hung up now.")
            return False
        else:
            app.action_log.add(app.clock.time(), uuid, "talk", detail=detail)
        return True


def _keep(
    app: App, legs: Sequence[str] | None, selectors: Selectors, action: LegAction, hold_options: HoldOptions
) -> None:
    """Mute, unmute, earmuff or unearmuff legs, or undo an earlier action."""
    limit, duration = hold_options.max_, hold_options.hold
    if duration is not None and hold_options.undo:
        raise InputError(
            "--hold cannot be used with --undo.",
            hint="Leave out --hold: --undo acts once, on legs changed earlier.",
        )
    if duration is not None and legs:
        raise InputError(
            "--hold cannot be used with LEG.",
            hint="--hold also acts on legs that join later, so select legs instead of naming them:"
            " --conversation ROOM --hold 10m",
        )
    if hold_options.undo:
        undoing = _Undoing(app, action, is_selected=not legs)
        if legs:
            choose(legs, selectors)
            each_leg(app, legs, undoing, limit=limit)
        else:
            each_selected(app, selectors, undoing, limit=limit, is_meant=undoing.is_meant, may_be_all=True)
        return
    operation = _Modifying(app, action, is_selected=choose(legs, selectors))
    if duration is not None:
        hold_selected(app, selectors, operation, limit=limit, duration=duration)
    else:
        each_chosen(app, legs, selectors, operation, limit=limit)


class _Modifying(LegOperation):
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
            if not self._is_selected or not _says_not_answered(exc):
                raise
            status = api.get_call(uuid)
            if not status.is_final:
                exc.hint = f"The leg is {status.status}; it must be answered first."
                raise
            remark(f"{uuid} has ended; there was nothing to {self._action}.")
            return None
        return True


class _Undoing(_Modifying):
    """Reverses an action on the legs for which the action log contains the action but no later reversal."""

    def __init__(self, app: App, action: LegAction, *, is_selected: bool) -> None:
        reverse = LegAction(f"un{action}")
        super().__init__(app, reverse, is_selected=is_selected)
        self._past = _MARK[action]
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


def _says_not_answered(exc: VoicectlError) -> bool:
    """Return True if *exc* may mean that a leg cannot be changed because it is still ringing or has ended."""
    return isinstance(exc, ApiError) and exc.status in (BAD_REQUEST, NOT_FOUND)
