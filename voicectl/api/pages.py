"""Reading the lists of the Conversation API, which come in pages.

Source: Conversation API reference, sections 2, 3, 5 and 7.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from voicectl.api.repetition import Repeat, Request
from voicectl.api.replies import next_query, whole_object
from voicectl.errors import NoAnswer
from voicectl.strict_json import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voicectl.api.session import Session

T = TypeVar("T")

PAGE_SIZE = 100
MAX_PAGES = 50
"""The maximum number of pages to read, which contain up to 5,000 rows in total."""


def rows(
    session: Session,
    path: str,
    name: str,
    from_json: Callable[[dict[str, Any]], T],
    *,
    query: Mapping[str, str] | None = None,
    on_cut: Callable[[], None] | None = None,
    within: float = math.inf,
    if_absent: str | None = None,
) -> Iterator[T]:
    """Read the list at *path* page by page, convert its rows with *from_json*, and yield each row once.

    The newest rows come first, unless *query* has another ``order``. Only the cursor in the link ``_links.next`` is
    used, since the path and host of the link cannot be trusted. No cursor is used twice.

    Args:
        name: The name of the field that contains the rows.
        from_json: A function that raises ValueError for a row that it cannot convert. Such rows are left out.
        query: The parameters to add to the query of each request.
        on_cut: A function that is called if there are more than :data:`MAX_PAGES` pages. Further pages are not read.
        within: The time limit for each page, including retries, in seconds.
        if_absent: The hint for a 404 response.
    """
    parameters = {"page_size": str(PAGE_SIZE), "order": "desc"} | dict(query or {})
    seen: set[str | int] = set()
    cursors: set[str] = set()
    for _ in range(MAX_PAGES):
        target = f"{path}?{urlencode(parameters)}"
        request = Request(
            Repeat.READ, "GET", target, partial(_page, name), within=within, if_absent=if_absent
        )
        page, cursor = session.send(request)
        for row in page:
            if row["id"] not in seen:
                seen.add(row["id"])
                try:
                    found = from_json(row)
                except ValueError:
                    continue
                yield found
        if cursor is None or cursor in cursors:
            return
        cursors.add(cursor)
        parameters["cursor"] = cursor
    if on_cut:
        on_cut()


def _page(name: str, body: Any) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows on a page, and the cursor for the next page (None on the last page).

    A list of events has no field with the name of the list: ``_embedded`` is the list itself. In the API's 2021
    format, the rows are nested one level deeper, in an object named ``data``.
    """
    embedded = whole_object(body).get("_embedded")
    found = embedded
    if not isinstance(embedded, list):
        named = fields(embedded)
        found = named.get(name, fields(named.get("data")).get(name))
    if not isinstance(found, list):
        raise NoAnswer(f"the response contains no list of {name}")
    cursor = next((value for key, value in next_query(body) if key == "cursor"), None)
    return [row for row in found if isinstance(row, dict) and _has_id(row)], cursor


def _has_id(row: dict[str, Any]) -> bool:
    """Return True if *row* has an id, which is text or, for an event, a number."""
    id_ = row.get("id")
    return bool(id_) if isinstance(id_, str) else isinstance(id_, int) and not isinstance(id_, bool)
