"""``mute``, ``unmute``, ``earmuff``, ``unearmuff``, ``hangup``: several legs each."""

from __future__ import annotations

import typer

from voicectl.api.client import LegAction
from voicectl.cli.arguments import Legs, Max
from voicectl.cli.context import current
from voicectl.cli.targets import each_leg
from voicectl.core.hangup import hang_up


def mute(ctx: typer.Context, legs: Legs, max_: Max = 10) -> None:
    """Keep the others from hearing a leg.

    Example:
      $ voicectl mute "$LEG"
    """
    _modify(ctx, legs, LegAction.MUTE, max_)


def unmute(ctx: typer.Context, legs: Legs, max_: Max = 10) -> None:
    """Let the others hear a leg again.

    Example:
      $ voicectl unmute "$LEG"
    """
    _modify(ctx, legs, LegAction.UNMUTE, max_)


def earmuff(ctx: typer.Context, legs: Legs, max_: Max = 10) -> None:
    """Keep a leg from hearing the others.

    Example:
      $ voicectl earmuff "$LEG"
    """
    _modify(ctx, legs, LegAction.EARMUFF, max_)


def unearmuff(ctx: typer.Context, legs: Legs, max_: Max = 10) -> None:
    """Let a leg hear the others again.

    Example:
      $ voicectl unearmuff "$LEG"
    """
    _modify(ctx, legs, LegAction.UNEARMUFF, max_)


def hangup(ctx: typer.Context, legs: Legs, max_: Max = 10) -> None:
    """End legs, also while they ring; a leg that is over already counts as done.

    It is repeated for up to 20 s where the platform refuses it, as it does in the first seconds of a call.

    Examples:
      $ voicectl hangup "$LEG"
      $ voicectl call list --match-to '4477009*' | voicectl hangup - --yes
    """
    app = current(ctx)
    each_leg(app, legs, "hangup", lambda uuid: hang_up(app.api, app.clock, uuid, app.history), limit=max_)


def _modify(ctx: typer.Context, legs: list[str], action: LegAction, limit: int) -> None:
    app = current(ctx)

    def act(uuid: str) -> bool:
        app.api.modify(uuid, action)
        return True

    each_leg(app, legs, action, act, limit=limit)
