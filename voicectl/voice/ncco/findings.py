"""What is wrong with an NCCO: findings, and how the values in them are shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicectl.voice.json_places import Path

_MOST_SHOWN = 40
_MOST_GUESSED = 100


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or doubtful.

    Attributes:
        path: The value that it is about; for something missing, the object that lacks it.
        message: What is wrong.
        hint: What is right.
    """

    severity: Severity
    path: Path
    message: str
    hint: str

    @property
    def is_error(self) -> bool:
        """Whether it is more than a doubt."""
        return self.severity is Severity.ERROR


class Findings:
    """Gathers findings."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self._guesses = _MOST_GUESSED

    def may_guess(self) -> bool:
        """Whether to look for the word that was meant; that takes long, and who has hundreds wrong meant no words."""
        self._guesses -= 1
        return self._guesses >= 0

    def error(self, path: Path, message: str, hint: str) -> None:
        """Note what the platform refuses, or does not do as it is meant."""
        self.all.append(Finding(Severity.ERROR, path, message, hint))

    def warn(self, path: Path, message: str, hint: str) -> None:
        """Note what is doubtful, tolerated or old."""
        self.all.append(Finding(Severity.WARNING, path, message, hint))


def kind(value: Any) -> str:
    """What *value* is, in words."""
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
    """*value* as JSON, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # a number of thousands of digits; an object without end
        return kind(value)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
