"""Draw who hears whom: a row for each listener and a column for each speaker.

Each row is labelled with the number, the id and the party of a leg. The columns have the same labels if there is
room; otherwise, only the numbers. Columns that do not fit beside the others are drawn in another table below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voicectl.cli.output.fit import columns, fitted, fitted_party
from voicectl.cli.output.styles import styled
from voicectl.cli.output.text import CUT
from voicectl.core.calls.references import shortest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SELF = "."
UNKNOWN = "?"
NARROW = 4
GAP = 2
_STYLES = {"yes": "green", UNKNOWN: "yellow"}
_MEANINGS = {SELF: "the leg itself", UNKNOWN: "unknown; -o json shows why"}


class Party(NamedTuple):
    """A leg of the conversation, with its full id and its telephone number or name. Both are safe to show."""

    uuid: str
    name: str


def draw(
    parties: Sequence[Party],
    verdicts: Sequence[Sequence[str]],
    width: int,
    *,
    is_colored: bool = False,
    cut: str = CUT,
) -> str:
    """Return the table, as lines of at most *width* columns if that is possible.

    Args:
        verdicts: For each listener, whether it hears each speaker: ``yes``, ``no``, ``?``, or ``.`` for itself.
        cut: The character that marks where text was cut off.
    """
    short = shortest(party.uuid for party in parties)
    ids = [short.get(party.uuid, party.uuid) for party in parties]
    numbers = [str(number) for number in range(1, len(parties) + 1)]
    digits = len(numbers[-1])
    labels = [
        fitted(f"{number:>{digits}} {short}  {party.name}", max(width - 2 * NARROW - GAP, 0), cut)
        for number, short, party in zip(numbers, ids, parties, strict=True)
    ]
    label = max(columns(each) for each in ["hears", *labels]) + GAP
    names = [party.name for party in parties]
    wide = min(max(map(columns, [*ids, *names])) + GAP, (width - label) // len(parties))
    is_wide = wide >= max(map(len, ids)) + GAP
    cell = wide if is_wide else max(NARROW, digits + GAP)
    heads = [numbers, ids, [fitted_party(name, cell - GAP, cut) for name in names]] if is_wide else [numbers]
    count = max((width - label) // cell, 1)
    lines: list[str] = []
    for first in range(0, len(parties), count):
        part = slice(first, first + count)
        for row, texts in enumerate(heads):
            shown = _padded("" if row else "hears", label) + "".join(
                _padded(each, cell) for each in texts[part]
            )
            lines.append(styled(shown.rstrip(), "bold") if is_colored else shown)
        for name, cells in zip(labels, verdicts, strict=True):
            shown_cells = (_cell(each, cell, is_colored=is_colored) for each in cells[part])
            lines.append(_padded(name, label) + "".join(shown_cells))
        lines.append("")
    lines += _key(verdicts)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _cell(text: str, width: int, *, is_colored: bool) -> str:
    return (styled(text, _STYLES.get(text, "")) if is_colored else text) + " " * (width - len(text))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _key(verdicts: Sequence[Sequence[str]]) -> Iterator[str]:
    used = {each for row in verdicts for each in row}
    yield from (f"{sign} {meaning}" for sign, meaning in _MEANINGS.items() if sign in used)
