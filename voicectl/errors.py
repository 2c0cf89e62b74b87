"""The deliberate errors of voicectl, as a tree; ``cli.errors`` maps each to its exit status.

::

    VoicectlError            the message, and a ``hint`` on what to do next
    ├── ConfigError          a profile, key or setting is missing or malformed
    ├── InputError           an NCCO, endpoint, id or digits break the rules
    ├── JournalError         the journal cannot be used
    ├── StoreError           the store of webhook events cannot be used
    ├── SignatureError       a webhook is unsigned, forged, stale or altered
    ├── ApiError             the API refused: status, title, detail, trace id
    │   ├── AuthError        401, 403
    │   ├── NotFoundError    404
    │   └── RateLimitedError 429, after waiting
    ├── LegError             a leg reference names no leg, or several
    ├── TransportError       no usable answer to a request that may be repeated
    │   ├── NotSent          not a byte of the request left this machine
    │   └── NoAnswer         it was sent; it may have been carried out
    ├── OutcomeUnknown       it may or may not have happened
    ├── WaitError            a wait ended without the status waited for
    │   ├── WaitTimeout      it did not come in time
    │   └── WaitEnded        another final status came instead
    ├── GuardError           refused by voicectl: confirmation, limit or policy
    └── Interrupted          a signal came before the work was done

``DryRun`` is not part of the tree: it ends a command that was asked to send nothing, and is not a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class LegRecord(Protocol):
    """A leg as last seen, as errors carry it; see :class:`voicectl.voice.call.Call`."""

    @property
    def raw(self) -> dict[str, Any]:
        """The record as received."""
        ...


class VoicectlError(Exception):
    """An error for the user: the message says what failed and why, the ``hint`` what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(VoicectlError):
    """A profile, key or setting is missing, malformed or readable by others."""


class InputError(VoicectlError):
    """Input of the user breaks the rules; the message says where."""


class JournalError(VoicectlError):
    """The journal cannot be used: not writable, damaged, or of a newer version."""


class StoreError(VoicectlError):
    """The store of webhook events cannot be used: not writable, locked, damaged, gone, or of a newer version."""


class SignatureError(VoicectlError):
    """A webhook is unsigned (``is_unsigned``), forged, stale or altered."""

    def __init__(self, message: str, *, is_unsigned: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.is_unsigned = is_unsigned


class ApiError(VoicectlError):
    """The API refused the request with a complete, well-formed answer.

    Attributes:
        status: The HTTP status.
        title: The API's title for the error.
        trace_id: The trace id, which Vonage support asks for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        title: str = "",
        trace_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.title = title
        self.trace_id = trace_id


class AuthError(ApiError):
    """The API does not accept the credentials (401) or allow the account (403)."""


class NotFoundError(ApiError):
    """The API knows no such leg for this application on this host (404)."""


class RateLimitedError(ApiError):
    """The rate limit is still exceeded after waiting (429).

    Attributes:
        retry_after: Seconds to wait according to the API; None if it does not say.
    """

    retry_after: float | None = None


class LegError(VoicectlError):
    """A leg reference names no leg, or more than one."""


class TransportError(VoicectlError):
    """No usable answer came: name resolution, connection, TLS, timeout, 5xx, redirect.

    Attributes:
        status: The HTTP status of an unusable answer; None if there was no answer.
        trace_id: The trace id, which Vonage support asks for.
    """

    status: int | None = None
    trace_id: str | None = None


class NotSent(TransportError):
    """No byte of the request left this machine: name lookup, connection or TLS failed. Safe to repeat."""


class NoAnswer(TransportError):
    """The request, or part of it, was sent and no usable answer came. It may have been carried out."""


class OutcomeUnknown(VoicectlError):
    """A request that must not be repeated got no usable answer: it may or may not have been carried out.

    ``status`` and ``trace_id`` are as in :class:`TransportError`.
    """

    status: int | None = None
    trace_id: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, reference: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reference = reference


class WaitError(VoicectlError):
    """A wait ended without the status waited for. Carries each leg as last seen."""

    def __init__(self, message: str, calls: Sequence[LegRecord], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.calls = calls


class WaitTimeout(WaitError):
    """The status waited for did not come in time."""


class WaitEnded(WaitError):
    """A leg ended in another final status than the one waited for."""


class GuardError(VoicectlError):
    """voicectl refused: the command needs confirmation, exceeds a limit, or breaks the profile's policy."""


class Interrupted(VoicectlError):
    """A signal ended the command before its work was done."""

    def __init__(self, signum: int, message: str = "Interrupted.") -> None:
        super().__init__(message)
        self.signum = signum


class DryRun(Exception):
    """The request that was not sent because of ``--dry-run``."""

    def __init__(self, method: str, url: str, body: dict[str, Any] | None) -> None:
        super().__init__(f"{method} {url}")
        self.method = method
        self.url = url
        self.body = body


def causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield *exc* and the exceptions that caused it."""
    while exc is not None:
        yield exc
        if isinstance(exc, BaseExceptionGroup):  # one exception for each address of a name
            for each in exc.exceptions:
                yield from causes(each)
        exc = exc.__cause__ or exc.__context__
