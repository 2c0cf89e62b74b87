"""Answers: the head and the body of one, and the JSON that the API puts into it."""

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
        """The body as JSON.

        Raises:
            NoAnswer: It is compressed, not JSON, has ``NaN`` or a key twice, or is nested more than
                :data:`MAX_DEPTH` deep (so that what could be read can be written again).
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
    """An answer whose head has come, and whose body is still to be read, once.

    Attributes:
        length: Bytes of the body that ``Content-Length`` tells; None if it does not.
        is_framed: Whether its end can be told from a connection that broke.
        will_close: Whether nothing can follow it on its connection.
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
        """The answer with all of its body.

        Raises:
            NoAnswer: It is cut short, or longer than *max_bytes*.
        """
        with self._connection.failures():
            content = self._response.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise NoAnswer("the answer is too long")
        self._check_end()
        return Reply(self.status, self.headers, content)

    def parts(self) -> Iterator[bytes]:
        """The body as it comes, in parts of up to :data:`PART_BYTES`.

        Raises:
            NoAnswer: It is cut short.
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
    """Seconds that ``Retry-After`` asks for; None if it is absent or not a number of seconds.

    A date is not read: it would trust two clocks, and the platform documents none.
    """
    text = (reply.headers.get("Retry-After") or "").strip()
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else None


def server_time(reply: Reply | Incoming) -> float | None:
    """The reply's ``Date`` in Unix seconds, None if absent or unreadable."""
    try:
        return parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def done(body: Any) -> None:
    """For an answer whose status says it all; its body is empty or an object, or it is not the API's."""
    if body is not None:
        whole_object(body)


def whole_object(body: Any) -> dict[str, Any]:
    """The object that an answer is.

    Raises:
        NoAnswer: It is something else.
    """
    if not isinstance(body, dict):
        raise NoAnswer("the answer is not an object")
    return body


def record(body: Any, from_json: Callable[[dict[str, Any]], T]) -> T:
    """What *from_json* reads in the object that an answer is.

    Raises:
        NoAnswer: It is something else.
    """
    try:
        return from_json(whole_object(body))
    except ValueError as exc:
        raise NoAnswer(f"the answer is {exc}") from exc


def next_query(body: dict[str, Any]) -> list[tuple[str, str]]:
    """The query of the link to the page that follows; its path and host are not ours to trust.

    Raises:
        NoAnswer: It is no URL.
    """
    href = strict_json.fields(strict_json.fields(body.get("_links")).get("next")).get("href")
    try:
        return parse_qsl(urlsplit(href).query) if isinstance(href, str) else []
    except ValueError as exc:
        raise NoAnswer("the link to the next page is not a URL") from exc
