"""HTTP answers: head, body, and the JSON in it."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from voicectl import strict_json
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


class Reply(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            NoAnswer: The body is compressed, is not JSON, contains ``NaN`` or a key twice, or is nested more than
                :data:`MAX_DEPTH` levels deep (so that every value that was read can be written again).
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise NoAnswer("the answer is compressed, which was not asked for")
        try:
            value = strict_json.loads(self.body, has_unique_keys=True)
        except (ValueError, RecursionError) as exc:
            raise NoAnswer("the answer is not valid JSON") from exc
        if strict_json.is_deeper(value, MAX_DEPTH):
            raise NoAnswer(f"the answer is nested more than {MAX_DEPTH} levels deep")
        return value


class Incoming:
    """An answer whose head has been read, and whose body can be read once.

    Attributes:
        length: Length of the body according to ``Content-Length``; None if it is absent.
        is_framed: True if the end of the body can be distinguished from a broken connection.
        will_close: True if the connection cannot be used for another request.
    """

    def __init__(self, response: http.client.HTTPResponse, connection: Connection) -> None:
        self.status = response.status
        self.headers = response.headers
        self.length = response.length
        self.is_framed = response.length is not None or bool(response.chunked)
        self.will_close = response.will_close
        self._response = response
        self._connection = connection
        self._has_whole_head = (
            not connection.has_ended
        )  # http.client takes an end among the headers for theirs

    def whole(self, max_bytes: int = MAX_BODY_BYTES) -> Reply:
        """Return the answer with its whole body.

        Raises:
            NoAnswer: The body is cut short, or longer than *max_bytes*.
        """
        with self._connection.failures():
            content = self._response.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise NoAnswer("the answer is too long")
        self._check_end()
        return Reply(self.status, self.headers, content)

    def parts(self) -> Iterator[bytes]:
        """Yield the body as it arrives, in parts of up to :data:`PART_BYTES`.

        Raises:
            NoAnswer: The body is cut short.
        """
        while True:
            with self._connection.failures():
                part = self._response.read1(PART_BYTES)
            if not part:
                return self._check_end()
            yield part

    def _check_end(self) -> None:
        if self._response.length or not self._has_whole_head:
            raise NoAnswer("the answer was cut short")


def retry_after(reply: Reply) -> float | None:
    """Return the seconds of ``Retry-After``; None if it is absent or not a number of seconds.

    Dates are ignored: they would depend on two clocks, and the platform does not document them.
    """
    text = (reply.headers.get("Retry-After") or "").strip()
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else None


def server_time(reply: Reply | Incoming) -> float | None:
    """Return the reply's ``Date`` in Unix seconds, None if it is absent or unreadable."""
    try:
        return parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def done(body: Any) -> None:
    """Check an answer without a result: its body must be empty or an object.

    Raises:
        NoAnswer: The body is something else, so the API did not send it.
    """
    if body is not None:
        whole_object(body)


def whole_object(body: Any) -> dict[str, Any]:
    """Return the body of an answer that must be an object.

    Raises:
        NoAnswer: The body is not an object.
    """
    if not isinstance(body, dict):
        raise NoAnswer("the answer is not an object")
    return body


def record(body: Any, from_json: Callable[[dict[str, Any]], T]) -> T:
    """Return the value that *from_json* reads from an answer that must be an object.

    Raises:
        NoAnswer: The body is not an object, or *from_json* cannot read it.
    """
    try:
        return from_json(whole_object(body))
    except ValueError as exc:
        raise NoAnswer(f"the answer is {exc}") from exc


def next_query(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the query of the link to the next page, whose path and host cannot be trusted.

    Raises:
        NoAnswer: The link is not a URL.
    """
    href = strict_json.fields(strict_json.fields(body.get("_links")).get("next")).get("href")
    try:
        return parse_qsl(urlsplit(href).query) if isinstance(href, str) else []
    except ValueError as exc:
        raise NoAnswer("the link to the next page is not a URL") from exc
