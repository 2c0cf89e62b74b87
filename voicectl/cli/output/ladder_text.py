"""Draw a ladder as plain text of any width.

A line consists of the time, the lanes and the text, from left to right. The text gets at least :data:`LEAST_TEXT`
columns, and the lanes get the rest. If some lanes do not fit, the remaining legs share the last lane (``+``). If no
lane fits, lines are drawn without lanes. Long text is wrapped, and the rails continue beside the wrapped lines.
Nothing is cut off, because a shortened id would be useless.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from voicectl.cli.output.ladder import ACTION, HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voicectl.cli.output.ladder import Ladder, Lane, Line

TIME_WIDTH = 14
LANE_WIDTH = 4
HERE_WIDTH = 6
LEAST_WIDTH = 16
LEAST_TEXT = 26
"""The smallest number of columns that is left for text beside the lanes."""


def draw(ladder: Ladder, width: int) -> str:
    """Return *ladder* as lines of at most *width* columns, or of :data:`LEAST_WIDTH` if that is greater."""
    width = max(width, LEAST_WIDTH)
    rails = Rails(ladder, width - TIME_WIDTH - LEAST_TEXT)
    text = list(_legend(ladder, width))
    text += ["", *([" " * TIME_WIDTH + rails.head] if rails.width else [])]
    for number, line in enumerate(ladder.lines):
        if line.day is not None:
            text.append(line.day)
        time = line.sign + line.time
        if not rails.width:
            text += hung(f"{time.strip()} {line.mark}".strip(), line.numbered_text, width)
            continue
        first, *others = wrapped(line.numbered_text, width - TIME_WIDTH - rails.width)
        text.append(f"{time:{TIME_WIDTH}}{rails.at(number, line)}{first}")
        text += [f"{'':{TIME_WIDTH}}{rails.below(number)}{each}" for each in others]
    if ladder.rest:
        text += ["", *(part for each in ladder.rest for part in hung("?", each, width))]
    text += ["", *wrapped(ladder.key(), width)]
    return "\n".join(line.rstrip() for line in text) + "\n"


class Rails:
    """The lanes of a ladder that fit beside the text. Legs that have no lane of their own share the last lane.

    Args:
        room: The number of columns available.

    Attributes:
        head: The line with the names of the lanes.
        width: The number of columns used, or 0 if no lane fits.
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
        """Return the lanes, as text, beside *line*, with its mark and, for an action, an arrow to the mark."""
        there = self._there(lane.first <= number <= lane.last for lane in self._lanes)
        if line.lane is None:
            return self._joined(there)
        place = self._places.get(line.lane.number, len(there) - 1)
        there[place] = line.mark
        return self._joined(there, place if line.mark == ACTION else None)

    def below(self, number: int) -> str:
        """Return the lanes, as text, beside a continuation of the line with the index *number*."""
        return self._joined(self._there(lane.first <= number < lane.last for lane in self._lanes))

    def _there(self, is_there: Iterable[bool]) -> list[str]:
        return ["|" if each else " " for each in is_there] + [" "] * self._has_rest

    def _joined(self, there: Sequence[str], arrow_to: int | None = None) -> str:
        """Return the lanes as text, with an arrow from ``here`` to the lane with the index *arrow_to*."""
        here = HERE_WIDTH * self._has_here
        if arrow_to is None:
            return " " * here + "".join(f"{each:{LANE_WIDTH}}" for each in there)
        crossed = ["+" if each == "|" else "-" for each in there[:arrow_to]]
        arrow = f"{'+':-<{here}}" + "".join(f"{each:-<{LANE_WIDTH}}" for each in crossed)
        return arrow + "".join(f"{each:{LANE_WIDTH}}" for each in there[arrow_to:])


def wrapped(text: str, width: int) -> list[str]:
    """Wrap *text* into lines of at most *width* columns, breaking words only if they are longer than a line."""
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
    """Return lines with *text* beside *head*, or below *head* if there is not enough room for both."""
    start = columns(head) + 1
    if width - start < LEAST_TEXT:
        return [head, *(f"  {part}" for part in wrapped(text, width - 2))]
    first, *others = wrapped(text, width - start)
    return [f"{head} {first}", *(" " * start + part for part in others)]


def columns(text: str) -> int:
    """Return the number of terminal columns that *text* takes."""
    return len(text) if text.isascii() else sum(map(_column, text))


def _column(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _pieces(word: str, width: int) -> list[str]:
    """Split a word into pieces of at most *width* columns."""
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
