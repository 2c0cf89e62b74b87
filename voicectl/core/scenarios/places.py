"""The positions of the values in a TOML text, which :mod:`tomllib` does not report.

The text must be valid TOML, so a value needs to be recognized only well enough to find its end.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicectl.core.scenarios.kinds import Path

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")


def places(text: str) -> dict[Path, tuple[int, int]]:
    """Return the line and column of each key and array item in *text*, counted from 1, by its path."""
    scanner = _Scanner(text)
    scanner.document()
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    lines = {path: bisect_right(starts, offset) for path, offset in scanner.offsets.items()}
    return {path: (line, scanner.offsets[path] - starts[line - 1] + 1) for path, line in lines.items()}


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tables: dict[Path, int] = {}
        """The number of tables so far in each array of tables."""
        self.offsets: dict[Path, int] = {(): 0}

    def document(self) -> None:
        table: Path = ()
        while not self._is_done():
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _is_done(self) -> bool:
        self._skip(_BLANK)
        return self._at >= len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = self._at if found is None else found.end()

    def _header(self) -> Path:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 1 + is_array
        *parents, name = self._key()
        self._at += 1 + is_array
        table: Path = ()
        for each in parents:
            table = self._inside((*table, each))
            self.offsets.setdefault(table, start)
        table = (*table, name)
        self.offsets.setdefault(table, start)
        if is_array:
            self._tables[table] = self._tables.get(table, 0) + 1
        table = self._inside(table)
        self.offsets.setdefault(table, start)
        return table

    def _inside(self, path: Path) -> Path:
        """Return *path* or, if it leads to an array of tables, the path of the last of these tables."""
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            bare = _BARE_KEY.match(self._text, self._at)
            found = bare or _STRING.match(self._text, self._at)
            assert found is not None  # noqa: S101 (the text is valid)
            parts.append(found[0] if bare else str(tomllib.loads(f"key = {found[0]}")["key"]))
            self._at = found.end()
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for each in self._key():
            path = (*path, each)
            self.offsets.setdefault(path, start)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case "[":
                self._items(path)
            case "{":
                self._inline_table(path)
            case "'" | '"':
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _items(self, path: Path) -> None:
        self._at += 1
        count = 0
        while not self._ends("]"):
            self.offsets[*path, count] = self._at
            self._value((*path, count))
            count += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._ends("}"):
            self._pair(path)

    def _ends(self, bracket: str) -> bool:
        """Skip a comma, and return True after skipping *bracket* if that comes next."""
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_BLANK)
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        return False
