"""A table on a terminal, by rich."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

ID_WIDTH = 36
GAP_WIDTH = 3

_STYLES = {
    "answered": "green",
    "machine": "green",
    "ringing": "yellow",
    "started": "yellow",
    "busy": "red",
    "failed": "red",
    "rejected": "red",
    "timeout": "red",
    "unanswered": "red",
    "fail": "red",
    "ok": "green",
}


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]], *, is_colored: bool) -> str:
    """A table with a header; ids are never cut, other cells wrap down to their names where the terminal is narrow."""
    least = {name: ID_WIDTH if name == "uuid" else len(name) for name in columns}
    width = max(shutil.get_terminal_size().columns, sum(least.values()) + GAP_WIDTH * len(columns))
    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
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
        shown.add_column(name, overflow="fold", no_wrap=name == "uuid", min_width=least[name])
    for row in rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "") if is_colored else "") for cell in row))
    console.print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
