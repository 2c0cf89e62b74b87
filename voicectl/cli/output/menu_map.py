"""Draw the map of a menu as SVG, in one file without scripts or references to other files, or as Mermaid text."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from voicectl.cli.output.ladder_svg import escape
from voicectl.cli.output.text import clean
from voicectl.core.crawl.menus import KEYS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.crawl.menus import Map, State

WIDTH, GAP, MARGIN, ROW, BETWEEN = 264, 72, 24, 16, 20
COLUMNS, LINES = 34, 4
"""The characters in a line of a box, and its greatest number of lines for what is said."""

_INK, _PAPER, _GRAY, _RED = "#1f2328", "#ffffff", "#6e7781", "#cf222e"
_COLORS = {
    Kind.MENU: "#0969da",
    Kind.CONNECTED: "#1a7f37",
    Kind.WAITING: "#8250df",
    Kind.ENDED: _GRAY,
    Kind.STUCK: _RED,
}


class Box(NamedTuple):
    """A state in the drawing: its place, and its lines of text."""

    state: State
    x: int
    y: int
    said: list[str]
    answers: list[tuple[str, int]]

    @property
    def height(self) -> int:
        """The height of the box."""
        return ROW * (1 + len(self.said) + len(self.answers)) + 12

    def row(self, at: int) -> int:
        """Return the vertical place of the text of an answer."""
        return self.y + ROW * (2 + len(self.said) + at)


def svg(menu: Map) -> str:
    """Return the drawing: a box for each state, in a column for the number of acts that lead to it."""
    wrong = {finding.state for finding in menu.findings}
    boxes = _boxes(menu)
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN
    height = max(box.y + box.height for box in boxes.values()) + MARGIN
    head = f"Menu at {clean(menu.to)}: states: {len(menu.states)}, findings: {len(menu.findings)}"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="monospace" font-size="12" fill="{_INK}">',
            f"<title>{escape(head)}</title>",
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
            f'<text x="{MARGIN}" y="{MARGIN}">{escape(head)}</text>',
            *(line for box in boxes.values() for line in _ways(box, boxes)),
            *(line for box in boxes.values() for line in _box(box, is_wrong=box.state.number in wrong)),
            "</svg>\n",
        ]
    )


def mermaid(menu: Map) -> str:
    """Return the map as a Mermaid flowchart."""
    lines = ["flowchart LR"]
    for state in menu.states:
        text = _quoted(clean(state.place.said or state.place.kind))
        lines.append(f'  s{state.number}["{state.number}: {text}"]')
    for state in menu.states:
        for label, target in _answers(state):
            lines.append(f'  s{state.number} -->|"{_quoted(label)}"| s{target}')
    lines += [f"  style s{number} stroke:{_RED}" for number in sorted({each.state for each in menu.findings})]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Escape *text* for a label of Mermaid, where entities begin with a hash."""
    return "".join(
        {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}.get(c, c) for c in text
    )


def _answers(state: State) -> list[tuple[str, int]]:
    """Return the acts of *state* by where they lead, such as ``1-3, *``."""
    by_state: dict[int, list[str]] = {}
    for act, answer in state.answers.items():
        by_state.setdefault(answer.state, []).append(act)
    return [(label(acts), target) for target, acts in by_state.items()]


def label(acts: list[str]) -> str:
    """Return acts as text, with a range for three keys or more that follow each other."""
    parts: list[list[str]] = []
    for act in acts:
        is_next = bool(parts) and act in KEYS[:9] and KEYS.find(act) == KEYS.find(parts[-1][-1]) + 1
        if is_next:
            parts[-1].append(act)
        else:
            parts.append([act])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(part) for part in parts)


def _boxes(menu: Map) -> dict[int, Box]:
    """Return the boxes by number. Each is as high as its parent, or below those that are there already."""
    boxes: dict[int, Box] = {}
    free: dict[int, int] = {}
    children: dict[tuple[str, ...], list[State]] = {}
    for state in menu.states[1:]:
        children.setdefault(state.path[:-1], []).append(state)
    waiting = [(menu.states[0], MARGIN * 2)]
    while waiting:
        state, y = waiting.pop()
        depth = len(state.path)
        said = wrap(clean(state.place.said), COLUMNS, max_lines=LINES, placeholder=" ...")
        y = max(y, free.get(depth, 0))
        box = Box(state, MARGIN + depth * (WIDTH + GAP), y, said, _answers(state))
        boxes[state.number], free[depth] = box, y + box.height + BETWEEN
        waiting += [(child, y) for child in reversed(children.get(state.path, []))]
    return boxes


def _box(box: Box, *, is_wrong: bool) -> Iterator[str]:
    color = _RED if is_wrong else _COLORS[box.state.place.kind]
    yield (
        f'<rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{box.height}" rx="5" fill="{_PAPER}"'
        f' stroke="{color}" stroke-width="{2 if is_wrong else 1}"/>'
    )
    yield _text(box.x + 8, box.y + ROW, f"{box.state.number} {box.state.place.kind}", color)
    for at, line in enumerate(box.said):
        yield _text(box.x + 8, box.y + ROW * (2 + at), line, _INK)
    for at, (acts, target) in enumerate(box.answers):
        where = "\u2192 again" if target == box.state.number else f"\u2192 {target}"
        shown = acts if len(acts) <= COLUMNS - 6 else f"{acts[: COLUMNS - 9]}..."
        yield _text(box.x + 8, box.row(at), f"{shown} {where}", _GRAY)


def _text(x: int, y: int, text: str, color: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{color}">{escape(text)}</text>'


def _ways(box: Box, boxes: dict[int, Box]) -> Iterator[str]:
    """Yield a line to each state that was first found from *box*. Other ways are shown by their numbers."""
    for at, (_, target) in enumerate(box.answers):
        child = boxes[target]
        if child.state.path[:-1] == box.state.path and child is not box and child.state.path:
            x, y, to = box.x + WIDTH, box.row(at) - 4, child.y + ROW - 4
            bend = x + GAP // 2
            yield (
                f'<path d="M{x} {y} C{bend} {y} {bend} {to} {child.x} {to}" fill="none" stroke="{_GRAY}"/>'
            )
