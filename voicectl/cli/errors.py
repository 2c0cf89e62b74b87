"""The exit statuses of commands, the codes of errors, and the output of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voicectl import errors
from voicectl.cli.output.text import remark, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERNAL = 1
USAGE = 2
CREDENTIALS = 3
UNREACHABLE = 7
PARTIAL = 10
UNKNOWN = 12
TESTS_FAILED = 13

EXIT_STATUSES = {
    "0": "success (also if a leg to be hung up had already ended)",
    "1": "internal error; output or journal cannot be written",
    "2": "usage error or invalid input",
    "3": "credentials missing, malformed or refused",
    "4": "leg or resource not found, or ambiguous",
    "5": "the API rejected the request",
    "6": "rate limited, even after waiting",
    "7": "no usable response; it is safe to repeat the request",
    "8": "a wait timed out",
    "9": "refused by a guard, or not confirmed",
    "10": "some targets done, some failed",
    "11": "a leg ended in a status other than the one waited for",
    "12": "outcome unknown: the request may or may not have taken effect",
    "13": "tests failed",
    "130": "interrupted (Ctrl-C)",
    "143": "terminated",
}


class ErrorCode(NamedTuple):
    """A kind of error.

    Attributes:
        code: The value of ``code`` in errors that are written as JSON.
        status: The exit status.
        meaning: A description for the help.
    """

    error: type[errors.VoicectlError]
    code: str
    status: int
    meaning: str


ERROR_CODES = (  # the first match counts
    ErrorCode(
        errors.OutcomeUnknown, "outcome_unknown", UNKNOWN, "The request may or may not have taken effect."
    ),
    ErrorCode(errors.WaitEnded, "wait_ended", 11, "A leg ended in a status other than the one waited for."),
    ErrorCode(
        errors.GuardError,
        "guard",
        9,
        "voicectl refused: the action was not confirmed, or a limit or a guard of the profile forbids it.",
    ),
    ErrorCode(errors.WaitTimeout, "wait_timeout", 8, "The status was not reached in time."),
    ErrorCode(
        errors.TransportError,
        "transport",
        UNREACHABLE,
        "No usable response; it is safe to repeat the request.",
    ),
    ErrorCode(
        errors.RateLimitedError, "rate_limited", 6, "The rate limit was still exceeded after waiting (429)."
    ),
    ErrorCode(errors.AuthError, "auth", CREDENTIALS, "The API refused the credentials (401, 403)."),
    ErrorCode(errors.AmbiguousError, "ambiguous", 4, "The LEG given matches several legs."),
    ErrorCode(errors.NotFoundError, "not_found", 4, "The leg or resource does not exist (404)."),
    ErrorCode(errors.LegError, "not_found", 4, "The leg or resource does not exist."),
    ErrorCode(errors.ApiError, "api", 5, "The API rejected the request (400, 409, 422 ...)."),
    ErrorCode(
        errors.ConfigError, "config", CREDENTIALS, "A profile, key or setting is missing or malformed."
    ),
    ErrorCode(errors.InputError, "input", USAGE, "Usage error or invalid input."),
    ErrorCode(errors.SignatureError, "signature", USAGE, "A webhook is unsigned, forged, stale or altered."),
    ErrorCode(errors.JournalError, "journal", INTERNAL, "The journal of created calls cannot be used."),
    ErrorCode(
        errors.StoreError,
        "store",
        INTERNAL,
        "The event store, or the stored data of a batch, cannot be used.",
    ),
    ErrorCode(errors.UnwritableError, "unwritable", INTERNAL, "A recording cannot be written."),
    ErrorCode(errors.VoicectlError, "internal", INTERNAL, "Unexpected internal error."),
)
_RETRYABLE = (errors.TransportError, errors.RateLimitedError, errors.WaitTimeout)


def exit_status(exc: errors.VoicectlError) -> int:
    """Return the exit status for *exc*."""
    if isinstance(exc, errors.Interrupted):
        return 128 + exc.signum
    return _kind(exc).status


def combined_status(statuses: Sequence[int], targets: int) -> int:
    """Return the exit status of a command with *targets* targets, given the *statuses* of those that failed."""
    if not statuses:
        return 0
    if UNKNOWN in statuses:
        return UNKNOWN
    return statuses[0] if len(statuses) == targets and len(set(statuses)) == 1 else PARTIAL


def report(exc: errors.VoicectlError, *, profile: str | None, as_json: bool, about: str = "") -> None:
    """Write an error to standard error, in at most three lines or as one JSON object.

    Args:
        profile: The source of the credentials: ``profile prod``, for example, or ``VOICECTL_SANDBOX``.
        about: The leg or other item that the error concerns, if the command acts on several.
    """
    trace_id = getattr(exc, "trace_id", None)
    if as_json:
        content = {
            "code": _kind(exc).code,
            "message": f"{about}: {exc.message}" if about else exc.message,
            "hint": exc.hint,
            "retryable": isinstance(exc, _RETRYABLE),
            "http_status": getattr(exc, "status", None),
            "trace_id": trace_id,
            "profile": profile and profile.removeprefix("profile "),
        }
        remark(to_json({"error": content}))
        return
    target = f" [{profile}]" if profile else ""
    remark(f"voicectl{target}: {about + ': ' if about else ''}{exc.message}")
    if trace_id:
        remark(f"  trace id: {trace_id}")
    if exc.hint:
        remark(f"  {exc.hint}")


def _kind(exc: errors.VoicectlError) -> ErrorCode:
    return next(kind for kind in ERROR_CODES if isinstance(exc, kind.error))
