"""Error responses in the platform's formats.

There are five formats: A is for invalid fields, B is for a request that the state of a leg does not allow, C is for
requests that the gateway refuses, D is for the Conversation API, and E is for the Numbers API.

Source: Voice API reference, "errors"; Numbers API reference.
"""

from __future__ import annotations

from typing import Any

from voicectl.sandbox.parsing.fields import Invalid

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

_USER_PATHS = ("/v1/users", "/v0.3/users")
_CONVERSATION_PATHS = ("/v1/conversations", "/v0.3/conversations", "/v0.1/legs", "/v0.3/legs", *_USER_PATHS)
_NUMBER_PATHS = ("/account/numbers", "/number/update")
_CONVERSATION_TYPES = "https://developer.nexmo.com/api/conversation#"

_CONVERSATION = {
    400: ("http:error:validation-fail", "Bad request."),
    401: ("system:error:invalid-token", "Unauthorized."),
    403: ("system:error:permission", "Forbidden."),
    404: ("http:error:not-found", "Not found."),
    405: ("http:error:method-not-allowed", "Method not allowed."),
    406: ("http:error:invalid-content-type", "Not acceptable."),
    409: ("http:error:conflict", "Conflict."),
    413: ("http:error:content-too-large", "Content too large."),
    415: ("http:error:unsupported-media-type", "Unsupported media type."),
    429: ("http:error:too-many-request", "Too many requests."),
    500: ("system:error:internal", "Internal error."),
}


class Problem(Exception):
    """An exception that is sent to the client as an error response.

    Attributes:
        status: The HTTP status.
        body: The JSON body. If the body has a field ``instance``, the value of this field is set when the response is
            sent.
        headers: Additional headers.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers or {}


def invalid(exc: Invalid) -> Problem:
    """Return an error in format A, which lists the invalid fields of a request."""
    return Problem(400, {"type": 400, "title": "Bad Request", "invalid_parameters": exc.errors})


def wrong_state() -> Problem:
    """Return an error in format B, for a request that the current state of the leg does not allow."""
    return Problem(400, {"type": "BAD_REQUEST", "error_title": "Bad Request"})


def gateway(
    status: int, detail: str, *, anchor: str | None = None, headers: dict[str, str] | None = None
) -> Problem:
    """Return an error in format C, for a request that names an unknown leg or is refused before it reaches a leg.

    Args:
        status: The HTTP status.
        detail: The ``detail`` field of the body, or an empty string to leave out this field.
        anchor: The end of the ``type`` URL, such as ``jwt-expired``, or None to use the default for *status*.
        headers: Additional headers, such as ``Retry-After``.
    """
    usual, title = _GATEWAY.get(status, ("error", "Error"))
    body = {"type": f"{_TYPES}{anchor or usual}", "title": title}
    if detail:
        body["detail"] = detail
    return Problem(status, body | {"instance": ""}, headers)


def no_such_leg() -> Problem:
    """Return an error in format C with status 404, for a leg that does not exist, has ended or is not accessible."""
    return gateway(404, "Call does not exist, or you do not have access.")


def refused(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Problem:
    """Return an error in format D, for a request that the Conversation API or the Users API refuses.

    Args:
        status: The HTTP status.
        code: The error code, ``<group>:error:<name>``.
        detail: The ``detail`` field of the body, or an empty string to omit this field.
        errors: The invalid fields, listed as in format A, or None to omit the list.
        headers: Additional headers.
    """
    _, title = _CONVERSATION.get(status, _CONVERSATION[500])
    body: dict[str, Any] = {"title": title, "type": f"{_CONVERSATION_TYPES}{code}", "code": code}
    if detail:
        body["detail"] = detail
    if errors is not None:
        body["invalid_parameters"] = errors
    return Problem(status, body | {"instance": ""}, headers)


def no_such(name: str, code: str) -> Problem:
    """Return an error in format D with status 404, for a resource that does not exist or is not accessible."""
    return refused(404, code, f"{name} does not exist, or you do not have access.")


def failed_number_request(status: int, label: str) -> Problem:
    """Return an error in format E, for a request that the Numbers API refuses."""
    return Problem(status, {"error-code": str(status), "error-code-label": label})


def refused_control(status: int, title: str, detail: str, **more: Any) -> Problem:
    """Return an error response for a control route, in the sandbox's own format."""
    return Problem(status, {"title": title, "detail": detail, **more})


def in_shape_of(path: str, problem: Problem, *, is_signed: bool) -> Problem:
    """Convert *problem* to the error format of the API to which *path* belongs.

    The Conversation API and the Users API use format D, and the Numbers API uses format E. For any other API,
    *problem* is returned unchanged.

    Args:
        path: The path of the request, without the query.
        problem: The error response, in any format.
        is_signed: True if the request had an ``Authorization`` header.
    """
    if path in _NUMBER_PATHS and "error-code" not in problem.body:
        label = str(problem.body.get("detail") or problem.body["title"])
        return Problem(problem.status, failed_number_request(problem.status, label).body, problem.headers)
    api = next((each for each in _CONVERSATION_PATHS if path == each or path.startswith(f"{each}/")), None)
    if api is None or "code" in problem.body:
        return problem
    status = 406 if problem.status == 415 and api in _USER_PATHS else problem.status
    code, _ = _CONVERSATION.get(status, _CONVERSATION[500])
    if status == 401 and not is_signed:
        code = "system:error:missing-token"
    elif problem.body["type"] == f"{_TYPES}jwt-expired":
        code = "system:error:expired-token"
    errors = problem.body.get("invalid_parameters")
    detail = problem.body.get("detail", "Some fields are invalid." if errors else "")
    return refused(status, code, detail, errors=errors, headers=problem.headers)
