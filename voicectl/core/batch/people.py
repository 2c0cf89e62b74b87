"""Reading the list of a batch: people with their numbers, from CSV or JSON lines.

A list is read row by row, so that its length does not matter. Each row becomes a person, or a fault with its line and
column; a fault in one row does not end the reading. Numbers are normalised here, before anything is compared.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from voicectl.errors import InputError
from voicectl.store.batches.records import Person
from voicectl.voice import endpoint
from voicectl.voice.ncco.languages import SPOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TO_COLUMNS = ("to", "number", "phone")
"""The names of the column with the number, in the order in which they are looked for."""

LANGUAGE = "language"
MAX_ROW_CHARACTERS = 1 << 20

_PEEK_BYTES = 4096
_UNDECODED = re.compile("[\udc80-\udcff]")  # bytes that are not text
_PLAIN = re.compile(r"(?:\+[1-9]|1)[0-9]{6,14}|[2-9][0-9]{6,14}")

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_YES = frozenset({"yes", "y", "true", "1"})
_NO = frozenset({"no", "n", "false", "0", ""})
_LANGUAGES = frozenset(code.lower() for code in SPOKEN)
NO_CONSENT = ("refused", "no consent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a list that have a meaning. Each is None if it is not used.

    Attributes:
        to: The column with the number or endpoint to call; None for the first of :data:`TO_COLUMNS`.
        second: The column with another number of the same person.
        consent: The column that says whether the person may be called.
        timezone: The column with the person's time zone, such as ``Europe/London``.
    """

    to: str | None = None
    second: str | None = None
    consent: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A fault in a list.

    Attributes:
        line: The line on which the row begins.
        column: The name of the column with the fault, or None if the fault concerns the whole row.
    """

    line: int
    column: str | None
    fault: str

    def __str__(self) -> str:
        """Return the fault with its place."""
        return f"line {self.line}{f', column {self.column}' if self.column else ''}: {self.fault}"


class PeopleList:
    """A list of people, which can be read once.

    Args:
        file: The list, as bytes.
        where: The name of the list for error messages.

    Attributes:
        names: The names of all columns.

    Raises:
        InputError: The list is empty, is not text, or has no column with numbers.
    """

    def __init__(self, file: io.BufferedReader, columns: Columns, where: str) -> None:
        self._where = where
        beginning = file.peek(_PEEK_BYTES)[:_PEEK_BYTES]
        if not beginning.strip():
            raise InputError(
                f"{where} is empty.", hint="Give a list with a header and a row for each person."
            )
        encoding = next((name for bom, name in _BOMS.items() if beginning.startswith(bom)), "utf-8")
        self._text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
        text = beginning.decode(encoding, "replace").lstrip("\ufeff \t\r\n")
        self._rows = self._json_rows() if text.startswith("{") else self._csv_rows(_delimiter(text))
        self._line = 0
        self._has_nul = False
        self.names = self._header()
        self._to = self._column(columns.to, "--to-column") if columns.to else self._usual_column()
        self._second = columns.second and self._column(columns.second, "--second-column")
        self._consent = columns.consent and self._column(columns.consent, "--consent-column")
        self._timezone = columns.timezone and self._column(columns.timezone, "--timezone-column")

    def __iter__(self) -> Iterator[Person | BadRow]:
        """Yield a person or a fault for each row. Blank rows are skipped."""
        try:
            for line, row in self._rows:
                yield row if isinstance(row, BadRow) else self._person(line, row)
        except csv.Error as exc:
            yield BadRow(line=self._line + 1, column=None, fault=f"the row cannot be read: {exc}")
        except UnicodeError:
            yield BadRow(
                line=self._line + 1,
                column=None,
                fault="the text that follows is not UTF-8; save the list as UTF-8",
            )

    def _person(self, line: int, row: Mapping[str, str]) -> Person | BadRow:
        column = self._to
        try:
            to = normal(row.get(column, ""))
            second = None
            if self._second and row.get(self._second, "").strip():
                column = self._second
                second = normal(row[column])
            refusal = None
            if self._consent:
                column = self._consent
                refusal = None if _has_consent(row.get(column, "")) else NO_CONSENT
            if self._timezone:
                column = self._timezone
                zone(row.get(column, "").strip())
            if row.get(LANGUAGE, "").strip():
                column = LANGUAGE
                _check_language(row[LANGUAGE].strip())
        except InputError as exc:
            return BadRow(line=line, column=column, fault=" ".join(filter(None, [exc.message, exc.hint])))
        return Person(line=line, to=to, second=None if second == to else second, fields=row, refusal=refusal)

    def _csv_rows(self, delimiter: str) -> Iterator[tuple[int, Mapping[str, str] | BadRow]]:
        """Yield the header, as the keys of a row without values, and then each row with its line."""
        reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)
        names: list[str] | None = None
        for row in reader:
            begins, self._line = self._line + 1, reader.line_num
            if not "".join(row).strip():
                continue
            if names is None:
                names = [name.strip() for name in row]
                self._check_names(names)
                yield begins, dict.fromkeys(names, "")
            elif len(row) != len(names):
                fault = f"the row has {len(row)} fields, but the header has {len(names)}"
                yield begins, BadRow(line=begins, column=None, fault=fault)
            else:
                found = dict(zip(names, row, strict=True))
                broken = [name for name, cell in found.items() if "\0" in cell] if self._has_nul else None
                self._has_nul = False
                fault = "the value contains a NUL character"
                yield begins, BadRow(line=begins, column=broken[0], fault=fault) if broken else found

    def _json_rows(self) -> Iterator[tuple[int, Mapping[str, str] | BadRow]]:
        """Yield the keys of the first object, as the header, and then each object with its line."""
        has_header = False
        for text in self._lines():
            self._line += 1
            if not text.strip():
                continue
            row = _json_row(text, self._line)
            if not has_header:
                has_header = True
                if isinstance(row, BadRow):
                    raise InputError(f"{self._where}: {row}.", hint="Write one JSON object on each line.")
                self._check_names(list(row))
                yield self._line, dict.fromkeys(row, "")
            yield self._line, row

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(MAX_ROW_CHARACTERS):
            if len(line) == MAX_ROW_CHARACTERS:
                raise csv.Error("it is longer than 1 MiB")
            if "\0" in line:
                self._has_nul = True
            if not line.isascii() and _UNDECODED.search(line):
                raise UnicodeError
            yield line

    def _header(self) -> tuple[str, ...]:
        try:
            _, row = next(self._rows, (0, None))
        except (csv.Error, UnicodeError) as exc:
            why = "it is not UTF-8" if isinstance(exc, UnicodeError) else str(exc)
            raise InputError(
                f"{self._where} cannot be read: {why}.", hint="Save it as CSV in UTF-8."
            ) from exc
        if row is None or isinstance(row, BadRow):
            raise InputError(f"{self._where} is empty.", hint="Give a list with a header and rows.")
        return tuple(row)

    def _check_names(self, names: list[str]) -> None:
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{self._where} has two columns called {twice!r}.", hint="Rename one of them.")
        if any("\0" in name for name in names):
            raise InputError(
                f"{self._where} contains NUL characters, as UTF-16 without a byte order mark does.",
                hint="Save it as CSV in UTF-8.",
            )

    def _column(self, name: str, option: str) -> str:
        if name not in self.names:
            raise InputError(
                f"{option}: {self._where} has no column {name!r}.", hint=f"Columns: {', '.join(self.names)}."
            )
        return name

    def _usual_column(self) -> str:
        lower = {name.lower(): name for name in reversed(self.names)}
        found = next((lower[name] for name in TO_COLUMNS if name in lower), None)
        if found is None:
            raise InputError(
                f"{self._where} has no column {', '.join(TO_COLUMNS[:-1])} or {TO_COLUMNS[-1]}.",
                hint=f"The first line must name the columns: {', '.join(self.names)[:200]}. To choose one:"
                " --to-column NAME",
            )
        return found


def normal(text: str) -> str:
    """Return a number or endpoint as it is compared and dialled. :func:`voicectl.voice.endpoint.parse` accepts it.

    Raises:
        InputError: *text* is neither a number nor an endpoint.
    """
    text = text.strip()
    if not text:
        raise InputError("The number is missing.")
    if _PLAIN.fullmatch(text):  # nearly all numbers, and much faster than the general case
        return text.removeprefix("+")
    parsed = endpoint.parse(text)
    if parsed["type"] == "phone":
        return str(parsed["number"])
    scheme, _, rest = text.partition(":")
    return f"{scheme.lower()}:{rest}"


@lru_cache(maxsize=1000)
def zone(name: str) -> ZoneInfo:
    """Return the time zone called *name*.

    Raises:
        InputError: There is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as exc:  # ZoneInfoNotFoundError is a KeyError
        raise _no_zone(name) from exc
    except KeyError as exc:
        raise _no_zone(name) from exc


