"""Findings of the NCCO linter, and functions that format values for messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.voice.ncco.verdicts import VERDICTS, Fault, Severity

if TYPE_CHECKING:
    from voicectl.voice.json_places import Path

_MOST_SHOWN = 40
_MOST_GUESSED = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """An error or a warning about an NCCO.

    Attributes:
        fault: The rule that is broken.
        path: The path of the faulty value. If an option is missing, the path of the object that lacks the option.
        message: A description of the fault.
        hint: Advice on how to correct the fault.
    """

    fault: Fault
    path: Path
    message: str
    hint: str

    @property
    def severity(self) -> Severity:
        """The severity of the finding."""
        return VERDICTS[self.fault]

    @property
    def is_error(self) -> bool:
        """True if the finding is an error, not a warning."""
        return self.severity is Severity.ERROR


class Findings:
    """A collection of findings, in the order in which they were added."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self._guesses = _MOST_GUESSED

    def may_guess(self) -> bool:
        """Return True if another slow search for a similar word is allowed, and count this search."""
        self._guesses -= 1
        return self._guesses >= 0

    def add(self, fault: Fault, path: Path, message: str, hint: str) -> None:
        """Add a finding. Whether it is an error or a warning depends on *fault* alone."""
        self.all.append(Finding(fault, path, message, hint))


def kind(value: Any) -> str:
    """Return the JSON type of *value* in words, such as ``an array``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def shown(value: Any) -> str:
    """Return *value* as JSON text, shortened if the text is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # a number with thousands of digits, or too many nested levels
        return kind(value)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
