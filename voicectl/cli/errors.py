"""The exit statuses of commands, and the output of errors.

| status | meaning |
| --- | --- |
| 0 | done (also: the leg to hang up had already ended) |
| 1 | internal error; output or journal cannot be written |
| 2 | usage error or invalid input |
| 3 | credentials missing, malformed or refused |
| 4 | leg or resource not found, or ambiguous |
| 5 | the API rejected the request |
| 6 | rate limited, even after waiting |
| 7 | no usable answer; the request can be repeated |
| 8 | a wait timed out |
| 9 | refused by a guard, or not confirmed |
| 10 | some targets done, some failed |
| 11 | a wait ended in another final status |
| 12 | outcome unknown: the request may or may not have taken effect |
| 130, 143 | interrupted, terminated |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

_STATUSES: tuple[tuple[type[errors.VoicectlError], int], ...] = (  # the first match counts
    (errors.OutcomeUnknown, UNKNOWN),
    (errors.WaitEnded, 11),
    (errors.GuardError, 9),
    (errors.WaitTimeout, 8),
    (errors.TransportError, UNREACHABLE),
    (errors.RateLimitedError, 6),
    (errors.AuthError, CREDENTIALS),
    (errors.NotFoundError, 4),
    (errors.LegError, 4),
    (errors.ApiError, 5),
    (errors.ConfigError, CREDENTIALS),
    (errors.InputError, USAGE),
    (errors.SignatureError, USAGE),
    (errors.VoicectlError, INTERNAL),
)
_RETRYABLE = (errors.TransportError, errors.RateLimitedError, errors.WaitTimeout)


def exit_status(exc: errors.VoicectlError) -> int:
    """Return the exit status for *exc*."""
    if isinstance(exc, errors.Interrupted):
        return 128 + exc.signum
    return next(status for kind, status in _STATUSES if isinstance(exc, kind))


def combined_status(statuses: Sequence[int], targets: int) -> int:
    """Return the exit status of a command from the number of its *targets* and the *statuses* of the failed ones."""
    if not statuses:
        return 0
    if UNKNOWN in statuses:
        return UNKNOWN
    return statuses[0] if len(statuses) == targets and len(set(statuses)) == 1 else PARTIAL


def report(exc: errors.VoicectlError, *, profile: str | None, as_json: bool, about: str = "") -> None:
    """Write an error to standard error, in at most three lines or as one JSON object.

    Args:
        profile: The source of the credentials, such as ``profile prod`` or, in a rehearsal, ``VOICECTL_SANDBOX``.
        about: The leg or other item that the error concerns, if the command acts on several.
    """
    trace_id = getattr(exc, "trace_id", None)
    if as_json:
        content = {
            "code": _code(exc),
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


def _code(exc: errors.VoicectlError) -> str:
    """Return the code for an error, such as ``not_found`` for ``NotFoundError``."""
    name = type(exc).__name__.removesuffix("Error")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
