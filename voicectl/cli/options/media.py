"""The options for speech and playback, shared by the commands for legs and for conversations."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import Language, Level, Loop, Premium, Style, check_text, check_url, given
from voicectl.errors import InputError

if TYPE_CHECKING:
    from voicectl.cli.terminal import Terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """The options of a command that speaks text."""

    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT", help="Plain text, or SSML in one <speak> element; - reads standard input."
        ),
    ] = None
    file: Annotated[str | None, typer.Option(metavar="FILE", help="Read the text from this file.")] = None
    language: Language = None
    style: Style = None
    premium: Premium = False
    loop: Loop = None
    level: Level = None
    stop: Annotated[bool, typer.Option("--stop", help="Stop the speech.")] = False

    def is_asked_for(self, terminal: Terminal) -> bool:
        """Return True if the text is missing, and :meth:`body` asks for it on the terminal."""
        return self.text is None and self.file is None and not self.stop and terminal.can_ask

    def body(self, terminal: Terminal) -> dict[str, Any] | None:
        """Return the request body, or None if the speech should be stopped.

        The text is asked for if it is missing and there is a terminal. Standard input is read only for ``-``.

        Raises:
            InputError: The text is missing, the text or the value of an option is invalid, or an option is combined
                with ``--stop``.
        """
        if self.stop:
            refuse_with_stop(**asdict(self) | {"stop": None})
            return None
        return given(
            loop=self.loop,
            level=_level(self.level),
            language=self.language,
            style=self.style,
            premium=self.premium or None,
            text=check_text(self._text(terminal)),
        )

    def _text(self, terminal: Terminal) -> str:
        if self.text is not None and self.file is not None:
            raise InputError("TEXT and --file cannot be used together.", hint="Use one of them.")
        if self.file is not None:
            return read_text(terminal, self.file)
        if self.text is not None:
            return read_text(terminal, "-") if self.text == "-" else self.text
        if not self.is_asked_for(terminal):
            raise InputError(
                "There is no text to say.",
                hint="Give TEXT, --file FILE, or - to read it from standard input.",
            )
        return terminal.ask("Text to say:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """The options of a command that plays a file."""

    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="URL of an MP3 or 16-bit WAV file.", show_default=False),
    ] = None
    loop: Loop = None
    level: Level = None
    stop: Annotated[bool, typer.Option("--stop", help="Stop the playback.")] = False

    def body(self) -> dict[str, Any] | None:
        """Return the request body, or None if the playback should be stopped.

        Raises:
            InputError: The URL is missing, a value is invalid, or an option is combined with ``--stop``.
        """
        if self.stop:
            refuse_with_stop(**asdict(self) | {"stop": None})
            return None
        if self.url is None:
            raise InputError("No file to play was given.", hint="Give its URL, or --stop.")
        return given(loop=self.loop, level=_level(self.level), stream_url=[check_url(self.url, "URL")])


def read_text(terminal: Terminal, name: str) -> str:
    """Read the text to speak from the file *name*, or from standard input if *name* is ``-``."""
    try:
        return terminal.read_input(name, "the text to say").decode("utf-8-sig").strip()
    except UnicodeDecodeError as exc:
        raise InputError("The text is not valid UTF-8.", hint="Save it as UTF-8.") from exc


def refuse_with_stop(**others: object) -> None:
    """Refuse options that cannot be used together with ``--stop``.

    Raises:
        InputError: One of *others* is given: an option, or the argument ``text`` or ``url``.
    """
    for name, value in others.items():
        if value is not None and value is not False:
            option = name.upper() if name in ("text", "url") else "--" + name.replace("_", "-")
            raise InputError(f"--stop cannot be used together with {option}.", hint="Leave one of them out.")


def _level(level: float | None) -> str | None:
    """Return a volume level as a string, because some servers refuse a number."""
    if level is None:
        return None
    if not math.isfinite(level):
        raise InputError("--level is not a number.", hint="Give a number from -1 to 1.")
    return f"{round(level, 4) + 0.0:.4f}".rstrip("0").rstrip(".")
