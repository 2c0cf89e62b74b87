"""Authentication of requests, either as an application or as an account.

An application uses tokens, and the times in the tokens follow the API's clock.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from voicectl import tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from voicectl.clock import Clock

RENEW_SECONDS = 60
MIN_OFFSET_SECONDS = 5
MAX_OFFSET_SECONDS = 86_460.0


class Credentials(Protocol):
    """A source of ``Authorization`` headers.

    Attributes:
        whose: A description of the application or account that the credentials belong to.
        offset: How far the API's clock is ahead of this machine's clock, in seconds. The offset is always 0 for
            credentials that do not depend on a clock.
        was_corrected: True if the last response changed :attr:`offset`, so that the next token may be accepted even
            if this one was refused.
    """

    whose: str
    offset: float
    was_corrected: bool

    @property
    def doubt(self) -> str:
        """Advice for a user whose credentials were refused."""
        ...

    def header(self) -> str:
        """Return the value of the ``Authorization`` header."""
        ...

    def correct(self, server_time: float | None) -> bool:
        """Update :attr:`offset` from the API's time, and return True if the offset changed.

        See :meth:`Bearer.correct`.
        """
        ...


class Basic:
    """The credentials of an account, for HTTP basic authentication.

    Args:
        api_key: The API key, which also identifies the account.
        api_secret: The API secret of the account.
    """

    offset = 0.0
    was_corrected = False
    doubt = "Check that the secret belongs to this API key."

    def __init__(self, api_key: str, api_secret: str) -> None:
        self.whose = f"API key {api_key}"
        self._pair = f"{api_key}:{api_secret}".encode()

    def header(self) -> str:
        """Return ``Basic`` followed by the API key and the secret, encoded in Base64."""
        return "Basic " + base64.b64encode(self._pair).decode()

    def correct(self, server_time: float | None) -> bool:  # noqa: ARG002 (part of the protocol)
        """Return False, since these credentials do not depend on a clock."""
        return False


class Bearer:
    """The credentials of an application: tokens signed with its private key.

    Args:
        application_id: The id of the application that the tokens authenticate.
        load_key: A function that returns the private key. It is called only when a token is created.
        offset: How far the API's clock is initially assumed to be ahead of this machine's clock, in seconds.
    """

    def __init__(
        self,
        application_id: str,
        load_key: Callable[[], RSAPrivateKey],
        clock: Clock,
        *,
        offset: float = 0.0,
    ) -> None:
        self.application_id = application_id
        self.whose = f"application {application_id}"
        self.offset = offset
        self._difference = offset  # the last measured difference, even if it was ignored
        self.was_corrected = False
        self._load_key = load_key
        self._clock = clock
        self._token = ""
        self._ends = 0.0

    def header(self) -> str:
        """Return ``Bearer`` followed by a token that remains valid for at least :data:`RENEW_SECONDS` seconds."""
        now = self._clock.time() + self.offset
        if now > self._ends - RENEW_SECONDS:
            claims = tokens.application_claims(self.application_id, now=now)
            self._token = tokens.mint(claims, self._load_key())
            self._ends = claims["exp"]
        return f"Bearer {self._token}"

    def correct(self, server_time: float | None) -> bool:
        """Update the clock offset from the API's time, and return True if the offset changed and should be stored.

        A change of a few seconds is ignored, since network delays and the one-second resolution of the ``Date``
        header can cause it. An offset of more than a day is also ignored, so that no one can obtain tokens for
        arbitrary dates by forging a ``Date`` header.

        Args:
            server_time: The API's time in Unix seconds, or None if the response has no valid ``Date`` header.
        """
        self.was_corrected = False
        if server_time is None:
            return False
        offset = self._difference = server_time - self._clock.time()
        if abs(offset - self.offset) < MIN_OFFSET_SECONDS or abs(offset) > MAX_OFFSET_SECONDS:
            return False
        self.offset = 0.0 if abs(offset) < MIN_OFFSET_SECONDS else offset
        self._ends = 0.0
        self.was_corrected = True
        return True

    @property
    def doubt(self) -> str:
        """Advice for a user whose credentials were refused."""
        off = self._difference
        clock = f"This machine's clock is {_duration(abs(off))} {'slow' if off > 0 else 'fast'}"
        if abs(off) > MAX_OFFSET_SECONDS:
            return f"{clock}. Set the clock."
        key = "Check that the private key belongs to this application."
        return f"{key} {clock}; voicectl has already allowed for this." if self.offset else key


def _duration(seconds: float) -> str:
    """Format a duration in seconds as text, such as ``7 min 12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "0 s"
