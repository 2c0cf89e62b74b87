"""A ladder as plain text of any width.

Where there is no room for lanes the lines stand alone. Nothing is ever cut: an id that is cut cannot be used.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from voicectl.cli.output.ladder import DEED, HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voicectl.cli.output.ladder import Ladder, Lane, Line

TIME_WIDTH = 14
LANE_WIDTH = 4
HERE_WIDTH = 6
LEAST_WIDTH = 16
LEAST_TEXT = 26
"""Columns that texts have at least, beside lanes."""


def draw(ladder: Ladder, width: int) -> str:
    """*ladder* in lines of at most *width* columns, for a *width* of :data:`LEAST_WIDTH` or more."""
    width = max(width, LEAST_WIDTH)
    rails = Rails(ladder, width - TIME_WIDTH - LEAST_TEXT)
    text = list(_legend(ladder, width))
    text += ["", *([" " * TIME_WIDTH + rails.head] if rails.width else [])]
    for number, line in enumerate(ladder.lines):
        if line.day is not None:
            text.append(line.day)
        time = line.sign + line.time
        if not rails.width:
            text += hung(f"{time.strip()} {line.mark}".strip(), line.said, width)
            continue
        first, *others = wrapped(line.said, width - TIME_WIDTH - rails.width)
        text.append(f"{time:{TIME_WIDTH}}{rails.at(number, line)}{first}")
        text += [f"{'':{TIME_WIDTH}}{rails.below(number)}{each}" for each in others]
    if ladder.rest:
        text += ["", *(part for each in ladder.rest for part in hung("?", each, width))]
    text += ["", *wrapped(ladder.key(), width)]
    return "\n".join(line.rstrip() for line in text) + "\n"


class Rails:
    """The lanes of a ladder as far as there is room for them; the others share the last.

    Args:
        room: Columns of the terminal.

    Attributes:
        head: Their names.
        width: Columns that they take; 0 if there is room for none.
    """

    def __init__(self, ladder: Ladder, room: int) -> None:
        start = HERE_WIDTH if ladder.has_here else 0
        most = max(room - start, 0) // LANE_WIDTH
        is_all = len(ladder.lanes) <= most
        self._lanes: Sequence[Lane] = ladder.lanes if is_all else ladder.lanes[: max(most - 1, 0)]
        self._has_here = ladder.has_here
        self._has_rest = not is_all
        names = [str(each.number) for each in self._lanes] + ["+"] * (not is_all)
        self.width = start + LANE_WIDTH * len(names) if self._lanes else 0
        here = f"{HERE:{start}}" if ladder.has_here else ""
        self.head = here + "".join(f"{name:{LANE_WIDTH}}" for name in names)
        self._places = {lane.number: place for place, lane in enumerate(self._lanes)}

    def at(self, number: int, line: Line) -> str:
        """The lanes beside the line of that number, with its mark; what was done from here points there."""
        there = self._there(lane.first <= number <= lane.last for lane in self._lanes)
        if line.lane is None:
            return self._joined(there)
        place = self._places.get(line.lane.number, len(there) - 1)
        there[place] = line.mark
        return self._joined(there, place if line.mark == DEED else None)

    def below(self, number: int) -> str:
        """The lanes below it, where it goes on."""
        return self._joined(self._there(lane.first <= number < lane.last for lane in self._lanes))

    def _there(self, is_there: Iterable[bool]) -> list[str]:
        return ["|" if each else " " for each in is_there] + [" "] * self._has_rest

    def _joined(self, there: Sequence[str], arrow_to: int | None = None) -> str:
        """The lanes as text, with an arrow from here through those before the one it goes to."""
        here = HERE_WIDTH * self._has_here
        if arrow_to is None:
            return " " * here + "".join(f"{each:{LANE_WIDTH}}" for each in there)
        crossed = ["+" if each == "|" else "-" for each in there[:arrow_to]]
        arrow = f"{'+':-<{here}}" + "".join(f"{each:-<{LANE_WIDTH}}" for each in crossed)
        return arrow + "".join(f"{each:{LANE_WIDTH}}" for each in there[arrow_to:])


def wrapped(text: str, width: int) -> list[str]:
    """*text* in lines of at most *width* columns, broken at spaces, and within a word that is longer than a line."""
    lines: list[str] = []
    line, used = "", -1
    for word in text.split(" "):
        *whole, rest = _pieces(word, width)
        size = columns(rest)
        if not whole and used + 1 + size <= width:
            line, used = f"{line} {rest}" if used >= 0 else rest, used + 1 + size
            continue
        lines += [line] * (used >= 0) + whole
        line, used = rest, size
    return [*lines, line]


def hung(head: str, text: str, width: int) -> list[str]:
    """*text* beside *head*, or below it where there is no room for both."""
    start = columns(head) + 1
    if width - start < LEAST_TEXT:
        return [head, *(f"  {part}" for part in wrapped(text, width - 2))]
    first, *others = wrapped(text, width - start)
    return [f"{head} {first}", *(" " * start + part for part in others)]


def columns(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    return len(text) if text.isascii() else sum(map(_column, text))


def _column(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _pieces(word: str, width: int) -> list[str]:
    """A word in pieces that a line has room for; most are one."""
    if columns(word) <= width:
        return [word]
    pieces, piece, used = list[str](), "", 0
    for character in word:
        size = _column(character)
        if piece and used + size > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + character, used + size
    return [*pieces, piece]


def _legend(ladder: Ladder, width: int) -> Iterator[str]:
    digits = len(str(len(ladder.lanes)))
    for lane in ladder.lanes:
        yield from hung(f"{lane.number:{digits}}", lane.legend, width)
