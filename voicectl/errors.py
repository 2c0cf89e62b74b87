"""The exceptions that voicectl raises deliberately. The module ``voicectl.cli.errors`` maps them to exit statuses.

::

    VoicectlError            a message, and a ``hint`` on what to do next
    ├── ConfigError          a profile, key or setting is missing or malformed
    ├── InputError           an NCCO, an endpoint, an id or a digit string is invalid
    ├── JournalError         the journal cannot be used
    ├── StoreError           the store of webhook events, or a batch, cannot be used
    ├── UnwritableError      a directory of recordings cannot be written
    ├── SignatureError       a webhook is unsigned, forged, stale or altered
    ├── ApiError             the API refused the request (status, title, trace id)
    │   ├── AuthError        401, 403
    │   ├── NotFoundError    404
    │   └── RateLimitedError 429, after waiting
    ├── LegError             what the user names does not exist
    │   └── AmbiguousError   a reference matches several legs
    ├── TransportError       a request that may be retried got no usable response
    │   ├── NotSent          no byte of the request left this machine
    │   └── NoAnswer         the request was sent and may have been carried out
    ├── OutcomeUnknown       the request may or may not have been carried out
    ├── WaitError            a wait ended without the expected status
    │   ├── WaitTimeout      the status was not reported in time
    │   └── WaitEnded        a leg ended in another final status
    ├── GuardError           voicectl refused: confirmation, limit or policy
    │   └── LeaseLost        another process runs the batch now
    └── Interrupted          a signal arrived before the work was done

``DryRun`` is not in this tree, since it does not report a failure: it ends a command that is run with ``--dry-run``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class LegRecord(Protocol):
    """The last known record of a leg, as attached to an exception; see :class:`voicectl.voice.call.Call`."""

    @property
    def raw(self) -> dict[str, Any]:
        """The record, as received from the API."""
        ...


class VoicectlError(Exception):
    """An error for the user: the message says what failed and why, and the ``hint`` says what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(VoicectlError):
    """A profile, key or setting is missing, malformed or readable by others."""


class InputError(VoicectlError):
    """The user's input is invalid. The message says where the mistake is."""


class JournalError(VoicectlError):
    """The journal cannot be used: it is not writable, is damaged, or was written by a newer version.

    Attributes:
        is_temporary: True if the journal is in a database that cannot be reached now.
    """

    is_temporary = False


class StoreError(VoicectlError):
    """The event store or a batch cannot be used: it is read-only, locked, damaged, missing or of a newer version.

    Attributes:
        is_temporary: True if the database cannot be reached now.
    """

    is_temporary = False


class UnwritableError(VoicectlError):
    """A directory of recordings cannot be used, for example because the disk is full. A later attempt may succeed."""


class SignatureError(VoicectlError):
    """A webhook is unsigned (in which case ``is_unsigned`` is True), forged, stale or altered."""

    def __init__(self, message: str, *, is_unsigned: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.is_unsigned = is_unsigned


class ApiError(VoicectlError):
    """The API refused a request with a complete, well-formed response.

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
    """The API did not accept the credentials (401), or the account is not allowed to make the request (403)."""


class NotFoundError(ApiError):
    """The requested object does not exist for this application on this host (404)."""


class RateLimitedError(ApiError):
    """The API's rate limit is still exceeded after waiting (429).

    Attributes:
        retry_after: How long the API asks the client to wait, in seconds, or None if it does not say.
    """

    retry_after: float | None = None


class LegError(VoicectlError):
    """The leg, conversation, event or call that the user names does not exist."""


class AmbiguousError(LegError):
    """A reference matches several legs. The hint lists them."""


class TransportError(VoicectlError):
    """A request got no usable response, because of a network or TLS error, a timeout, a 5xx status or a redirect.

    Attributes:
        status: The HTTP status of an unusable response, or None if there was no response.
        trace_id: The trace id, which Vonage support asks for.
    """

    status: int | None = None
    trace_id: str | None = None


class NotSent(TransportError):
    """No byte of the request left this machine, so the request can safely be retried.

    The name lookup, the connection or TLS failed.
    """


class NoAnswer(TransportError):
    """The request was sent, at least in part, but got no usable response. The API may have carried it out."""


class OutcomeUnknown(VoicectlError):
    """A request that must not be retried got no usable response. The API may or may not have carried it out.

    The attributes ``status`` and ``trace_id`` are the same as in :class:`TransportError`.
    """

    status: int | None = None
    trace_id: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, reference: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reference = reference


class WaitError(VoicectlError):
    """A wait ended before all legs reached the expected status. ``calls`` contains each leg's last known record."""

    def __init__(self, message: str, calls: Sequence[LegRecord], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.calls = calls


class WaitTimeout(WaitError):
    """The expected status was not reported in time."""


class WaitEnded(WaitError):
    """A leg ended in a final status that is not the expected one."""


class GuardError(VoicectlError):
    """voicectl refused a command that needs confirmation, exceeds a limit, or violates a profile's guards."""


class LeaseLost(GuardError):
    """Another process has taken over the batch, so this process must not change it any more."""


class Interrupted(VoicectlError):
    """A signal ended the command before the work was done."""

    def __init__(self, signum: int, message: str = "Interrupted.") -> None:
        super().__init__(message)
        self.signum = signum


class DryRun(Exception):
    """A request was not sent because of ``--dry-run``.

    Attributes:
        is_form: True if the body is sent as a form, not as JSON.
    """

    def __init__(self, method: str, url: str, body: dict[str, Any] | None, *, is_form: bool = False) -> None:
        super().__init__(f"{method} {url}")
        self.method = method
        self.url = url
        self.body = body
        self.is_form = is_form


def causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield *exc* and all exceptions that caused it, directly or indirectly."""
    while exc is not None:
        yield exc
        if isinstance(exc, BaseExceptionGroup):  # one exception for each address of a host name
            for each in exc.exceptions:
                yield from causes(each)
        exc = exc.__cause__ or exc.__context__
