"""Fit text into columns of a terminal."""

from __future__ import annotations

from voicectl.cli.output.text import CUT


def columns(text: str) -> int:
    """Return the number of terminal columns that *text* takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 (loads rich, and most text is ASCII)

    return cell_len(text)


def fitted(text: str, width: int, cut: str = CUT) -> str:
    """Return *text*, shortened to *width* columns if necessary. The single character *cut* marks the cut."""
    if columns(text) <= width:
        return text
    if width < 1:
        return ""
    if text.isascii():
        return text[: width - 1] + cut
    from rich.cells import set_cell_size  # noqa: PLC0415 (as above)

    return set_cell_size(text[: 8 * width], width - 1) + cut  # long text would take long to measure


def fitted_party(text: str, width: int, cut: str = CUT) -> str:
    """Return a caller or callee in at most *width* columns. Numbers keep their last, most distinctive digits."""
    if text.removeprefix("+").isdecimal() and len(text) > width > 0:
        return cut + text[len(text) - width + 1 :]
    return fitted(text, width, cut)
