"""Descriptions of the sandbox's faults, as they are typed, in the form that its control route takes."""

from __future__ import annotations

import shlex
from typing import Any

from voicectl.errors import InputError
from voicectl.times import duration

WITH_DURATION = ("delay", "webhook-delay")
_NUMBERS = {"times": int, "probability": float, "retry_after": int}
_DURATIONS = ("after", "lasting")


def fault_body(what: str, value: str | None, on: str, **options: Any) -> dict[str, Any]:
    """Return the body of the request that adds a fault.

    Args:
        value: The status code or the duration, for the faults that take one.
        on: The operation, or the kind of webhook.
        options: ``times``, ``probability``, ``after``, ``lasting`` and ``retry_after``; None where one is not given.

    Raises:
        InputError: The value is missing or malformed, or the fault takes none.
    """
    body: dict[str, Any] = {"what": what, "on": on}
    if what == "status":
        if value is None or not (value.isascii() and value.isdigit() and len(value) == 3):
            raise InputError(
                "The fault 'status' needs a status code.",
                hint="For example: voicectl sandbox fault add status 503",
            )
        body["code"] = int(value)
    elif what in WITH_DURATION:
        if value is None:
            raise InputError(
                f"The fault '{what}' needs a duration.",
                hint=f"For example: voicectl sandbox fault add {what} 2s",
            )
        body["seconds"] = duration(value)
    elif value is not None:
        raise InputError(
            f"The fault '{what}' takes no value.", hint="See 'voicectl sandbox fault add --help'."
        )
    for name, given in options.items():
        if given is not None:
            body[name] = duration(given) if name in _DURATIONS else given
    return body


def parse_fault(text: str) -> dict[str, Any]:
    """Convert the arguments of ``sandbox fault add``, in one text, to the body of the request.

    Raises:
        InputError: The text is not such a fault.
    """
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise InputError(f"{text!r} cannot be split into words: {exc}.") from exc
    named: dict[str, Any] = {}
    values: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            values.append(word)
            continue
        name, _, given = word[2:].partition("=")
        named[name.replace("-", "_")] = given or next(rest, "")
    unknown = named.keys() - {"on", *_NUMBERS, *_DURATIONS}
    if unknown or not 1 <= len(values) <= 2:
        raise InputError(
            f"{text!r} is not a fault.",
            hint="Write it as you would for 'voicectl sandbox fault add', such as \"status 503 --times 1\".",
        )
    try:
        numbers = {name: read(named[name]) for name, read in _NUMBERS.items() if name in named}
    except ValueError as exc:
        raise InputError(f"{text!r} has an option that is not a number.") from exc
    what, *value = values
    return fault_body(what, value[0] if value else None, named.pop("on", "any"), **named | numbers)
