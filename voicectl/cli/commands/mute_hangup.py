"""``mute``, ``unmute``, ``earmuff``, ``unearmuff``, ``hangup``: act on legs that are named or selected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.arguments import Max, check_text, grouped
from voicectl.cli.context import App, current
from voicectl.cli.operations.hangup import HangUp, HangUpAfterTalk
from voicectl.cli.operations.modify import Modify, UndoModify
from voicectl.cli.options.media import read_text
from voicectl.cli.selectors import Selectors, SomeLegs, choose, each_chosen, each_selected, hold_selected
from voicectl.cli.targets import each_leg
from voicectl.errors import InputError
from voicectl.voice.call import LegAction

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        typer.Option("--undo", help="Undo the changes that earlier commands on this machine made."),
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
    afterwards. --undo unmutes legs that were muted from this machine: all that are still live, or those that you
    name or select.

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
    operation = HangUp(app) if say is None else HangUpAfterTalk(app, say)
    each_chosen(app, legs, selectors, operation, limit=max_)


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
        undoing = UndoModify(app, action, is_selected=not legs)
        if legs:
            choose(legs, selectors)
            each_leg(app, legs, undoing, limit=limit)
        else:
            each_selected(app, selectors, undoing, limit=limit, is_meant=undoing.is_meant, may_be_all=True)
        return
    operation = Modify(app, action, is_selected=choose(legs, selectors))
    if duration is not None:
        hold_selected(app, selectors, operation, limit=limit, duration=duration)
    else:
        each_chosen(app, legs, selectors, operation, limit=limit)
