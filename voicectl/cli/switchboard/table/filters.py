"""The filter of the switchboard: words that a leg must match to be listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicectl import times
from voicectl.core.calls.selection import is_like
from voicectl.errors import InputError
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.core.watch.sight import Sight

KEYS = ("to", "from", "status", "direction", "room", "age")
"""The columns that a word can name, as in ``to:4477*``."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The conditions of a filter, all of which a leg must meet.

    Attributes:
        text: The filter as the user writes it.
        words: Texts, in lower case, each of which must occur in any column.
        columns: Patterns such as ``4477*``, each with the column that it applies to.
        older_than: The minimum age of the leg, in seconds.
    """

    text: str = ""
    words: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    older_than: float | None = None

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Return the filter that *text* describes.

        Words that are not conditions on a column are looked for in every column, so every text is a filter.
        """
        words: list[str] = []
        columns: list[tuple[str, str]] = []
        older_than = None
        for word in text.split():
            key, _, value = word.partition(":")
            if key == "age" and (seconds := _seconds(value)) is not None:
                older_than = max(seconds, older_than or 0.0)
            elif key in KEYS and key != "age" and value:
                columns.append((key, value))
            else:
                words.append(word.lower())
        return cls(" ".join(text.split()), tuple(words), tuple(columns), older_than)

    @classmethod
    def of(cls, conditions: Mapping[str, str | None]) -> Filter:
        """Return a filter with a pattern for each column of *conditions* that is not None."""
        return cls.parse(" ".join(f"{name}:{value}" for name, value in conditions.items() if value))

    def __bool__(self) -> bool:
        """Return True if there is a condition."""
        return bool(self.text)

    def admits(self, sight: Sight, room: str, now: float) -> bool:
        """Return True if a leg meets all conditions.

        Args:
            room: The name of the leg's room or, if it has no name, the id of the leg's conversation.
            now: The current time, in Unix seconds.
        """
        if self.older_than is not None and sight.age(now) < self.older_than:
            return False
        if not (self.words or self.columns):
            return True
        cells = _cells(sight, room)
        if not all(_is_like(cells[name], glob) for name, glob in self.columns):
            return False
        everything = "\n".join((*cells.values(), sight.call.uuid, *_marks(sight))).lower()
        return all(word in everything for word in self.words)


def _cells(sight: Sight, room: str) -> dict[str, str]:
    call = sight.call
    return {
        "to": endpoint.label(call.to) or "",
        "from": endpoint.label(call.from_) or "",
        "status": "gone" if sight.is_gone else call.status,
        "direction": call.direction,
        "room": room,
    }


def _marks(sight: Sight) -> list[str]:
    """Return the words by which muted and earmuffed legs can be found."""
    marks = {"muted": sight.marks.muted, "earmuffed": sight.marks.earmuffed}
    return [name for name, is_so in marks.items() if is_so]


def _is_like(text: str, glob: str) -> bool:
    return is_like(text, glob) or is_like(text.lower(), glob.lower())


def _seconds(text: str) -> float | None:
    try:
        return times.duration(text.removeprefix(">"))
    except InputError:
        return None
