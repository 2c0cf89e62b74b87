"""Translation of the API's error responses, which have five different formats, into exceptions with hints.

Source: Voice API reference, "errors"; Numbers API reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from voicectl.api.replies import retry_after
from voicectl.errors import (
    ApiError,
    AuthError,
    NoAnswer,
    NotFoundError,
    RateLimitedError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.api.repetition import Request
    from voicectl.api.replies import Reply

E = TypeVar("E", bound=ApiError)

BAD_REQUEST = 400
REQUEST_TIMEOUT = 408

MAX_WORDS = 300
MAX_PARAMETERS = 10


class Refusal(NamedTuple):
    """The API's refusal of a request, as read from an error response."""

    status: int
    title: str
    detail: str
    trace_id: str | None

    def __str__(self) -> str:
        words = f"{self.status} {self.title}".strip().rstrip(".")
        return (f"{words}: {self.detail}" if self.detail else words).rstrip(".")

    def error(self, kind: type[E], message: str, hint: str) -> E:
        """Return an exception of class *kind* with the status, title and trace id of the refusal."""
        return kind(message, status=self.status, title=self.title, trace_id=self.trace_id, hint=hint)


def error(
    reply: Reply, request: Request[Any], *, host: str, whose: str, doubt: Callable[[], str]
) -> ApiError | TransportError:
    """Return the exception for a response whose status is not 2xx.

    Args:
        whose: A description of the application or account that sent the request.
        doubt: A function that returns the hint for a 401 response.

    Returns:
        The exception. It is a ``NoAnswer`` if the status (5xx or 408) does not show whether the request was carried
        out.
    """
    if 300 <= reply.status < 400:
        return TransportError(
            f"{host} responded with a redirect ({reply.status}), which voicectl does not follow.",
            hint="Check for a proxy or a wrong base URL: voicectl doctor",
        )
    said = refusal(reply)
    if reply.status == REQUEST_TIMEOUT or not 400 <= reply.status < 500:
        answered = NoAnswer(f"the API responded with {said}")
        answered.status, answered.trace_id = said.status, said.trace_id
        return answered
    match reply.status:
        case 401:
            return said.error(AuthError, f"{host} refused the credentials: {said}.", doubt())
        case 403:
            hint = "The account is not allowed to do this: ask its owner or Vonage support, and quote the trace id."
            return said.error(AuthError, f"{host} denied the request: {said}.", hint)
        case 404:
            hint = request.if_absent or (
                "The leg may have ended, or may be in another region or belong to another application."
                " Look for it: voicectl call list --all"
            )
            path = request.target.partition("?")[0]
            return said.error(NotFoundError, f"{host} has no {path} for {whose}: {said}.", hint)
        case 429:
            asked = retry_after(reply)
            hint = f"Try again in {asked:.0f} s." if asked else "Try again in a minute."
            limited = said.error(
                RateLimitedError,
                f"{host} is still rate limiting requests: {said}.",
                f"Nothing was changed. {hint}",
            )
            limited.retry_after = asked
            return limited
    hint = "Nothing was changed. Correct the request and run the command again."
    if reply.status == BAD_REQUEST and request.leg and not said.detail:  # probably because of the leg's state
        hint = (
            "Nothing was changed. The leg may not have been answered yet."
            f" Wait for it: voicectl wait {request.leg} --for answered"
        )
    return said.error(ApiError, f"The API refused the request: {said}.", hint)


def refusal(reply: Reply) -> Refusal:
    """Read the API's refusal of a request from an error response.

    If the body is not a JSON object, the refusal contains the beginning of the body, unless the body is HTML.
    """
    try:
        body = reply.json()
    except TransportError:
        body = None
    if not isinstance(body, dict):
        text = reply.body[:MAX_WORDS].decode("utf-8", "replace").strip()
        body = {} if text.startswith("<") else {"detail": text}
    details = [_first(body, "detail", "msg_error", "Error", "error", "error-code-label")]
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
    """Return the text of the first field named in *keys* that is not empty, or an empty string if all are empty."""
    return next(filter(None, (_words(body.get(key)) for key in keys)), "")


def _words(value: object) -> str:
    """Convert a string or number to a short line of valid UTF-8 text. Return "" for other values."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = " ".join(str(value).encode("utf-8", "backslashreplace").decode().split())
    return text if len(text) <= MAX_WORDS else text[:MAX_WORDS] + "..."
