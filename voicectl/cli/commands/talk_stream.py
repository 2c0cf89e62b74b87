"""``talk`` and ``stream``: speak a text or play an audio file on one leg."""

from __future__ import annotations

import typer

from voicectl.cli.arguments import Leg, grouped
from voicectl.cli.context import current
from voicectl.cli.media_options import Playback, Speech
from voicectl.cli.targets import one_leg


@grouped
def talk(ctx: typer.Context, leg: Leg, speech: Speech) -> None:
    """Speak text on a live leg; only that leg's party hears it.

    Without TEXT, the text is read from standard input. The request is never retried: if the API does not answer, the
    exit status is 12.

    Examples:
      $ voicectl talk "$LEG" "Your table is ready."
      $ echo "One moment, please." | voicectl talk "$LEG" --language en-GB
      $ voicectl talk "$LEG" --stop
    """
    app = current(ctx)
    body = speech.body(app.terminal)
    if body is None:
        with one_leg(app, leg, "talk --stop") as uuid:
            app.api.stop_talk(uuid)
    else:
        with one_leg(app, leg, "talk", characters=len(body["text"])) as uuid:
            app.api.start_talk(uuid, body)


@grouped
def stream(ctx: typer.Context, leg: Leg, playback: Playback) -> None:
    """Play an audio file on a live leg; only that leg's party hears it.

    The request is never retried: if the API does not answer, the exit status is 12.

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
