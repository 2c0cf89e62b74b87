"""Write records to standard output in the chosen format, and escape text that comes from external sources.

TSV, CSV and JSON are written record by record. A table is written once all its rows have been collected.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TextIO

from voicectl import times
from voicectl.cli.output.fields import ABSENT, find, text, unknown_field, unlisted
from voicectl.cli.output.styles import STYLES, styled
from voicectl.cli.output.text import block, remark, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from voicectl.cli.output.template import Template

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""If a cell begins with one of these characters, a spreadsheet evaluates the cell. Control characters are escaped."""


class Format(StrEnum):
    """The output formats, which are the values of ``-o``."""

    AUTO = "auto"
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    TEMPLATE = "template="

    @property
    def is_table(self) -> bool:
        """True if the output is drawn for people, as a table or a block of lines."""
        return self in (Format.TABLE, Format.WIDE)


FORMATS = f"{', '.join([*Format][:-1])} or {Format.TEMPLATE}TEXT"
"""The values of ``-o``, as the help lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The columns and formats of one kind of record.

    Attributes:
        columns: The dotted paths of the columns. New paths must be appended, because scripts read TSV by position.
        id: The path of the value that ``-q`` prints.
        more: Further paths that ``--fields help`` lists.
        times: The paths of the values that are times in the format of the API.
        utc_times: The paths of the values that are times in UTC already, in RFC 3339 format.
        call_times: The paths of the values that are times of a sandbox's call clock. A terminal shows only the time
            of day, because the date means nothing.
        table: The paths of the columns in a table, the most useful first: on a narrow terminal, the last columns are
            left out first. The default is *columns*.
        line: A template for a line, in which the dots of paths are written as ``_``. If it is set, each record is
            shown on a terminal immediately, as such a line instead of in a table.
    """

    columns: tuple[str, ...]
    id: str = "uuid"
    more: tuple[str, ...] = ()
    times: frozenset[str] = frozenset()
    utc_times: frozenset[str] = frozenset()
    call_times: frozenset[str] = frozenset()
    table: tuple[str, ...] = ()
    line: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths that ``--fields help`` lists."""
        return (*self.columns, *self.more)

    @property
    def wide(self) -> tuple[str, ...]:
        """The paths of the columns in a table with ``-o wide``."""
        return tuple(dict.fromkeys((*self.table, *self.columns)))


class Writer:
    """Writes the records of one command during a ``with`` block.

    Args:
        is_many: True if JSON output should be an array. This depends only on the command line, never on the data.
        fields: The paths given with ``--fields``, or None.
        is_quiet: True to print only ids (``-q``).
        template: The template that each record fills, if the format is ``TEMPLATE``.
        width: The width of the terminal into which a table should fit, or None to shorten nothing.
        show_time: A function that converts a time in RFC 3339 format to the form in which it is shown.
        is_open: True if records may have fields that the view does not list. If such fields are chosen, nothing is
            written until each of them has occurred in a record. Only commands that change nothing can
            use this: other commands must refuse an unknown field before they do anything.

    Raises:
        InputError: A field is chosen that the view does not list, and *is_open* is False.
    """

    def __init__(
        self,
        stream: TextIO | None,
        view: View,
        format_: Format,
        *,
        is_many: bool,
        fields: Sequence[str] | None,
        is_quiet: bool,
        is_colored: bool = False,
        template: Template | None = None,
        width: int | None = None,
        show_time: Callable[[str], str] | None = None,
        is_open: bool = False,
    ) -> None:
        self._stream = stream
        self._view = view
        self._format = format_
        self._is_many = is_many
        self._fields = fields
        self._is_quiet = is_quiet
        self._is_colored = is_colored
        self._template = template
        self._width = width
        self._show_time = show_time
        self._times = view.times | view.utc_times
        chosen = template.fields if template else fields or ()
        self._columns = tuple(chosen or (_columns(view, format_) if is_many else view.columns))
        self._may_omit = not chosen
        self._legs: set[str] = set()
        self._unseen = unlisted(chosen, view.fields)
        self._held: list[Mapping[str, Any]] = []
        if self._unseen and not is_open:
            raise unknown_field(self._unseen[0], view.fields)
        self._line = None if fields else view.line
        self._rows: list[list[str]] = []
        self._count = 0

    def __enter__(self) -> Writer:
        """Write nothing yet, so that a failure before the first record leaves standard output empty."""
        return self

    def shows(self, path: str) -> bool:
        """Return True if the value at *path* is written for each record."""
        is_whole = self._format in (Format.JSON, Format.JSONL) and self._may_omit
        return not self._is_quiet and not is_whole and path in self._columns

    def tell_apart(self, legs: Iterable[str]) -> None:
        """Shorten ids so that they also differ from the ids in *legs*, whose records are not written."""
        self._legs.update(legs)

    def add(self, record: Mapping[str, Any]) -> None:
        """Write one record or, if the output is a table, keep the record until the end."""
        if not self._unseen:
            self._put(record)
            return
        self._held.append(record)
        self._unseen = [path for path in self._unseen if path.partition(".")[0] not in record]
        if not self._unseen:
            held, self._held = self._held, []
            for each in held:
                self._put(each)

    def _put(self, record: Mapping[str, Any]) -> None:
        self._begin_csv()
        self._count += 1
        if self._is_quiet:
            self._write(self._text(record, self._view.id) + "\n")
        elif self._format in (Format.JSON, Format.JSONL):
            self._put_json(record)
        elif self._template is not None:
            self._write(self._template.fill(lambda path: self._text(record, path)))
        else:
            self._put_row([self._text(record, path) for path in self._columns])

    def _put_row(self, row: list[str]) -> None:
        if self._format.is_table and self._line:
            names = (path.replace(".", "_") for path in self._columns)
            cells = dict(
                zip(names, ("" if cell == ABSENT else self._cell(cell) for cell in row), strict=True)
            )
            self._write(self._line.format_map(cells).rstrip() + "\n")
        elif self._format.is_table:
            self._rows.append(row)
        elif self._format is Format.CSV:
            self._write(_csv_line([_unformula(cell) for cell in row]))
        else:
            self._write("\t".join(row) + "\n")

    def flush(self) -> None:
        """Flush the output stream."""
        if self._stream is not None:
            self._stream.flush()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the JSON array or write the table, even after a failure.

        If the command failed before the first record, no empty array is written, because an empty array would mean
        that there are no records.
        """
        if isinstance(value, OSError):  # standard output is closed
            return
        if kind is None:
            if self._unseen:
                raise unknown_field(self._unseen[0], self._view.fields)
            self._begin_csv()
        if self._is_quiet:
            pass
        elif self._format is Format.JSON and self._is_many:
            if self._count or kind is None:
                self._write("\n]\n" if self._count else "[]\n")
        elif self._format.is_table and self._rows:
            self._show_table()
        elif self._format.is_table and not self._count and kind is None:
            remark("No results.")
        self.flush()

    def _begin_csv(self) -> None:
        if self._format is Format.CSV and self._count == 0 and not self._is_quiet:
            self._write(_csv_line(self._columns))

    def _put_json(self, record: Mapping[str, Any]) -> None:
        if self._fields:
            record = {path: find(record, path) for path in self._fields}
        if self._format is Format.JSONL:
            self._write(to_json(record) + "\n")
        elif self._is_many:
            self._write((",\n" if self._count > 1 else "[\n") + to_json(record))
        else:
            self._write(to_json(record, indent=2) + "\n")

    def _text(self, record: Mapping[str, Any], path: str) -> str:
        shown = text(find(record, path), is_api_time=path in self._view.times)
        if self._show_time is not None and path in self._view.call_times:
            return times.local(shown)
        return self._show_time(shown) if self._show_time and path in self._times else shown

    def _cell(self, text: str) -> str:
        """Return *text* as a cell of a line, in the color that it would have in a table."""
        style = STYLES.get(text, "") if self._is_colored else ""
        return _Cell(text, style) if style else text

    def _show_table(self) -> None:
        if not self._is_many and len(self._rows) == 1:
            self._write(block(self._columns, self._rows[0]))
        else:
            from voicectl.cli.output import table  # noqa: PLC0415 (loads rich; only for a table on a terminal)

            if self._width is not None:
                self._shorten_legs()
            self._write(
                table.draw(
                    self._columns,
                    self._rows,
                    is_colored=self._is_colored,
                    width=self._width,
                    may_omit=self._may_omit,
                    whole=self._times,
                    encoding=getattr(self._stream, "encoding", None) or "utf-8",
                )
            )

    def _shorten_legs(self) -> None:
        from voicectl.core.calls.references import shortest  # noqa: PLC0415 (only for a table on a terminal)

        for at in (at for at, path in enumerate(self._columns) if path == "uuid"):
            short = shortest(self._legs.union(row[at] for row in self._rows))
            for row in self._rows:
                row[at] = short.get(row[at], row[at])

    def _write(self, text: str) -> None:
        if self._stream is None:
            raise OSError("standard output is closed")
        self._stream.write(text)


class _Cell(str):
    """A cell of a line. Its text is padded before it is styled, because escape sequences take no columns."""

    __slots__ = ("_style",)
    _style: str

    def __new__(cls, text: str, style: str) -> Self:
        """Return *text* as a cell with the given style."""
        cell = super().__new__(cls, text)
        cell._style = style
        return cell

    def __format__(self, spec: str) -> str:
        """Return the cell, padded as *spec* says."""
        return styled(format(str(self), spec), self._style)


def _columns(view: View, format_: Format) -> tuple[str, ...]:
    """Return the paths of the columns in which several records are written."""
    if format_ is Format.WIDE:
        return view.wide
    return view.table or view.columns if format_ is Format.TABLE else view.columns


def _csv_line(cells: Sequence[str]) -> str:
    import csv  # noqa: PLC0415 (for this format only, as is io)
    import io  # noqa: PLC0415

    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _unformula(cell: str) -> str:
    """Return *cell*, preceded by an apostrophe if a spreadsheet would evaluate the cell.

    A single hyphen is not changed, because it stands for an empty value.
    """
    return f"'{cell}" if cell.startswith(_FORMULA) and cell != ABSENT else cell