def _no_zone(name: str) -> InputError:
    return InputError(
        f"{name[:80]!r} is not a time zone.", hint="Write it as Europe/London, America/New_York or UTC."
    )


def _has_consent(value: str) -> bool:
    word = value.strip().lower()
    if word not in _YES | _NO:
        raise InputError(f"{value[:80]!r} is neither yes nor no.")
    return word in _YES


def _check_language(code: str) -> None:
    if code.lower() not in _LANGUAGES:
        raise InputError(f"{code[:80]!r} is not a language that 'talk' speaks.", hint="Write it as en-GB.")


def _json_row(text: str, line: int) -> Mapping[str, str] | BadRow:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        place = f" at column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
        return BadRow(line=line, column=None, fault=f"the line is not JSON{place}")
    if not isinstance(found, dict):
        return BadRow(line=line, column=None, fault="the line is not a JSON object")
    row: dict[str, str] = {}
    for name, value in found.items():
        shown = _shown(value)
        if shown is None or "\0" in shown:
            return BadRow(line=line, column=name, fault="the value is not text or a whole number")
        row[name] = shown
    return row


def _shown(value: Any) -> str | None:
    """Return a JSON value as text, or None if it is not simple."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    return None


def _delimiter(text: str) -> str:
    """Return the character between the fields of the header in *text*: a comma or, without one, ``;`` or a tab."""
    header = text.partition("\n")[0]
    return next((each for each in ",;\t" if each in header), ",")
