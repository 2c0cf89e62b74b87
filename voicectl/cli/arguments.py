"""The arguments and options that several commands share, and the functions that parse them."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints
from urllib.parse import parse_qs, urlsplit

import typer

from voicectl import times
from voicectl.core.calls.references import LAST, number_reference
from voicectl.errors import InputError
from voicectl.voice import endpoint, speech
from voicectl.voice.call import is_conversation_id, is_leg_id
from voicectl.voice.url import is_url

ID_FORMS = "its id (or at least the first 4 characters)"
LEG_FORMS = f"{ID_FORMS}, to:NUMBER, from:NUMBER, @last, or - to read it from standard input"
LEG_HELP = f"The leg: {LEG_FORMS}."
LEGS_FORMS = (
    "their ids (or at least the first 4 characters), to:NUMBER, from:NUMBER, @last, or - to read a list from"
    " standard input"
)
LEGS_HELP = f"The legs: {LEGS_FORMS}."


def check_once(words: list[str]) -> list[str]:
    """Return *words* if ``-``, which stands for standard input, occurs at most once.

    Raises:
        InputError: ``-`` occurs more than once.
    """
    if words.count("-") > 1:
        raise InputError("Standard input can be read only once.", hint="Use - only once.")
    return words


Leg = Annotated[str, typer.Argument(metavar="LEG", help=LEG_HELP, show_default=False)]
Legs = Annotated[
    list[str], typer.Argument(metavar="LEG...", help=LEGS_HELP, show_default=False, callback=check_once)
]
Room = Annotated[
    str,
    typer.Argument(
        metavar="ROOM|CON-ID",
        help="The conversation: its room name, or its id (CON-...).",
        show_default=False,
    ),
]
Max = Annotated[
    int,
    typer.Option(
        "--max",
        min=1,
        metavar="N",
        help="Refuse to act on more than N legs if they are read from standard input or selected with options.",
    ),
]
Language = Annotated[str | None, typer.Option(metavar="CODE", help="Language of the speech, such as en-GB.")]
Style = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Number of the voice style; the available styles depend on the language."
    ),
]
Premium = Annotated[bool, typer.Option("--premium", help="Use a premium voice, which costs extra.")]
Loop = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Play N times; with 0, repeat until stopped.",
    ),
]
Level = Annotated[float | None, typer.Option(min=-1, max=1, metavar="LEVEL", help="Volume, from -1 to 1.")]
From = Annotated[str | None, typer.Option("--from", metavar="NUMBER", help="Caller id: one of your numbers.")]
AnswerUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="URL from which the platform fetches the NCCO.")
]
NccoFile = Annotated[
    str | None, typer.Option("--ncco", metavar="FILE", help="Run this NCCO; - reads standard input.")
]

MAX_LENGTH_SECONDS = 86_400


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap *command* so that every field of its dataclass parameters becomes a separate parameter."""
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
    """Return the options whose values are not None, by name."""
    return {name: value for name, value in options.items() if value is not None}


def check_text(text: str) -> str:
    """Return *text* if it can be spoken.

    Raises:
        InputError: The text is empty, too long, or not valid UTF-8.
    """
    if not text.strip():
        raise InputError("The text is empty.", hint="Give the text.")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InputError("The text is not valid UTF-8.", hint="Write the text in UTF-8.") from exc
    if speech.characters(text) > speech.MAX_CHARACTERS:
        raise InputError(
            f"The text has {speech.characters(text)} characters; the limit is {speech.MAX_CHARACTERS}.",
            hint="Split the text. SSML tags do not count.",
        )
    return text


def check_url(text: str, option: str) -> str:
    """Return *text* if it is an http or https URL.

    Raises:
        InputError: *text* is not an http or https URL.
    """
    if is_url(text):
        return text
    raise InputError(f"{option} {text!r} is not an http or https URL.", hint="Write it as https://HOST/PATH.")


def parse_header(text: str) -> tuple[str, str]:
    """Split *text*, a header written as ``NAME=VALUE``, into the name and the value.

    Raises:
        InputError: *text* is not in this format, or is not printable.
    """
    name, equals, value = text.partition("=")
    if not name.strip() or not equals or not text.isprintable():
        raise InputError(f"{text!r} is not a header.", hint="Write it as NAME=VALUE.")
    return name.strip(), value


def check_conversation(text: str, is_known: Callable[[str], bool]) -> str:
    """Return *text*, without the blanks around it, if it is a conversation id.

    Args:
        is_known: A function that returns True if stored events mention an id. The platform's ids may have any form,
            but an id of an unusual form is accepted only if it is known.

    Raises:
        InputError: *text* is neither ``CON-`` followed by a UUID, nor known.
    """
    text = text.strip()
    if is_conversation_id(text) or (text and is_known(text)):
        return text
    raise InputError(
        f"{text!r} is not a conversation id.", hint="A conversation id is CON- followed by a UUID."
    )


def check_room(name: str, *, hint: str = "Give the name of a room, such as support-17.") -> str:
    """Return *name* if it is a valid name for a room.

    Args:
        hint: The hint in the error message if *name* looks like a leg argument.

    Raises:
        InputError: *name* is empty or not printable, or looks like a conversation id or a leg argument.
    """
    if not name.strip() or not name.isprintable() or name in ("-", LAST):
        raise InputError(f"{name!r} is not a valid room name.", hint="Use a name such as support-17.")
    if name.strip().upper().startswith("CON-"):
        raise InputError(
            "A room is joined by its name, not by its conversation id.",
            hint="Give the name that the room was created with.",
        )
    if is_leg_id(name.strip()) or number_reference(name.strip()):
        raise InputError(f"{name} looks like a leg, not the name of a room.", hint=hint)
    return name


def whole_seconds(text: str, option: str, least: int, most: int) -> int:
    """Convert *text*, a duration such as ``1h30m``, to a whole number of seconds, as the API requires.

    Raises:
        InputError: *text* is not a duration, or is not a whole number of seconds from *least* to *most*.
    """
    seconds = times.duration(text)
    if seconds != int(seconds) or not least <= seconds <= most:
        raise InputError(f"{option} must be a whole number of seconds from {least} to {most}, not {text}.")
    return int(seconds)


def caller_id(given: str | None, default: str | None) -> str:
    """Return the number to call from: *given* or, if it is None, *default*.

    Raises:
        InputError: No number was given, and there is no default.
    """
    if given is None and default is None:
        raise InputError(
            "No caller id is set.",
            hint="Add --from NUMBER, store a number in the profile, or set VOICECTL_FROM.",
        )
    return endpoint.typed_caller(given) if given is not None else str(default)


def refuse_password(store: str) -> None:
    """Check that *store*, the URL of an event store given on the command line, contains no password.

    Raises:
        InputError: The URL contains a password, which the error message does not repeat.
    """
    try:
        parts = urlsplit(store)
        has_password = parts.password is not None or any("password" in name for name in parse_qs(parts.query))
    except ValueError:
        has_password = False  # an invalid URL is refused elsewhere
    if has_password:
        raise InputError(
            "A password was given with --store, where it is visible to every user of this host.",
            hint="Set VOICECTL_STORE to that URL, or keep the password in a file that PGPASSFILE names."
            " Change the password: others may have seen it.",
        )
