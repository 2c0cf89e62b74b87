"""A client for the two operations of the Numbers API that voicectl uses.

Source: Numbers API reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from voicectl.api.repetition import Repeat, Request
from voicectl.api.replies import whole_object
from voicectl.errors import ApiError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.api.session import Session

PAGE_SIZE = 100
SUCCESS = "200"
BEGINS_WITH = 0
"""The ``search_pattern`` that searches for numbers that begin with ``pattern``."""


class NumberApi:
    """A client that lists the account's phone numbers, and changes their settings.

    A number is returned as the dictionary that the API sent. Both methods raise the same errors as
    :meth:`~voicectl.api.session.Session.send`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_numbers(
        self, *, application_id: str | None = None, beginning: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Search the account's numbers page by page, and yield each number once (``GET /account/numbers``).

        Args:
            application_id: The application to which the numbers must be linked, or None for all numbers.
            beginning: The digits with which the numbers must begin, or None for all numbers.
        """
        wanted: dict[str, Any] = {"size": PAGE_SIZE}
        if application_id is not None:
            wanted["application_id"] = application_id
        if beginning is not None:
            wanted |= {"pattern": beginning, "search_pattern": BEGINS_WITH}
        seen: set[tuple[str, str]] = set()
        index = 1
        while True:
            target = f"/account/numbers?{urlencode(wanted | {'index': index})}"
            count, page = self._session.send(Request(Repeat.READ, "GET", target, _page))
            known = len(seen)
            for number in page:
                if (key := (number["country"], number["msisdn"])) not in seen:
                    seen.add(key)
                    yield number
            if len(seen) >= count or len(seen) == known:
                return
            index += 1

    def update_number(self, settings: dict[str, str]) -> None:
        """Replace the settings of a number (``POST /number/update``).

        The request is sent only once. Before another attempt, the caller should read the number again, since someone
        else may have changed it.

        Args:
            settings: The ``country`` and the ``msisdn`` of the number, and all settings that it should have.
        """
        request = Request(Repeat.CALLER, "POST", "/number/update", _updated, settings, is_form=True)
        self._session.send(request)


def _page(body: Any) -> tuple[int, list[dict[str, Any]]]:
    """Return the count of all numbers that match the search, and the numbers on this page."""
    found = whole_object(body)
    count, numbers = found.get("count", 0), found.get("numbers", [])
    if type(count) is not int or not isinstance(numbers, list) or not all(map(_is_number, numbers)):
        raise NoAnswer("the response is not a list of numbers")
    return count, numbers


def _is_number(each: Any) -> bool:
    return isinstance(each, dict) and all(isinstance(each.get(name), str) for name in ("country", "msisdn"))


def _updated(body: Any) -> None:
    """Check that *body* reports a success, because the API may report an error with the HTTP status 200."""
    code = str(whole_object(body).get("error-code", ""))
    if code == SUCCESS:
        return
    if not code.isascii() or not code.isdigit() or not 400 <= int(code) < 500:
        raise NoAnswer("the response does not say whether the number was changed")
    label = str(body.get("error-code-label", ""))
    raise ApiError(
        f"The API refused the request: {code}: {label}.",
        status=int(code),
        title=label,
        hint="Nothing was changed. Correct the request and run the command again.",
    )
