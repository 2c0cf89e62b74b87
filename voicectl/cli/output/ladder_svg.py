"""Draw a ladder as SVG for an incident report, in one file that contains no scripts or references to other files.

The drawing is filled from top to bottom. All lines are placed first, to determine their vertical positions. Then a
rail (a vertical line) is drawn for each lane, from the lane's first line to its last line, behind the marks. Text is
first escaped as for a terminal, and then for XML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voicectl.cli.output.fit import columns, fitted_party
from voicectl.cli.output.ladder import ACTION, BAD, END, HERE, MISSING, OTHER, OURS
from voicectl.cli.output.ladder_text import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.cli.output.ladder import Ladder, Lane, Line

MARGIN = 16
ROW = 18
SHAPE = 10
CHARACTER = 7.3
"""The greatest width of a character in a 12-pixel monospaced font, in pixels."""

TIME_COLUMNS = 14
WIDE_LANE, LANE = 104, 44
MOST_WIDE_LANES = 12
"""The greatest number of legs whose lanes are wide enough for the leg's id and party."""

TEXT_COLUMNS = 96

_COLORS = {"red": "#cf222e", "green": "#1a7f37", "yellow": "#9a6700", "cyan": "#0969da"}
_PLAIN = {OTHER: "#8250df"}
_INK, _GRAY, _PALE, _PAPER = "#1f2328", "#57606a", "#afb8c1", "#ffffff"
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


def _color(mark: str, style: str) -> str:
    return _COLORS.get(style) or _PLAIN.get(mark, _GRAY)


class _Sheet:
    """A drawing that is filled from top to bottom.

    Attributes:
        y: The current vertical position, in pixels from the top.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._is_wide = len(ladder.lanes) <= MOST_WIDE_LANES
        self._lane = WIDE_LANE if self._is_wide else LANE
        self._lanes_x = MARGIN + round(TIME_COLUMNS * CHARACTER) + LANE * ladder.has_here
        self._text_x = self._lanes_x + self._lane * len(ladder.lanes) + MARGIN
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
        yield from self._heads()
        tops, lines = self._placed()
        bottom = self.y
        if self._ladder.has_here:
            yield self._rail(self._here_x, tops[0] if tops else bottom, bottom)
        for lane in self._ladder.lanes:
            end = tops[lane.last] if lane.last < len(tops) else bottom
            yield self._rail(self._x(lane), tops[lane.first], end)
        yield from lines
        self.y = bottom

    def _heads(self) -> Iterator[str]:
        """Yield the SVG elements for the names of the lanes."""
        if self._ladder.has_here:
            yield self._text(self._here_x, HERE, anchor="middle", weight="bold")
        for lane in self._ladder.lanes:
            name = f"{lane.number} {lane.short}"
            if columns(name) > self._lane / CHARACTER:
                name = str(lane.number)
            yield self._text(self._x(lane), name, anchor="middle", weight="bold")
        if self._is_wide:
            self.y += ROW
            for lane in self._ladder.lanes:
                party = fitted_party(lane.far_end, int(self._lane / CHARACTER))
                yield self._text(self._x(lane), party, anchor="middle", color=_GRAY)

    def foot(self) -> Iterator[str]:
        """Yield the SVG elements for the legend, and for the gaps that do not belong to one particular leg."""
        for each in self._ladder.rest:
            yield from self._paragraph(f"? {each}", color=_COLORS[BAD])
        self.y += ROW
        for mark, meaning in self._ladder.marks.items():
            self.y += ROW
            style = {MISSING: BAD, ACTION: OURS}.get(mark, "")
            x = MARGIN + (2 * SHAPE if mark == ACTION else SHAPE)
            yield from self._shape(mark, x, self.y - 4, _color(mark, style), start=MARGIN)
            yield self._text(MARGIN + 2 * ROW, meaning, color=_GRAY)
        for color, meaning in self._ladder.colors.items():
            yield from self._paragraph(f"{color}: {meaning}", color=_COLORS[color])
        for sign, meaning in self._ladder.signs.items():
            yield from self._paragraph(f"{sign}  {meaning}", color=_GRAY)

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
        yield self._text(MARGIN, line.sign + line.time)
        if line.lane is not None:
            color = _color(line.mark, line.style)
            yield from self._shape(line.mark, self._x(line.lane), self.y - 4, color, start=self._here_x)
        first, *others = wrapped(line.numbered_text, TEXT_COLUMNS)
        ink = _COLORS[BAD] if line.is_bad else _INK
        yield self._text(self._text_x, first, color=ink)
        for each in others:
            self.y += ROW
            yield self._text(self._text_x, each, color=ink)

    def _shape(self, mark: str, x: int, y: int, color: str, *, start: int) -> Iterator[str]:
        """Yield the SVG elements for a mark; an action is an arrow from *start* to *x*."""
        if mark == ACTION:
            yield f'<line x1="{start}" y1="{y}" x2="{x - 6}" y2="{y}" stroke="{color}"/>'
            yield f'<path d="M{x - 1} {y} l-8 -4 v8 z" fill="{color}"/>'
        elif mark == END:
            yield f'<path d="M{x - 5} {y - 5} l10 10 m0 -10 l-10 10" stroke="{color}" stroke-width="2"/>'
        else:
            fill = _PAPER if mark == MISSING else color
            yield f'<circle cx="{x}" cy="{y}" r="5" fill="{fill}" stroke="{color}" stroke-width="2"/>'

    @property
    def _here_x(self) -> int:
        return self._lanes_x - LANE // 2

    def _x(self, lane: Lane) -> int:
        return self._lanes_x + self._lane * (lane.number - 1) + self._lane // 2

    def _rail(self, x: int, top: int, bottom: int) -> str:
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
