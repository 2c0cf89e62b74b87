"""The options of commands that list records: ``--sort`` and ``--limit``."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from voicectl import times
from voicectl.cli.output.fields import ABSENT, find, text, unknown_field, unlisted
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.cli.output.writer import View

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Measured(str):
    """Text, such as a rounded age, that is sorted by the number it was derived from."""

    __slots__ = ("number",)
    number: float

    def __new__(cls, text: str, number: float) -> Self:
        """Return *text* with the number by which it is sorted."""
        made = super().__new__(cls, text)
        made.number = number
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """The order and the number of the records that a command lists."""

    sort: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Sort by this field; -FIELD sorts in descending order."),
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="List at most N.")] = None

    @property
    def sort_field(self) -> str | None:
        """The path of the field to sort by, or None."""
        return None if self.sort is None else self.sort.removeprefix("-")

    def arrange(
        self, records: Iterable[dict[str, Any]], view: View, *, is_newest_last: bool = False
    ) -> Iterable[dict[str, Any]]:
        """Return the records to list, in the order in which to list them.

        Numbers and durations are sorted by their values, and everything else as text. A record without the field
        comes last.

        Args:
            is_newest_last: True if *records* begin with the oldest. ``--limit`` then selects the newest, which are
                the last ones.

        Raises:
            InputError: Neither *view* nor any record has the field to sort by.
        """
        path = self.sort_field
        if path is None:
            if self.limit is None:
                return records
            return deque(records, self.limit) if is_newest_last else islice(records, self.limit)
        found = list(records)
        if unlisted([path], view.fields) and not any(path.partition(".")[0] in each for each in found):
            raise unknown_field(path, view.fields)
        present = [(key, record) for record in found if (key := _key(record, path, view)) is not None]
        present.sort(key=lambda pair: pair[0], reverse=self.sort != path)
        absent = (record for record in found if _key(record, path, view) is None)
        return [*(record for _, record in present), *absent][: self.limit]


def _key(record: dict[str, Any], path: str, view: View) -> tuple[bool, float, str] | None:
    """Return the sort key of a record, or None if the record does not have the field."""
    value = find(record, path)
    if isinstance(value, Measured):
        return False, value.number, ""
    shown = text(value, is_api_time=path in view.times)
    if shown == ABSENT:
        return None
    if _NUMBER.fullmatch(shown):
        return False, float(shown), ""
    try:
        return False, times.duration(shown.removeprefix(">")), ""
    except InputError:
        return True, 0.0, shown.casefold()
