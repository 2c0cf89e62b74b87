"""Reading what the API refuses with: four shapes of error body, and what to tell the user.

Source: Voice API reference, "errors".
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from voicectl.errors import ApiError, TransportError

if TYPE_CHECKING:
    from voicectl.api.wire import Incoming, Reply

BAD_REQUEST = 400
MAX_WORDS = 300
MAX_PARAMETERS = 10
MAX_RETRY_AFTER_SECONDS = 1e12

_LEGS = "/v1/calls/"


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
