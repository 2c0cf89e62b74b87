"""Refusals, in the body shapes of the platform.

Source: Voice API reference, "errors": A (validation), B (state of the leg), C (gateway).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicectl.sandbox.checks import Invalid

_TYPES = "https://developer.vonage.com/api-errors#"

_GATEWAY = {
    400: ("invalid-json", "Bad Request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("not-found", "Not Found"),
    405: ("wrong-verb", "Method Not Allowed"),
    413: ("content-too-large", "Content Too Large"),
    415: ("content-type-header", "Unsupported Media Type"),
    429: ("rate-limit", "Rate Limit Hit"),
    500: ("internal-error", "Internal Error"),
}


class Problem(Exception):
    """An answer that says no.

    Attributes:
        status: The HTTP status.
        body: What goes into the body; ``instance`` is added to shape C by :func:`gateway`'s caller.
        headers: Extra headers.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers or {}


def invalid(exc: Invalid) -> Problem:
    """Shape A: a body or query breaks the rules; each wrong field is named."""
    return Problem(400, {"type": 400, "title": "Bad Request", "invalid_parameters": exc.wrongs})


def wrong_state() -> Problem:
    """Shape B: the leg exists but is not in the state that the request needs."""
    return Problem(400, {"type": "BAD_REQUEST", "error_title": "Bad Request"})


def gateway(
    status: int, detail: str, *, anchor: str | None = None, headers: dict[str, str] | None = None
) -> Problem:
    """Shape C: refused before the leg was looked at, or no such leg.

    Args:
        status: The HTTP status.
        detail: In words; empty for none.
        anchor: The end of ``type`` where *status* has several, such as ``jwt-expired``.
        headers: Extra headers, such as ``Retry-After``.
    """
    usual, title = _GATEWAY.get(status, ("error", "Error"))
    body = {"type": f"{_TYPES}{anchor or usual}", "title": title}
    if detail:
        body["detail"] = detail
    return Problem(status, body | {"instance": ""}, headers)


def no_such_leg() -> Problem:
    """Shape C, 404: unknown here, or over."""
    return gateway(404, "Call does not exist, or you do not have access.")
