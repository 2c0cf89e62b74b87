"""Every deliberate error of voicectl, the tree drawn here; ``cli.errors`` gives each its exit status.

::

    VoicectlError            message, and ``hint``: what to try next
    ├── ConfigError          a profile, key or setting is missing or malformed
    ├── InputError           an NCCO, endpoint, id or digits break the rules
    ├── JournalError         the journal cannot be used
    ├── StoreError           the store of webhook events cannot be used
    ├── SignatureError       a webhook is unsigned, forged, stale or altered
    ├── ApiError             the API said no: status, title, detail, trace id
    │   ├── AuthError        401, 403
    │   ├── NotFoundError    404
    │   └── RateLimitedError 429, after waiting
    ├── LegError             a leg reference names no leg, or several
    ├── TransportError       no usable answer on something that may be repeated
    │   ├── NotSent          not a byte of the request left this machine
    │   └── NoAnswer         it was sent; it may have been carried out
    ├── OutcomeUnknown       it may or may not have happened
    ├── WaitError            a wait ended without the status waited for
    │   ├── WaitTimeout      it did not come in time
    │   └── WaitEnded        another final status came instead
    ├── GuardError           refused here: consent, bound or policy
    └── Interrupted          a signal came before the work was done

``DryRun`` stands beside the tree: it ends a command that was asked to send nothing, and is no fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class LegRecord(Protocol):
    """A leg as last seen, as far as an error carries it; see :class:`voicectl.voice.call.Call`."""

    @property
    def raw(self) -> dict[str, Any]:
        """The record as received."""
        ...


class VoicectlError(Exception):
    """A fault worth telling in words: what failed and why, and ``hint``, what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(VoicectlError):
    """A profile, key or setting is missing, malformed or readable by others."""


class InputError(VoicectlError):
    """Something the user gave breaks the rules; says where."""


class JournalError(VoicectlError):
    """The journal cannot be used: not writable, damaged, or of a newer version."""


class StoreError(VoicectlError):
    """The store of webhook events cannot be used: not writable, locked, damaged, gone, or of a newer version."""


class SignatureError(VoicectlError):
    """A webhook is unsigned, forged, stale or altered: ``is_unsigned`` says the first of it."""

    def __init__(self, message: str, *, is_unsigned: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.is_unsigned = is_unsigned


class ApiError(VoicectlError):
    """The API refused the request with a whole, well-formed answer.

    Attributes:
        status: The HTTP status.
        title: The API's own short words for it.
        trace_id: What Vonage support asks for.
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
    """Still over the rate limit after waiting (429).

    Attributes:
        retry_after: Seconds of quiet that the API asks for; None if it does not say.
    """

    retry_after: float | None = None


class LegError(VoicectlError):
    """A leg reference names no leg, or more than one."""


class TransportError(VoicectlError):
    """No usable answer came: name resolution, connection, TLS, timeout, 5xx, redirect.

    Attributes:
        status: Of an answer that is of no use; None if none came.
        trace_id: What Vonage support asks for.
    """

    status: int | None = None
    trace_id: str | None = None


class NotSent(TransportError):
    """Nothing of the request left this machine: name, connection or TLS failed. Safe to repeat."""


class NoAnswer(TransportError):
    """The request, or part of it, was sent and no usable answer came. It may have been carried out."""


class OutcomeUnknown(VoicectlError):
    """A request that must not be repeated got no usable answer: it may or may not have happened.

    ``status`` and ``trace_id`` are those of a :class:`TransportError`.
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
    """Refused here: it needs consent, is over a bound, or breaks the profile's policy."""


class Interrupted(VoicectlError):
    """A signal ended the command before its work was done."""

    def __init__(self, signum: int, message: str = "Interrupted.") -> None:
        super().__init__(message)
        self.signum = signum


class DryRun(Exception):
    """The request that would have been sent, had nothing been forbidden by ``--dry-run``."""

    def __init__(self, method: str, url: str, body: dict[str, Any] | None) -> None:
        super().__init__(f"{method} {url}")
        self.method = method
        self.url = url
        self.body = body


def causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield *exc*, and whatever it came from."""
    while exc is not None:
        yield exc
        if isinstance(exc, BaseExceptionGroup):  # one for each address of a name
            for each in exc.exceptions:
                yield from causes(each)
        exc = exc.__cause__ or exc.__context__
