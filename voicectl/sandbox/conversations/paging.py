"""Lists that are returned in pages, with cursors. Adding or removing rows between requests does not shift the pages.

Source: Conversation API reference, list queries and responses.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.problems import refused
from voicectl.sandbox.record import SortOrder

PAGE_SIZE = 10
MAX_PAGE_SIZE = 100

Row = TypeVar("Row")

Key = tuple[str, int]
"""The sort key of a row.

It consists of a string, which is often empty, and a number that no other row in the list has.
"""


class Side(StrEnum):
    """The position of a cursor's page: after or before the row that has the cursor's key."""

    AFTER = "after"
    BEFORE = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A position in a list, directly before or after the row with a given key.

    The cursor remains valid if that row is removed.
    """

    side: Side
    key: Key

    def __str__(self) -> str:
        """Return the cursor as text that can be used in links."""
        data = json.dumps([self.side, *self.key]).encode()
        return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A request for one page of a list.

    Attributes:
        cursor: The cursor from the query, or None for the first page.
        parameters: The query parameters to include in links to other pages. They are unchanged, but ``cursor`` is
            omitted.
    """

    page_size: int
    order: SortOrder
    cursor: Cursor | None
    parameters: dict[str, str]


def read_window(fields: Fields, query: Mapping[str, str], *known: str) -> Window:
    """Read the query parameters ``page_size``, ``order`` and ``cursor``.

    Args:
        fields: The reader for the query parameters, which collects errors.
        query: The query parameters as the client sent them.
        known: The names of the other query parameters that the list accepts.

    Raises:
        Problem: The cursor is invalid.
    """
    order = fields.choice("order", SortOrder, any_case=True) or SortOrder.ASC
    names = ("page_size", "order", *known)
    return Window(
        page_size=fields.digits("page_size", 1, MAX_PAGE_SIZE, default=PAGE_SIZE),
        order=order,
        cursor=_read_cursor(query.get("cursor")),
        parameters={name: query[name] for name in names if name in query},
    )


def listing(
    found: Iterable[tuple[Key, Row]],
    window: Window,
    url: str,
    show: Callable[[Row], dict[str, Any]],
    name: str | None = None,
) -> dict[str, Any]:
    """Return the body of the response to a request for a list.

    Args:
        found: All rows of the list, with their keys, in any order.
        window: The page to return.
        url: The absolute URL of the list, without a query.
        show: A function that converts a row to a JSON object.
        name: The name of the field in ``_embedded`` that contains the rows, or None if ``_embedded`` is itself the
            list of rows.
    """
    rows, links = page_of(found, window, url)
    shown = [show(row) for row in rows]
    return {
        "page_size": window.page_size,
        "_embedded": shown if name is None else {name: shown},
        "_links": links,
    }


def page_of(found: Iterable[tuple[Key, Row]], window: Window, url: str) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows on one page, and the links to this and other pages.

    Args:
        found: All rows of the list, with their keys, in any order.
        window: The page to return.
        url: The URL of the list, without a query. It must be absolute, because some clients reject relative links.
    """
    rows = sorted(found, key=lambda row: row[0])
    keys = [key for key, _ in rows]
    start, stop = _range(keys, window)
    shown = rows[start:stop]
    links = {"first": _link(url, window, None), "self": _link(url, window, window.cursor)}
    if shown:
        least, most = Cursor(side=Side.BEFORE, key=keys[start]), Cursor(side=Side.AFTER, key=keys[stop - 1])
        is_more = {"prev": (start > 0, least), "next": (stop < len(rows), most)}
        if window.order is SortOrder.DESC:
            is_more = {"prev": is_more["next"], "next": is_more["prev"]}
        links |= {
            name: _link(url, window, cursor) for name, (is_there, cursor) in is_more.items() if is_there
        }
    if window.order is SortOrder.DESC:
        shown.reverse()
    return [row for _, row in shown], links


def _range(keys: list[Key], window: Window) -> tuple[int, int]:
    """Return the start and end indexes of the page in *keys*, which are in ascending order."""
    size, cursor = window.page_size, window.cursor
    if cursor is None:
        is_after = window.order is SortOrder.ASC
        edge = 0 if is_after else len(keys)
    else:
        is_after = cursor.side is Side.AFTER
        edge = (bisect_right if is_after else bisect_left)(keys, cursor.key)
    return (edge, min(edge + size, len(keys))) if is_after else (max(0, edge - size), edge)


def _link(url: str, window: Window, cursor: Cursor | None) -> dict[str, str]:
    query = window.parameters | ({} if cursor is None else {"cursor": str(cursor)})
    return {"href": f"{url}?{urlencode(query)}" if query else url}


def _read_cursor(text: str | None) -> Cursor | None:
    if not text:
        return None
    try:
        side, word, number = json.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        if isinstance(word, str) and isinstance(number, int):
            return Cursor(side=Side(side), key=(word, number))
    except (ValueError, TypeError, RecursionError):
        pass
    raise refused(
        400,
        "paginator-builder:error:invalid-cursor",
        "The cursor was not returned with an earlier page of a list.",
    )
