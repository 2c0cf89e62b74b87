"""Draw the outcomes of a batch over time as SVG, in one file without scripts or references to other files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from voicectl import times
from voicectl.cli.output.ladder_svg import escape
from voicectl.cli.output.text import clean
from voicectl.core.batch.attempts import Outcome
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.store.batches.records import BatchStore

BARS = 60
WIDTH, HEIGHT, MARGIN, ROW = 720, 240, 24, 18
_INK, _PAPER = "#1f2328", "#ffffff"
_COLORS = {
    Outcome.CONFIRMED: "#116329",
    Outcome.ANSWERED: "#1a7f37",
    Outcome.UNVERIFIED: "#8250df",
    Outcome.MACHINE: "#0969da",
    Outcome.BUSY: "#bf8700",
    Outcome.NO_ANSWER: "#9a6700",
    Outcome.IN_DOUBT: "#cf222e",
    Outcome.FAILED: "#a40e26",
}
_OTHER = "#6e7781"


def write(path: Path, title: str, store: BatchStore) -> None:
    """Write the drawing to *path*.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        path.write_text(draw(title, store), "utf-8")
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc.strerror}.", hint="Check the path.") from exc


def draw(title: str, store: BatchStore) -> str:
    """Return the drawing: a stacked bar for each period, with the number of people by outcome."""
    settled: Counter[tuple[float, str]] = Counter()
    for person in store.people():
        if person.outcome is not None and person.settled_at is not None:
            settled[round(person.settled_at, 1), person.outcome] += 1
    first = min((at for at, _ in settled), default=0.0)
    last = max((at for at, _ in settled), default=0.0)
    span = max(last - first, 1.0)
    bars: list[Counter[str]] = [Counter() for _ in range(BARS)]
    for (at, outcome), count in settled.items():
        bars[min(int((at - first) / span * BARS), BARS - 1)][outcome] += count
    legend = sum(bars, Counter())
    height = HEIGHT + 3 * MARGIN + ROW * len(legend)
    head = f"{clean(title)}: {sum(legend.values())} people, {times.utc(first)} to {times.utc(last)}"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * MARGIN}" height="{height}"'
            f' font-family="monospace" font-size="12" fill="{_INK}">',
            f"<title>{escape(head)}</title>",
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
            f'<text x="{MARGIN}" y="{MARGIN - 6}">{escape(head)}</text>',
            *_bars(bars),
            *_legend(legend),
            "</svg>\n",
        ]
    )


def _bars(bars: list[Counter[str]]) -> Iterator[str]:
    most = max((bar.total() for bar in bars), default=0) or 1
    width = WIDTH / BARS
    for index, bar in enumerate(bars):
        bottom = float(MARGIN + HEIGHT)
        for outcome in Outcome:
            if bar[outcome]:
                size = bar[outcome] / most * HEIGHT
                bottom -= size
                yield (
                    f'<rect x="{MARGIN + index * width:.1f}" y="{bottom:.1f}" width="{width - 1:.1f}"'
                    f' height="{size:.1f}" fill="{_COLORS.get(outcome, _OTHER)}"/>'
                )


def _legend(counts: Counter[str]) -> Iterator[str]:
    y = HEIGHT + 2 * MARGIN
    for outcome in Outcome:
        if counts[outcome]:
            y += ROW
            color = _COLORS.get(outcome, _OTHER)
            yield f'<rect x="{MARGIN}" y="{y - 10}" width="10" height="10" fill="{color}"/>'
            yield f'<text x="{MARGIN + 18}" y="{y}">{outcome.value} {counts[outcome]}</text>'
