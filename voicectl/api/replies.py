"""HTTP responses: the status, the headers, the body, and the JSON in the body."""

from __future__ import annotations

import email.errors
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from voicectl import strict_json
from voicectl.api import chunked
from voicectl.errors import NoAnswer

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterator

    from voicectl.api.connection import Connection

T = TypeVar("T")

MAX_BODY_BYTES = 1 << 20
PART_BYTES = 1 << 16
MAX_DEPTH = 64
MAX_RETRY_AFTER_SECONDS = 1e12

_LENGTH = re.compile(r"[0-9]{1,18}")
_MALFORMED = (
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.MisplacedEnvelopeHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)
"""The defects of headers that count.

Other defects are ignored: for example, the parser is given only the headers, and so reports that a multipart body is
missing.
"""


class Reply(NamedTuple):
    """A complete HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the JSON value in the body.

        Raises:
            NoAnswer: The body is compressed, is not JSON, contains ``NaN`` or a duplicate key, or is nested more than
                :data:`MAX_DEPTH` levels deep. (Any value within this limit can also be encoded as JSON again.)
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise NoAnswer("the response is compressed, although the request did not allow that")
        try:
            value = strict_json.loads(self.body, has_unique_keys=True)
        except (ValueError, RecursionError) as exc:
            raise NoAnswer("the response is not valid JSON") from exc
        if strict_json.is_deeper(value, MAX_DEPTH):
            raise NoAnswer(f"the response is nested more than {MAX_DEPTH} levels deep")
        return value


class Incoming:
    """A response whose headers have been read, and whose body can be read once.

    Attributes:
        length: The length of the body according to ``Content-Length``, or None if that header is absent.
        is_framed: True if a complete body can be distinguished from a body cut short by a broken connection.
        will_close: True if the connection cannot be used for another request.

    Raises:
        NoAnswer: The headers are malformed, or contradict each other about where the body ends.
    """

    def __init__(self, response: http.client.HTTPResponse, connection: Connection) -> None:
        _check_framing(response.headers)
        self.status = response.status
        self.headers = response.headers
        self.length = response.length
        self.is_framed = response.length is not None or bool(response.chunked)
        self.will_close = response.will_close
        self._response = response
        self._connection = connection
        self._has_whole_head = not connection.has_ended  # http.client accepts incomplete headers

    def whole(self, max_bytes: int = MAX_BODY_BYTES) -> Reply:
        """Read the whole body, and return the complete response.

        Raises:
            NoAnswer: The body is incomplete, or is longer than *max_bytes* bytes.
        """
        content = bytearray()
        for part in self.parts():
            content += part
            if len(content) > max_bytes:
                raise NoAnswer("the response is too long")
        return Reply(self.status, self.headers, bytes(content))

    def parts(self) -> Iterator[bytes]:
        """Yield the body as it arrives, in parts of up to :data:`PART_BYTES` bytes.

        Raises:
            NoAnswer: The body is incomplete, or is not encoded as its headers say.
        """
        if self._response.chunked:
            parts = chunked.content(self._response.fp, PART_BYTES)
        else:
            parts = iter(partial(self._response.read1, PART_BYTES), b"")
        while True:
            with self._connection.failures():
                part = next(parts, b"")
            if not part:
                break
            yield part
        if self._response.length or not self._has_whole_head:
            raise NoAnswer("the response was cut short")
        self._response.close()  # so that http.client allows the next request


def _check_framing(headers: http.client.HTTPMessage) -> None:
    """Check that the headers define the length of the body in one way only, since ``http.client`` accepts more."""
    lengths = headers.get_all("Content-Length", [])
    codings = headers.get_all("Transfer-Encoding", [])
    is_malformed = any(isinstance(defect, _MALFORMED) for defect in headers.defects)
    if is_malformed or any(name != name.strip() for name in headers):
        raise NoAnswer("the response has malformed headers")
    if any(not _LENGTH.fullmatch(length.strip(" \t")) for length in lengths):
        raise NoAnswer("the response has an invalid Content-Length")
    if len(lengths) + len(codings) > 1 and (codings or len(set(map(int, lengths))) > 1):
        raise NoAnswer("the response states its length in two ways")
    if codings and codings[0].lower() != "chunked":
        raise NoAnswer("the response has an unknown Transfer-Encoding")


def retry_after(reply: Reply) -> float | None:
    """Return the wait that the ``Retry-After`` header asks for, in seconds, or None if it asks for no valid wait.

    If the header contains a date, the wait is counted from the ``Date`` header of the same response, so that this
    machine's clock does not matter. A date without a valid ``Date`` header is ignored.
    """
    text = (reply.headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    until, now = _http_date(text), server_time(reply)
    return None if until is None or now is None else max(until - now, 0.0)


def server_time(reply: Reply | Incoming) -> float | None:
    """Return the time in the ``Date`` header, in Unix seconds, or None if the header is absent or invalid."""
    return _http_date(reply.headers.get("Date"))


def _http_date(text: str | None) -> float | None:
    """Convert a date to Unix seconds. A date without a time zone is in UTC, as all dates in HTTP are."""
    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def done(body: Any) -> None:
    """Check the body of a response whose content is not used. The body must be empty or a JSON object.

    Raises:
        NoAnswer: The body is neither, so the response does not come from the API.
    """
    if body is not None:
        whole_object(body)


def whole_object(body: Any) -> dict[str, Any]:
    """Check that the decoded body of a response is a JSON object, and return this object.

    Raises:
        NoAnswer: The body is not a JSON object.
    """
    if not isinstance(body, dict):
        raise NoAnswer("the response is not an object")
    return body


def record(body: Any, from_json: Callable[[dict[str, Any]], T]) -> T:
    """Convert the decoded body of a response with *from_json*, and return the result.

    Raises:
        NoAnswer: The body is not a JSON object, or *from_json* cannot convert it.
    """
    try:
        return from_json(whole_object(body))
    except ValueError as exc:
        raise NoAnswer(f"the response is {exc}") from exc


def next_query(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the query parameters of the link to the next page. No other part of the link can be trusted.

    Raises:
        NoAnswer: The link is not a URL.
    """
    href = strict_json.fields(strict_json.fields(body.get("_links")).get("next")).get("href")
    try:
        return parse_qsl(urlsplit(href).query) if isinstance(href, str) else []
    except ValueError as exc:
        raise NoAnswer("the link to the next page is not a URL") from exc
