"""Draw tables for a terminal."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from voicectl.cli.output.styles import STYLES
from voicectl.cli.output.text import block

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP_WIDTH = 3


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]], *, is_colored: bool) -> str:
    """Return a table with a header or, if the terminal is too narrow, a block of lines for each record.

    Nothing is cut off, because a shortened id would be useless.
    """
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    width = sum(widths) + GAP_WIDTH * (len(widths) - 1)
    if width > shutil.get_terminal_size().columns:
        return "\n".join(block(columns, row) for row in rows)
    text = io.StringIO()
    console = Console(
        file=text,
        width=width + GAP_WIDTH,
        force_terminal=is_colored,
        no_color=not is_colored,
        color_system="standard" if is_colored else None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    shown = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold" if is_colored else ""
    )
    for name in columns:
        shown.add_column(name, no_wrap=True)
    for row in rows:
        shown.add_row(*(Text(cell, style=STYLES.get(cell, "") if is_colored else "") for cell in row))
    console.print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
