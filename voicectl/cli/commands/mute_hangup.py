"""``mute``, ``unmute``, ``earmuff``, ``unearmuff``, ``hangup``: several legs each, named or selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.arguments import Max, check_text
from voicectl.cli.context import App, current
from voicectl.cli.output.text import remark
from voicectl.cli.selectors import Selectors, SomeLegs, choose, each_selected, hold_selected, selectable
from voicectl.cli.targets import DONE, each_leg, noted, stops_all
from voicectl.errors import (
    ApiError,
    DryRun,
    InputError,
    OutcomeUnknown,
    VoicectlError,
)
from voicectl.voice.call import LegAction, hyphenated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.cli.targets import Act, Before, Targets
    from voicectl.voice.call import Call

BAD_REQUEST = 400
NOT_FOUND = 404

_REVERSE = {LegAction.MUTE: LegAction.UNMUTE, LegAction.EARMUFF: LegAction.UNEARMUFF}
_MARK = {LegAction.MUTE: "muted", LegAction.EARMUFF: "earmuffed"}

Hold = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="For so long do it to each leg that comes, too."),
]
Undo = Annotated[bool, typer.Option("--undo", help="Reverse it, where it was done from this machine.")]


@selectable
def mute(
    ctx: typer.Context,
    legs: SomeLegs = None,
    *,
    selectors: Selectors,
    hold: Hold = None,
    undo: Undo = False,
    max_: Max = 10,
) -> None:
    """Keep the others from hearing a leg.

    Legs are named, or selected: then they are listed, and --yes is needed where nobody is asked. --hold goes on for
    that long and mutes who joins meanwhile; they all stay muted. --undo unmutes those that were muted from this
    machine, of all live legs unless some are named or selected.

    Examples:
      $ voicectl mute "$LEG"
      $ voicectl mute --conversation room --except "$LEG" --hold 2s --yes
      $ voicectl mute --undo --conversation room --except "$LEG" --yes
    """
    _keep(current(ctx), legs, selectors, LegAction.MUTE, limit=max_, duration=hold, is_undone=undo)


@selectable
def unmute(ctx: typer.Context, legs: SomeLegs = None, *, selectors: Selectors, max_: Max = 10) -> None:
    """Let the others hear a leg again.

    Examples:
      $ voicectl unmute "$LEG"
      $ voicectl unmute --conversation room --except "$LEG" --yes
    """
    _modify(current(ctx), legs, selectors, LegAction.UNMUTE, limit=max_)


@selectable
def earmuff(
    ctx: typer.Context,
    legs: SomeLegs = None,
    *,
    selectors: Selectors,
    hold: Hold = None,
    undo: Undo = False,
    max_: Max = 10,
) -> None:
    """Keep a leg from hearing the others.

    Legs are named, or selected, held and undone as with mute.

    Examples:
      $ voicectl earmuff "$LEG"
      $ voicectl earmuff --undo "$LEG"
    """
    _keep(current(ctx), legs, selectors, LegAction.EARMUFF, limit=max_, duration=hold, is_undone=undo)


@selectable
def unearmuff(ctx: typer.Context, legs: SomeLegs = None, *, selectors: Selectors, max_: Max = 10) -> None:
    """Let a leg hear the others again.

    Example:
      $ voicectl unearmuff "$LEG"
    """
    _modify(current(ctx), legs, selectors, LegAction.UNEARMUFF, limit=max_)


@selectable
def hangup(
    ctx: typer.Context,
    legs: SomeLegs = None,
    *,
    selectors: Selectors,
    say: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Say this first, and let it finish; - reads it.")
    ] = None,
    max_: Max = 10,
) -> None:
    """End legs, also while they ring; a leg that is over already counts as done.

    It is repeated for up to 20 s where the platform refuses it, as it does in the first seconds of a call. Legs are
    named, or selected: then they are listed, --yes is needed where nobody is asked, and whoever matches by then is
    hung up as well. --older-than asks the platform: a leg whose age it does not tell never matches.

    Examples:
      $ voicectl hangup "$LEG"
      $ voicectl call list --match-to '4477009*' | voicectl hangup - --yes
      $ voicectl hangup --conversation room --say 'This call ends now.' --except "$LEG" --yes
      $ voicectl hangup --status ringing --older-than 5m --yes
    """
    from voicectl.core.calls.hangup import hang_up  # noqa: PLC0415 (loads the API's client, not for completion)

    app = current(ctx)
    text = None if say is None else _message(app, say)
    is_selected = choose(legs, selectors)
    app.pace.hurry()

    def act(uuid: str) -> bool:
        return hang_up(app.api, app.clock, uuid, app.history)

    before = None if text is None else _farewell(app, text)
    if is_selected:
        each_selected(app, selectors, "hangup", act, limit=max_, before=before)
    else:
        each_leg(app, legs or [], "hangup", act, limit=max_, before=before)


def _message(app: App, text: str) -> str:
    """What is said before the hang-up; ``-`` reads it."""
    if text == "-":
        try:
            text = app.terminal.read_stdin("the text to say").decode("utf-8-sig").strip()
        except UnicodeDecodeError as exc:
            raise InputError("The text is not valid UTF-8.", hint="Save it as UTF-8.") from exc
    return check_text(text)


def _farewell(app: App, text: str) -> Before:
    """Has all legs hear *text* to its end; those that cannot hear it are hung up meanwhile."""
    from voicectl.core.calls.hangup import let_finish, speech_seconds  # noqa: PLC0415 (as above)

    def before(several: Targets, uuids: Sequence[str]) -> list[str]:
        talking = [uuid for uuid in uuids if _starts_to_talk(app, several, uuid, text)]
        until = app.clock.monotonic() + speech_seconds(text)
        for uuid in uuids:
            if uuid not in talking:
                several.do(uuid)
        if talking and not app.options.dry_run:
            try:
                app.interrupts.check()
                let_finish(app.api, app.clock, talking, until=until)
            except VoicectlError as exc:
                if stops_all(exc):
                    remark(f"not hung up: {' '.join(talking)}")
                raise
        return talking

    return before


def _starts_to_talk(app: App, several: Targets, uuid: str, text: str) -> bool:
    """Whether a leg may be hearing *text* now; why it is not, or is not known to be, is told."""
    detail = {"characters": len(text)}
    try:
        app.interrupts.check()
        with noted(app, uuid, "talk", detail):
            app.api.start_talk(uuid, {"text": text})
    except DryRun as dry:
        app.consent.show_request(dry)
    except OutcomeUnknown as exc:
        exc.hint = "It was not said again. The leg is hung up when it would have been said."
        several.tell(exc, f"{uuid}: saying it")
    except VoicectlError as exc:
        if not _says_not_answered(exc):
            several.tell(exc, f"{uuid}: saying it")
        remark(f"{uuid} cannot be talked to: it is not up. It is hung up at once.")
        return False
    else:
        app.notes.add(app.clock.time(), uuid, "talk", DONE, detail)
    return True


def _keep(
    app: App,
    legs: Sequence[str] | None,
    selectors: Selectors,
    action: LegAction,
    *,
    limit: int,
    duration: str | None,
    is_undone: bool,
) -> None:
    """Mute or earmuff, for a while or until it is undone."""
    if duration is not None and (is_undone or legs):
        other = "--undo" if is_undone else "LEG"
        raise InputError(
            f"--hold does not go with {other}.",
            hint="It is for legs that come: --conversation ROOM --hold 10m",
        )
    if is_undone:
        _undo(app, legs, selectors, action, limit=limit)
    elif duration is not None:
        choose(legs, selectors)
        hold_selected(app, selectors, action, _act(app, action), limit=limit, duration=duration)
    else:
        _modify(app, legs, selectors, action, limit=limit)


def _modify(
    app: App, legs: Sequence[str] | None, selectors: Selectors, action: LegAction, *, limit: int
) -> None:
    if choose(legs, selectors):
        each_selected(app, selectors, action, _act(app, action), limit=limit)
    else:

        def act(uuid: str) -> bool:
            app.api.modify(uuid, action)
            return True

        each_leg(app, legs or [], action, act, limit=limit)


def _undo(
    app: App, legs: Sequence[str] | None, selectors: Selectors, action: LegAction, *, limit: int
) -> None:
    """Reverse *action* where the notes say that it was done from here, last of what was done from here."""
    reverse = _REVERSE[action]
    notes = [note for note in app.notes.since(0) if note.what in (action, reverse)]
    marks = {uuid: getattr(each, _MARK[action]) for uuid, each in app.notes.marks(notes).items()}

    if legs:
        choose(legs, selectors)

        def act(uuid: str) -> bool | None:
            if marks.get(hyphenated(uuid)):
                app.api.modify(uuid, reverse)
                return True
            remark(f"{uuid} {_not_ours(marks, uuid, action)}: it is left as it is.")
            return None

        each_leg(app, legs, reverse, act, limit=limit)
        return

    def is_ours(call: Call) -> bool:
        mark = marks.get(hyphenated(call.uuid), False)
        if mark is None:
            remark(f"{call.uuid} {_not_ours(marks, call.uuid, action)}: it is left as it is.")
            marks[hyphenated(call.uuid)] = False  # it is told once
        return mark is True

    each_selected(app, selectors, reverse, _act(app, reverse), limit=limit, is_meant=is_ours, may_be_all=True)


def _not_ours(marks: dict[str, bool | None], uuid: str, action: LegAction) -> str:
    if marks.get(hyphenated(uuid), False) is None:
        return f"may have been {_MARK[action]} from here, or not (the answer was lost)"
    return f"was not {_MARK[action]} from here"


def _act(app: App, action: LegAction) -> Act:
    """Does *action* to a leg that was live a moment ago: that it ended since is no failure."""

    def act(uuid: str) -> bool | None:
        try:
            app.api.modify(uuid, action)
        except ApiError as exc:
            if not _says_not_answered(exc):
                raise
            status = app.api.get_call(uuid)
            if not status.is_final:
                exc.hint = f"It is {status.status}; only a leg that was answered takes it."
                raise
            remark(f"{uuid} has ended: there was nothing left to {action}.")
            return None
        return True

    return act


def _says_not_answered(exc: VoicectlError) -> bool:
    """Whether a refusal says that a leg is not up: it rings, or is over."""
    return isinstance(exc, ApiError) and exc.status in (BAD_REQUEST, NOT_FOUND)
