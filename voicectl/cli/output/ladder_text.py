"""Draw a ladder as text of any width, in color if the terminal may show colors.

A line consists of the time, the lanes and the text, from left to right. If there is room, lanes are wide enough for
a prefix of the leg's id and for the party; otherwise, they show the numbers of the legs in the list above. The
text gets at least :data:`LEAST_TEXT` columns, and the lanes get the rest. If some lanes do not fit, the remaining
legs share the last lane (``+``). If no lane fits, lines are drawn without lanes. Long text is wrapped, and the lanes
continue beside the wrapped lines. Only the names above the lanes are cut off, because the list has them in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.cli.output.fit import columns, fitted_party
from voicectl.cli.output.ladder import ACTION, BAD, HERE
from voicectl.cli.output.styles import styled
from voicectl.cli.output.text import CUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voicectl.cli.output.ladder import Ladder, Lane, Line

TIME_WIDTH = 14
LANE_WIDTH = 4
HERE_WIDTH = 6
LEAST_WIDTH = 16
LEAST_TEXT = 26
"""The minimum number of columns that is kept free for text. Lanes for which there is no room are left out."""

GOOD_TEXT = 42
"""The number of columns that is kept free for text if lanes are widened to fit the names above them."""


def draw(ladder: Ladder, width: int, *, is_colored: bool = False, cut: str = CUT) -> str:
    """Return *ladder* as lines of at most *width* columns, or of :data:`LEAST_WIDTH` if that is greater.

    Args:
        cut: The character that marks where text was cut off.
    """
    width = max(width, LEAST_WIDTH)
    rails = Rails(ladder, width - TIME_WIDTH, is_colored=is_colored, cut=cut)
    text = [*_legend(ladder, width), "", *(" " * TIME_WIDTH + head for head in rails.heads)]
    for number, line in enumerate(ladder.lines):
        if line.day is not None:
            text.append(line.day)
        time = line.sign + line.time
        if not rails.width:
            shown = hung(f"{time.strip()} {line.mark}".strip(), line.numbered_text, width)
            text += _colored(shown, line) if is_colored else shown
            continue
        shown = wrapped(line.numbered_text, width - TIME_WIDTH - rails.width)
        first, *others = _colored(shown, line) if is_colored else shown
        text.append(f"{time:{TIME_WIDTH}}{rails.at(number, line)}{first}")
        text += [f"{'':{TIME_WIDTH}}{rails.below(number)}{each}" for each in others]
    if ladder.rest:
        rest = (part for each in ladder.rest for part in hung("?", each, width))
        text += ["", *(styled(each, BAD) if is_colored else each for each in rest)]
    text += ["", *_key(ladder, width, is_colored=is_colored)]
    return "\n".join(line.rstrip() for line in text) + "\n"


class Rails:
    """The lanes of a ladder that fit beside the text. Legs that have no lane of their own share the last lane.

    Args:
        room: The number of columns available for the lanes and the text.

    Attributes:
        heads: The lines with the names of the lanes.
        width: The number of columns used, or 0 if no lane fits.
    """

    def __init__(self, ladder: Ladder, room: int, *, is_colored: bool = False, cut: str = CUT) -> None:
        self._start = HERE_WIDTH if ladder.has_here else 0
        self._is_colored = is_colored
        self._cut = cut
        names = [(lane.short, lane.far_end) for lane in ladder.lanes]
        widest = max((columns(each) for name in names for each in name), default=0) + 2
        least = max((columns(short) for short, _ in names), default=0) + 1
        share = (room - self._start - GOOD_TEXT) // max(len(names), 1)
        is_wide = least <= share
        self._lane = min(widest, share) if is_wide else LANE_WIDTH
        most = max(room - self._start - LEAST_TEXT, 0) // self._lane
        is_all = len(names) <= most
        self._lanes: Sequence[Lane] = ladder.lanes if is_all else ladder.lanes[: max(most - 1, 0)]
        self._has_rest = not is_all
        self.width = self._start + self._lane * (len(self._lanes) + self._has_rest) if self._lanes else 0
        self.heads = self._heads(is_wide=is_wide) if self._lanes else []
        self._places = {lane.number: place for place, lane in enumerate(self._lanes)}

    def _heads(self, *, is_wide: bool) -> list[str]:
        here = f"{HERE:{self._start}}" if self._start else ""
        numbers = [str(each.number) for each in self._lanes] + ["+"] * self._has_rest
        heads = [here + "".join(f"{each:{self._lane}}" for each in numbers)]
        if is_wide:
            parties = [fitted_party(each.far_end, self._lane - 1, self._cut) for each in self._lanes]
            for names in ([each.short for each in self._lanes], parties):
                padded = (each + " " * (self._lane - columns(each)) for each in names)
                heads.append(" " * self._start + "".join(padded))
        return heads

    def at(self, number: int, line: Line) -> str:
        """Return the lanes beside *line* as text, with the mark of the line.

        If the mark stands for an action, an arrow leads to it.
        """
        there = self._there(lane.first <= number <= lane.last for lane in self._lanes)
        if line.lane is None:
            return self._joined(there)
        place = self._places.get(line.lane.number, len(there) - 1)
        there[place] = line.mark
        return self._joined(there, place, style=line.style, is_arrow=line.mark == ACTION)

    def below(self, number: int) -> str:
        """Return the lanes beside a continuation of the line with index *number*, as text."""
        return self._joined(self._there(lane.first <= number < lane.last for lane in self._lanes))

    def _there(self, is_there: Iterable[bool]) -> list[str]:
        return ["|" if each else " " for each in is_there] + [" "] * self._has_rest

    def _joined(
        self, there: Sequence[str], place: int | None = None, *, style: str = "", is_arrow: bool = False
    ) -> str:
        """Return the lanes as text, with *style* applied to the lane at index *place*.

        Args:
            is_arrow: True to draw an arrow from ``here`` to that lane.
        """
        cells = [f"{each:{self._lane}}" for each in there]
        start = " " * self._start
        if is_arrow and place is not None:
            start = f"{'+':-<{self._start}}"
            cells[:place] = [f"{'+' if each == '|' else '-':-<{self._lane}}" for each in there[:place]]
        if place is not None and self._is_colored:
            cells[place] = styled(there[place], style) + " " * (self._lane - 1)
        return start + "".join(cells)


def _colored(lines: Sequence[str], line: Line) -> list[str]:
    """Return the text of a line in color.

    If something is wrong or missing, the whole text is colored. If not, only the words for what happened are colored.
    """
    if line.is_bad:
        return [styled(each, BAD) for each in lines]
    first, *others = lines
    return [first.replace(line.what, styled(line.what, line.style), 1) if line.what else first, *others]


def _key(ladder: Ladder, width: int, *, is_colored: bool) -> Iterator[str]:
    """Yield lines that explain the marks, colors and signs."""
    parts = [f"{mark} {meaning}" for mark, meaning in ladder.marks.items()]
    if is_colored:
        parts += [f"{color}: {meaning}" for color, meaning in ladder.colors.items()]
    line = ""
    for part in parts:
        if line and len(line) + 3 + len(part) > width:
            yield from wrapped(line, width)
            line = ""
        line += ("   " if line else "") + part
    yield from wrapped(line, width)
    for sign, meaning in ladder.signs.items():
        yield from hung(sign, meaning, width)


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


def _pieces(word: str, width: int) -> list[str]:
    """Split a word into pieces of at most *width* columns."""
    if columns(word) <= width:
        return [word]
    pieces, piece, used = list[str](), "", 0
    for character in word:
        size = columns(character)
        if piece and used + size > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + character, used + size
    return [*pieces, piece]


def _legend(ladder: Ladder, width: int) -> Iterator[str]:
    digits = len(str(len(ladder.lanes)))
    for lane in ladder.lanes:
        yield from hung(f"{lane.number:{digits}}", lane.legend, width)
