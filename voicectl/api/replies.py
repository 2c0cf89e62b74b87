"""Answers: the head and the body of one, and what the API refuses with in four shapes of error body.

Source: Voice API reference, "errors".
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl import strict_json
from voicectl.errors import ApiError, NoAnswer, TransportError

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator

    from voicectl.api.connection import Connection

MAX_BODY_BYTES = 1 << 20
PART_BYTES = 1 << 16
MAX_DEPTH = 64
BAD_REQUEST = 400
MAX_WORDS = 300
MAX_PARAMETERS = 10
MAX_RETRY_AFTER_SECONDS = 1e12

_LEGS = "/v1/calls/"


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
            raise NoAnswer("the answer is not the JSON that the API sends") from exc
        if strict_json.is_deeper(value, MAX_DEPTH):
            raise NoAnswer(f"the answer is nested more than {MAX_DEPTH} deep")
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal in the API's words."""

    status: int
    title: str
    detail: str
    trace_id: str | None

    def __str__(self) -> str:
        words = f"{self.status} {self.title}".strip()
        return (f"{words}: {self.detail}" if self.detail else words).rstrip(".")


def refusal(reply: Reply) -> Refusal:
    """Read an error reply of any known shape; anything else gives its status and the start of its text."""
    try:
        body = reply.json()
    except TransportError:
        body = None
    if not isinstance(body, dict):
        text = reply.body[:MAX_WORDS].decode("utf-8", "replace").strip()
        body = {} if text.startswith("<") else {"detail": text}
    details = [_first(body, "detail", "msg_error", "Error", "error")]
    parameters = body.get("invalid_parameters")
    if isinstance(parameters, list):
        details += [_parameter(each) for each in parameters[:MAX_PARAMETERS]]
    return Refusal(
        status=reply.status,
        title=_first(body, "title", "error_title"),
        detail=_words("; ".join(filter(None, details))),
        trace_id=_words(reply.headers.get("x-nexmo-trace-id")) or _first(body, "instance") or None,
    )


def _parameter(each: Any) -> str:
    if not isinstance(each, dict):
        return _words(each)
    return ": ".join(filter(None, (_first(each, "name"), _first(each, "reason"))))


def _first(body: dict[str, Any], *keys: str) -> str:
    """The first of these that says something."""
    return next(filter(None, (_words(body.get(key)) for key in keys)), "")


def _words(value: object) -> str:
    """What somebody else wrote, on one line and not for ever, and such as every file and database takes."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = " ".join(str(value).encode("utf-8", "backslashreplace").decode().split())
    return text if len(text) <= MAX_WORDS else text[:MAX_WORDS] + "..."


def rejected(reply: Reply, target: str) -> ApiError:
    """The error for a final refusal that needs no more explanation.

    Args:
        target: The path that was asked. A 400 without a word about a leg's request is about the leg's state.
    """
    said = refusal(reply)
    leg = target.removeprefix(_LEGS).partition("/")[0] if target.startswith(_LEGS) else ""
    hint = "Nothing was changed. Correct the request and give the command again."
    if leg and said.status == BAD_REQUEST and not said.detail:
        hint = f"Is the leg answered? Nothing was changed. Wait for it: voicectl wait {leg} --for answered"
    return ApiError(
        f"The API refused the request: {said}.",
        status=said.status,
        title=said.title,
        trace_id=said.trace_id,
        hint=hint,
    )


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
