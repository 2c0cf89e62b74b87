"""Arguments and options that several commands share, each described once, and how their texts are read."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

import typer

from voicectl import times
from voicectl.core.calls.references import LAST, is_number_reference
from voicectl.errors import InputError
from voicectl.voice import endpoint, speech
from voicectl.voice.call import is_conversation_id, is_leg_id

LEG_HELP = "The leg: its id, the beginning of one, to:NUMBER, from:NUMBER, @last, or - to read it."
LEGS_HELP = "The legs: ids, beginnings of ids, to:NUMBER, from:NUMBER, @last, or - for a list."


def check_once(words: list[str]) -> list[str]:
    """Return *words* if they read standard input once at most.

    Raises:
        InputError: They read it more often; nothing was read or done yet.
    """
    if words.count("-") > 1:
        raise InputError("Standard input is read only once.", hint="Write - only once.")
    return words


Leg = Annotated[str, typer.Argument(metavar="LEG", help=LEG_HELP, show_default=False)]
Legs = Annotated[
    list[str], typer.Argument(metavar="LEG...", help=LEGS_HELP, show_default=False, callback=check_once)
]
Max = Annotated[
    int,
    typer.Option("--max", min=1, metavar="N", help="The most legs that a list, or a selection, may name."),
]
Language = Annotated[str | None, typer.Option(metavar="CODE", help="The language spoken, such as en-GB.")]
Style = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="The voice's style, numbered per language.")
]
Premium = Annotated[bool, typer.Option("--premium", help="Use a premium voice, which is charged.")]
Loop = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="How many times; 0 goes on until stopped.")
]
Level = Annotated[float | None, typer.Option(min=-1, max=1, metavar="LEVEL", help="Loudness, from -1 to 1.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="NUMBER", help="The caller id: one of your numbers.")
]
AnswerUrl = Annotated[str | None, typer.Option(metavar="URL", help="Where the platform fetches the NCCO.")]
NccoFile = Annotated[str | None, typer.Option("--ncco", metavar="FILE", help="Run this NCCO; - reads it.")]

MAX_LENGTH_SECONDS = 86_400

_URL = re.compile(r"https?://[\x21-\x2e\x30-\x7e][\x21-\x7e]*", re.IGNORECASE)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups of options: each field of a dataclass among its parameters becomes an option."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters: dict[str, inspect.Parameter] = {}
    for name, own in inspect.signature(command).parameters.items():
        parameters |= inspect.signature(groups[name]).parameters if name in groups else {name: own}
    for kind in groups.values():
        hints |= get_type_hints(kind, include_extras=True)

    @wraps(command)
    def run(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{each.name: values.pop(each.name) for each in fields(kind)})
        command(**values)

    vars(run)["__signature__"] = inspect.Signature(
        [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            for name, each in parameters.items()
        ]
    )
    run.__annotations__ = hints
    return run


def given(**options: Any) -> dict[str, Any]:
    """Return the options that have a value."""
    return {name: value for name, value in options.items() if value is not None}


def check_text(text: str) -> str:
    """Return what is to be said, if it can be.

    Raises:
        InputError: It is empty, too long, or not text.
    """
    if not text.strip():
        raise InputError("There is nothing to say.", hint="Give the text, or - to read it.")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InputError("The text is not valid UTF-8.", hint="Write it in a file, and use --file.") from exc
    if speech.characters(text) > speech.MAX_CHARACTERS:
        raise InputError(
            f"The text has {speech.characters(text)} characters; at most {speech.MAX_CHARACTERS} are said.",
            hint="SSML tags do not count. Split it.",
        )
    return text


def check_url(text: str, option: str) -> str:
    """Return *text* if it is an http or https URL.

    Raises:
        InputError: It is not.
    """
    try:
        parts = urlsplit(text)
        is_url = _URL.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:  # brackets without an address, a port that is none
        is_url = False
    if is_url:
        return text
    raise InputError(f"{option} {text!r} is not an http or https URL.", hint="Write it as https://HOST/PATH.")


def parse_header(text: str) -> tuple[str, str]:
    """The name and the value of a header written as ``NAME=VALUE``.

    Raises:
        InputError: *text* is none.
    """
    name, equals, value = text.partition("=")
    if not name.strip() or not equals or not text.isprintable():
        raise InputError(f"{text!r} is not a header.", hint="Write it as NAME=VALUE.")
    return name.strip(), value


def check_conversation(text: str) -> str:
    """Return the id of a conversation.

    Raises:
        InputError: It is not ``CON-`` and a UUID.
    """
    if not is_conversation_id(text):
        raise InputError(f"{text!r} is not the id of a conversation.", hint="It is CON- and a UUID.")
    return text


def check_room(name: str) -> str:
    """Return the name of a room.

    Raises:
        InputError: It is empty, a conversation's id, or looks like a leg's.
    """
    if not name.strip() or not name.isprintable() or name in ("-", LAST):
        raise InputError(f"{name!r} is not the name of a room.", hint="Use a word, such as support-17.")
    if name.upper().startswith("CON-"):
        raise InputError(
            "A room is joined by its name, not by the id of its conversation.",
            hint="Give the name that the room was made with.",
        )
    if is_leg_id(name) or is_number_reference(name):
        raise InputError(
            f"{name} looks like a leg, not a room.",
            hint="The last word is the room: voicectl move LEG... ROOM",
        )
    return name


def whole_seconds(text: str, option: str, least: int, most: int) -> int:
    """A DURATION that the API takes in whole seconds, within bounds.

    Raises:
        InputError: It is not one, or out of bounds.
    """
    seconds = times.duration(text)
    if seconds != int(seconds) or not least <= seconds <= most:
        raise InputError(f"{option} {text} must be whole seconds from {least} to {most}.")
    return int(seconds)


def caller_id(given: str | None, default: str | None) -> str:
    """The number to call from.

    Raises:
        InputError: None was given and the profile has none.
    """
    if given is None and default is None:
        raise InputError(
            "There is no number to call from.",
            hint="Give --from NUMBER, or keep one in the profile, or set VOICECTL_FROM.",
        )
    return endpoint.caller(given) if given is not None else str(default)
