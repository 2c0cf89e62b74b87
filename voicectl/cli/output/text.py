"""Escape text from outside, and format values for output."""

from __future__ import annotations

import json
import math
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Matches control, format, surrogate and line-separating characters, and all invisible characters."""

CUT = "\u2026"
"""The character that marks where text was cut off."""

_take_remark: ContextVar[Callable[[str], None] | None] = ContextVar("take_remark", default=None)

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def clean(text: str) -> str:
    """Return *text* with control, zero-width and bidirectional characters escaped, so that it is safe to show."""
    if text.isascii() and text.isprintable():  # most text needs only this check, which is fast
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return *value* as JSON. All control characters, including DEL, are escaped. Infinite numbers become null."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), indent=indent)
    return text.replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    """Return *value* with None in place of infinite numbers, which JSON cannot represent.

    An infinite number can come from JSON input, because ``1e999`` is parsed as infinity.
    """
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def block(columns: Sequence[str], row: Sequence[str]) -> str:
    """Return a record as lines, each with the name and value of a column. Columns without a value are left out."""
    shown = [(name, cell) for name, cell in zip(columns, row, strict=True) if cell != "-"]
    width = max((len(name) for name, _ in shown), default=0)
    return "".join(f"{name:{width}}  {cell}\n" for name, cell in shown)


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if *stream* is a terminal."""
    return stream is not None and stream.isatty()


def may_color(environ: Mapping[str, str], stream: TextIO | None) -> bool:
    """Return True if colors and styles such as bold may be written to *stream*."""
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return not environ.get("NO_COLOR") and has_screen(environ, stream)


def has_screen(environ: Mapping[str, str], stream: TextIO | None) -> bool:
    """Return True if *stream* is a terminal on which the cursor can be moved, so that lines can be redrawn."""
    return environ.get("TERM") != "dumb" and is_terminal(stream)


def can_encode(text: str, encoding: str) -> bool:
    """Return True if *encoding* can represent all characters of *text*."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def cut_mark(encoding: str) -> str:
    """Return the character that marks where text was cut off, in output with the given encoding."""
    return CUT if can_encode(CUT, encoding) else "~"


def cut_for(stream: TextIO | None) -> str:
    """Return the character that marks where text was cut off, in output to *stream*."""
    return cut_mark(getattr(stream, "encoding", None) or "utf-8")


def remark(text: str) -> None:
    """Write a line to standard error, escaped by :func:`clean`. Do nothing if standard error is closed."""
    if (take := _take_remark.get()) is not None:
        take(clean(text))
    elif sys.stderr is not None:
        try:
            print(clean(text), file=sys.stderr, flush=True)  # noqa: T201 (all remarks are printed here)
        except OSError:
            return


@contextmanager
def remarks_to(take: Callable[[str], None]) -> Iterator[None]:
    """Pass the remarks that this thread makes in the ``with`` block to *take*, instead of to standard error."""
    token = _take_remark.set(take)
    try:
        yield
    finally:
        _take_remark.reset(token)
