"""``talk`` and ``stream``: what one leg is made to hear."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from voicectl.cli.arguments import Language, Leg, Level, Loop, Premium, Style, check_text, check_url
from voicectl.cli.context import App, current
from voicectl.cli.output.text import is_terminal
from voicectl.cli.targets import one_leg
from voicectl.errors import InputError

Text = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="Plain text or one <speak> document; - reads it.")
]
File = Annotated[str | None, typer.Option(metavar="FILE", help="Say what this file holds.")]
StopTalk = Annotated[bool, typer.Option("--stop", help="Stop what is being said.")]
MediaUrl = Annotated[
    str | None, typer.Argument(metavar="URL", help="An MP3 or 16-bit WAV file.", show_default=False)
]
StopStream = Annotated[bool, typer.Option("--stop", help="Stop the file.")]


def talk(
    ctx: typer.Context,
    leg: Leg,
    text: Text = None,
    file: File = None,
    language: Language = None,
    style: Style = None,
    premium: Premium = False,
    loop: Loop = None,
    level: Level = None,
    stop: StopTalk = False,
) -> None:
    """Say a text on a live leg; only that leg's party hears it.

    Without TEXT it is read from standard input. It is sent once: if no answer comes, the exit status is 12.

    Examples:
      $ voicectl talk "$LEG" "Your table is ready."
      $ echo "One moment, please." | voicectl talk "$LEG" --language en-GB
      $ voicectl talk "$LEG" --stop
    """
    app = current(ctx)
    said = Speech(
        text=text, file=file, language=language, style=style, premium=premium, loop=loop, level=level
    )
    if stop:
        said.refuse()
        one_leg(app, leg, "talk --stop", app.api.stop_talk)
        return
    body = said.body(app)
    one_leg(
        app,
        leg,
        "talk",
        lambda uuid: app.api.start_talk(uuid, body),
        detail={"characters": len(body["text"])},
    )


def stream(
    ctx: typer.Context,
    leg: Leg,
    url: MediaUrl = None,
    loop: Loop = None,
    level: Level = None,
    stop: StopStream = False,
) -> None:
    """Play an audio file on a live leg; only that leg's party hears it.

    It is sent once: if no answer comes, the exit status is 12.

    Examples:
      $ voicectl stream "$LEG" https://cdn.example.org/hold.mp3 --loop 0
      $ voicectl stream "$LEG" --stop
    """
    app = current(ctx)
    if stop:
        refuse_with_stop(url=url, loop=loop, level=level)
        one_leg(app, leg, "stream --stop", app.api.stop_stream)
        return
    if url is None:
        raise InputError("There is no file to play.", hint="Give its URL, or --stop.")
    body = media_body(loop, level) | {"stream_url": [check_url(url, "URL")]}
    one_leg(app, leg, "stream", lambda uuid: app.api.start_stream(uuid, body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """What the options of a command that talks say."""

    text: str | None
    file: str | None
    language: str | None
    style: int | None
    premium: bool
    loop: int | None
    level: float | None

    def body(self, app: App) -> dict[str, Any]:
        """What the API takes; the text is read from where it is.

        Raises:
            InputError: There is nothing to say, or not so.
        """
        body = media_body(self.loop, self.level)
        if self.language is not None:
            body["language"] = self.language
        if self.style is not None:
            body["style"] = self.style
        if self.premium:
            body["premium"] = True
        return body | {"text": check_text(_text(app, self.text, self.file))}

    def refuse(self) -> None:
        """Refuse what says what to say where ``--stop`` says to say nothing; raises as :func:`refuse_with_stop`."""
        given = {name: getattr(self, name) for name in self.__slots__}
        refuse_with_stop(**given | {"premium": self.premium or None})


def media_body(loop: int | None, level: float | None) -> dict[str, Any]:
    """What both take. A level is text in REST: a strict server refuses a number."""
    body: dict[str, Any] = {}
    if loop is not None:
        body["loop"] = loop
    if level is not None:
        if not math.isfinite(level):
            raise InputError("--level is not a number.", hint="Give one from -1 to 1.")
        body["level"] = f"{round(level, 4) + 0.0:.4f}".rstrip("0").rstrip(".")
    return body


def _text(app: App, text: str | None, file: str | None) -> str:
    if text is not None and file is not None:
        raise InputError("Both TEXT and --file say what to say.", hint="Give one of them.")
    if text is not None and text != "-":
        return text
    if file is None and text is None and is_terminal(sys.stdin):
        return app.terminal.ask("Say")
    content = app.terminal.read_input(file or "-", "the text to say")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as exc:
        raise InputError("The text is not valid UTF-8.", hint="Save it as UTF-8.") from exc


def refuse_with_stop(**others: object) -> None:
    """Refuse what says what to play, where ``--stop`` says to play nothing.

    Raises:
        InputError: One of *others* is not None.
    """
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise InputError(f"--stop goes alone; {given[0].upper()} does not go with it.", hint="Leave one out.")
