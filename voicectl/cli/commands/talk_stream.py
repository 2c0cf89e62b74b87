"""``talk`` and ``stream``: speak text or play an audio file on one leg."""

from __future__ import annotations

import typer

from voicectl.cli.arguments import Leg, grouped
from voicectl.cli.context import App, current
from voicectl.cli.operations.media import Talk
from voicectl.cli.options.media import Playback, Speech
from voicectl.cli.targets import one_leg, run_on_leg
from voicectl.errors import LegError


@grouped
def talk(ctx: typer.Context, leg: Leg, speech: Speech) -> None:
    """Speak text on a live leg; only that leg's party hears it.

    On a terminal, voicectl asks for TEXT if it is missing. The request is never retried. If the API does not respond,
    the outcome is unknown and the exit status is 12.

    Examples:
      $ voicectl talk "$LEG" "Your table is ready."
      $ echo "One moment, please." | voicectl talk "$LEG" - --language en-GB
      $ voicectl talk "$LEG" --stop
    """
    app = current(ctx)
    if speech.is_asked_for(app.terminal):
        leg = _checked(app, leg)
    body = speech.body(app.terminal)
    if body is None:
        with one_leg(app, leg, "talk --stop") as uuid:
            app.api.stop_talk(uuid)
    else:
        run_on_leg(app, leg, Talk(app, body))


def _checked(app: App, leg: str) -> str:
    """Return the full id of the leg that *leg* names, after checking that the leg is live.

    This is done before the user is asked for the text to speak.

    Raises:
        LegError: The leg has ended.
    """
    uuid = app.legs.live_leg(leg)
    call = app.api.get_call(uuid)
    if call.is_final:
        raise LegError(
            f"The leg {uuid} has ended: its status is {call.status}.", hint="List legs: voicectl call list"
        )
    return uuid


@grouped
def stream(ctx: typer.Context, leg: Leg, playback: Playback) -> None:
    """Play an audio file on a live leg; only that leg's party hears it.

    The request is never retried. If the API does not respond, the outcome is unknown and the exit status is 12.

    Examples:
      $ voicectl stream "$LEG" https://cdn.example.org/hold.mp3 --loop 0
      $ voicectl stream "$LEG" --stop
    """
    app = current(ctx)
    body = playback.body()
    if body is None:
        with one_leg(app, leg, "stream --stop") as uuid:
            app.api.stop_stream(uuid)
    else:
        with one_leg(app, leg, "stream") as uuid:
            app.api.start_stream(uuid, body)
