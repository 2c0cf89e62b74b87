"""Draw a ladder as SVG for an incident report, in one file that contains no scripts or references to other files.

The drawing is filled from top to bottom. All lines are placed first, to determine their vertical positions. Then the
rail of each lane is drawn from the lane's first line to its last line, behind the marks. Text is first escaped as for
a terminal, and then for XML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voicectl.cli.output.ladder import ACTION, END, HERE, MISSING, OTHER, STATUS
from voicectl.cli.output.ladder_text import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.cli.output.ladder import Ladder, Line

MARGIN = 16
ROW = 18
CHARACTER = 7.3
"""The greatest width of a character in a 12-pixel monospaced font, in pixels."""

TIME_COLUMNS = 14
LANE = 44
TEXT_COLUMNS = 96

_COLORS = {STATUS: "#1a7f37", END: "#57606a", ACTION: "#0969da", MISSING: "#cf222e"}
_SHAPES = {STATUS: "green:", END: "cross:", OTHER: "violet:", ACTION: "arrow:", MISSING: "red ring:"}
_OTHER_COLOR = "#8250df"
_INK, _PALE, _PAPER = "#1f2328", "#afb8c1", "#ffffff"
_NO_XML = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def draw(ladder: Ladder, title: str) -> str:
    """Return *ladder* as an SVG document.

    Args:
        title: The subject of the trace and the time at which the trace was made, already escaped for a terminal.
    """
    sheet = _Sheet(ladder)
    body = [*sheet.head(title), *sheet.ladder(), *sheet.foot()]
    width, height = sheet.width, sheet.y + MARGIN
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="monospace" font-size="12" fill="{_INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
            *body,
            "</svg>\n",
        ]
    )


def escape(text: str) -> str:
    """Escape *text* for XML, replacing characters that XML does not allow."""
    return "".join(_ESCAPES.get(character, character) for character in _NO_XML.sub("\ufffd", text))


class _Sheet:
    """A drawing that is filled from top to bottom.

    Attributes:
        y: The current vertical position, in pixels from the top.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._lanes_x = MARGIN + round(TIME_COLUMNS * CHARACTER)
        count = len(ladder.lanes) + ladder.has_here
        self._text_x = self._lanes_x + LANE * count
        self.width = self._text_x + round(TEXT_COLUMNS * CHARACTER) + MARGIN
        self.y = MARGIN

    def head(self, title: str) -> Iterator[str]:
        """Yield the SVG elements for the title and the list of legs."""
        yield from self._paragraph(title, weight="bold")
        for lane in self._ladder.lanes:
            yield from self._paragraph(f"{lane.number}  {lane.legend}")
        self.y += ROW

    def ladder(self) -> Iterator[str]:
        """Yield the SVG elements for the lanes and the lines."""
        self.y += ROW
        names = [HERE] * self._ladder.has_here + [str(lane.number) for lane in self._ladder.lanes]
        for place, name in enumerate(names):
            yield self._text(self._x(place), name, anchor="middle", weight="bold")
        tops, lines = self._placed()
        bottom = self.y
        if self._ladder.has_here:
            yield self._rail(0, tops[0] if tops else bottom, bottom)
        for place, lane in enumerate(self._ladder.lanes, self._ladder.has_here):
            end = tops[lane.last] if lane.last < len(tops) else bottom
            yield self._rail(place, tops[lane.first], end)
        yield from lines
        self.y = bottom

    def foot(self) -> Iterator[str]:
        """Yield the SVG elements for the gaps that concern no single leg, and for the key."""
        for each in self._ladder.rest:
            yield from self._paragraph(f"? {each}", color=_COLORS[MISSING])
        self.y += ROW
        yield from self._paragraph(self._ladder.key(_SHAPES), color=_COLORS[END])

    def _placed(self) -> tuple[list[int], list[str]]:
        """Return the vertical position of each line, in pixels, and the SVG elements for all lines."""
        tops: list[int] = []
        drawn: list[str] = []
        for line in self._ladder.lines:
            self.y += ROW
            if line.day is not None:
                drawn.append(self._text(MARGIN, line.day, weight="bold"))
                self.y += ROW
            tops.append(self.y - 4)
            drawn += self._line(line)
        self.y += ROW
        return tops, drawn

    def _line(self, line: Line) -> Iterator[str]:
        color = _COLORS.get(line.mark, _OTHER_COLOR)
        yield self._text(MARGIN, line.sign + line.time)
        if line.lane is not None:
            x, y = self._x(line.lane.number - 1 + self._ladder.has_here), self.y - 4
            if line.mark == ACTION:
                yield f'<line x1="{self._x(0)}" y1="{y}" x2="{x - 6}" y2="{y}" stroke="{color}"/>'
                yield f'<path d="M{x - 1} {y} l-8 -4 v8 z" fill="{color}"/>'
            elif line.mark == END:
                yield f'<path d="M{x - 5} {y - 5} l10 10 m0 -10 l-10 10" stroke="{color}" stroke-width="2"/>'
            else:
                fill = _PAPER if line.mark == MISSING else color
                yield f'<circle cx="{x}" cy="{y}" r="5" fill="{fill}" stroke="{color}" stroke-width="2"/>'
        first, *others = wrapped(line.numbered_text, TEXT_COLUMNS)
        ink = color if line.mark == MISSING else _INK
        yield self._text(self._text_x, first, color=ink)
        for each in others:
            self.y += ROW
            yield self._text(self._text_x, each, color=ink)

    def _x(self, place: int) -> int:
        return self._lanes_x + LANE * place + LANE // 2

    def _rail(self, place: int, top: int, bottom: int) -> str:
        x = self._x(place)
        return f'<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}" stroke="{_PALE}" stroke-width="2"/>'

    def _paragraph(self, text: str, *, color: str = _INK, weight: str = "normal") -> Iterator[str]:
        for part in wrapped(text, int((self.width - 2 * MARGIN) / CHARACTER)):
            self.y += ROW
            yield self._text(MARGIN, part, color=color, weight=weight)

    def _text(
        self, x: float, text: str, *, color: str = _INK, weight: str = "normal", anchor: str = "start"
    ) -> str:
        more = "" if color == _INK else f' fill="{color}"'
        more += "" if weight == "normal" else f' font-weight="{weight}"'
        more += "" if anchor == "start" else f' text-anchor="{anchor}"'
        return f'<text x="{x}" y="{self.y}" xml:space="preserve"{more}>{escape(text)}</text>'
