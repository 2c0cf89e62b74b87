"""Reading what the API refuses with: four shapes of error body, and what to tell the user.

Source: Voice API reference, "errors".
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from voicectl.errors import ApiError, TransportError

if TYPE_CHECKING:
    from voicectl.api.wire import Reply

MAX_RETRY_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal in the API's words."""

    status: int
    title: str
    detail: str
    trace_id: str | None

    def __str__(self) -> str:
        words = f"{self.status} {self.title}".strip()
        return f"{words}: {self.detail}" if self.detail else words


def refusal(reply: Reply) -> Refusal:
    """Read an error reply of any known shape; anything else gives its status and the start of its text."""
    try:
        body = reply.json()
    except TransportError:
        body = None
    if not isinstance(body, dict):
        text = " ".join(reply.body[:200].decode("utf-8", "replace").split())
        body = {} if text.startswith("<") else {"detail": text}
    title = next((str(body[key]) for key in ("title", "error_title") if body.get(key)), "")
    details = [str(body[key]) for key in ("detail", "msg_error", "Error", "error") if body.get(key)][:1]
    parameters = body.get("invalid_parameters")
    if isinstance(parameters, list):
        details += [_parameter(each) for each in parameters]
    trace = reply.headers.get("x-nexmo-trace-id") or body.get("instance")
    return Refusal(reply.status, title, "; ".join(details), str(trace) if trace else None)


def _parameter(each: Any) -> str:
    if not isinstance(each, dict):
        return str(each)
    return ": ".join(str(each[key]) for key in ("name", "reason") if each.get(key))


def rejected(reply: Reply) -> ApiError:
    """The error for a final refusal that needs no more explanation."""
    said = refusal(reply)
    return ApiError(
        f"The API refused the request: {said}.",
        status=said.status,
        title=said.title,
        trace_id=said.trace_id,
        hint="Nothing was changed. Correct the request and give the command again.",
    )


def retry_after(reply: Reply) -> float | None:
    """Seconds that ``Retry-After`` asks for; None if it is absent or not a number of seconds.

    A date is not read: it would trust two clocks, and the platform documents none.
    """
    text = (reply.headers.get("Retry-After") or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def server_time(reply: Reply) -> float | None:
    """The reply's ``Date`` in Unix seconds, None if absent or unreadable."""
    try:
        return parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
