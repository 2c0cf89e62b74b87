"""The colors and styles of text on a terminal: one style for each status, and the escape sequences for a style.

Red means that something is wrong or missing, yellow means that something is still undecided, and green means that
something works.
"""

from __future__ import annotations

STYLES = {
    "answered": "green",
    "machine": "green",
    "human": "green",
    "ringing": "yellow",
    "started": "yellow",
    "busy": "red",
    "failed": "red",
    "rejected": "red",
    "timeout": "red",
    "unanswered": "red",
    "fail": "red",
    "error": "red",
    "warning": "yellow",
    "warn": "yellow",
    "ok": "green",
    "passed": "green",
}
"""The style of each status or outcome. Statuses and outcomes that are not listed have no style."""

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def styled(text: str, style: str) -> str:
    """Return *text* with escape sequences for *style*, such as ``bold red``, or unchanged if *style* is empty."""
    if not style or not text:
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"
