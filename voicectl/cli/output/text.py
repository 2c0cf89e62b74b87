"""Text at the output edge: the one place that escapes what comes from outside, and how a value is written."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Control, format, surrogate and line-separating characters, and all that are shown as nothing at all."""

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def clean(text: str) -> str:
    """Make *text* from outside safe to show: control, C1, zero-width and bidi characters become escapes."""
    if text.isascii() and text.isprintable():  # most text, in a quarter of the time
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON in which no control character stands as itself, DEL included; a number beyond all bounds is null."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), indent=indent)
    return text.replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    """*value* without what JSON cannot say: ``1e999`` is read as an infinite number."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def block(columns: Sequence[str], row: Sequence[str]) -> str:
    """One record as lines of name and value, without what it lacks."""
    shown = [(name, cell) for name, cell in zip(columns, row, strict=True) if cell != "-"]
    width = max((len(name) for name, _ in shown), default=0)
    return "".join(f"{name:{width}}  {cell}\n" for name, cell in shown)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether *stream* is a terminal."""
    return stream is not None and stream.isatty()


def may_color(environ: Mapping[str, str], stream: TextIO | None) -> bool:
    """Whether escape bytes may be written to *stream*."""
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb" and is_terminal(stream)


def remark(text: str) -> None:
    """Write a line to standard error, cleaned; where that is closed there is nobody to tell."""
    if sys.stderr is not None:
        try:
            print(clean(text), file=sys.stderr, flush=True)  # noqa: T201 (the one place that prints remarks)
        except OSError:
            return
