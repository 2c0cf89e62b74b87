"""Draw tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.cli.output.fit import columns as columns_of
from voicectl.cli.output.fit import fitted
from voicectl.cli.output.styles import STYLES, styled
from voicectl.cli.output.text import can_encode, cut_mark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

GAP = 2
"""The number of blanks between two columns."""

LEAST_CELLS = 12
"""The width to which a column may be cut, which is enough for a telephone number."""

LONGEST_ID = 40
"""The length of a conversation id. A longer value is not an id, even in a column for ids, so it can be cut."""

IDS = frozenset({"id", "uuid", "conversation_uuid", "recording_uuid", "reference", "application_id"})
"""The columns that are never cut, because a part of an id is useless."""


def draw(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    is_colored: bool,
    width: int | None = None,
    may_omit: bool = True,
    whole: Collection[str] = (),
    encoding: str = "utf-8",
) -> str:
    """Return a table with a header.

    Args:
        rows: The cells, with everything that comes from outside escaped.
        width: The width of the terminal, or None to draw every cell whole. On a narrow terminal the last columns are
            left out, and long cells are cut.
        may_omit: False to keep all columns, even if they do not fit.
        whole: The columns that are not cut, in addition to the columns for ids.
        encoding: The encoding of the output. Characters that it cannot represent are escaped.
    """
    rule, mark = "─" if can_encode("─", encoding) else "-", cut_mark(encoding)
    if not encoding.lower().startswith("utf"):
        rows = [[cell.encode(encoding, "backslashreplace").decode(encoding) for cell in row] for row in rows]
    widths = [max(map(columns_of, column)) for column in zip(columns, *rows, strict=True)]
    if width is not None:
        widths = _fit(widths, width, [name in IDS or name in whole for name in columns], may_omit=may_omit)
    lines = [_line([(name, "bold") for name in columns], widths, mark, is_colored=is_colored)]
    total = sum(widths) + GAP * (len(widths) - 1)
    lines.append(rule * (total if width is None else min(total, max(width, 1))))
    for row in rows:
        cells = [(cell, STYLES.get(cell, "")) for cell in row]
        lines.append(_line(cells, widths, mark, is_colored=is_colored))
    return "\n".join(lines) + "\n"


def _fit(widths: Sequence[int], limit: int, is_whole: Sequence[bool], *, may_omit: bool) -> list[int]:
    """Return the widths of the first columns, as many as fit in *limit* terminal columns.

    A column can be cut to :data:`LEAST_CELLS`, unless it should stay whole. The widest column is cut first.
    """
    least = [
        own if stays and own <= LONGEST_ID else min(own, LEAST_CELLS)
        for own, stays in zip(widths, is_whole, strict=True)
    ]
    count = len(widths)
    while may_omit and count > 1 and sum(least[:count]) + GAP * (count - 1) > limit:
        count -= 1
    found = [min(own, max(limit, floor)) for own, floor in zip(widths[:count], least, strict=False)]
    excess = sum(found) + GAP * (count - 1) - limit
    while excess > 0:
        widest = max(range(count), key=lambda at: found[at] if found[at] > least[at] else 0)
        if found[widest] <= least[widest]:
            break
        found[widest] -= 1
        excess -= 1
    return found


def _line(cells: Iterable[tuple[str, str]], widths: Sequence[int], mark: str, *, is_colored: bool) -> str:
    parts: list[str] = []
    for (cell, style), width in zip(cells, widths, strict=False):
        text = fitted(cell, width, mark)
        blanks = " " * (width - columns_of(text))
        parts.append((styled(text, style) if is_colored else text) + blanks)
    return (" " * GAP).join(parts).rstrip()
