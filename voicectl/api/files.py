"""A client that downloads recordings and transcriptions. Tokens are sent only to a file's own host, not to others.

Source: webhook reference, "recording and transcription files".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from voicectl.api.session import REDIRECTS, STREAMED
from voicectl.errors import NoAnswer, TransportError
from voicectl.loopback import is_loopback, is_loopback_url, is_public

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.api.replies import Incoming
    from voicectl.api.session import Session
    from voicectl.api.wire import Wire

    Headers = Callable[[], dict[str, str]]

T = TypeVar("T")

SILENCE_SECONDS = 10.0
FILE_SECONDS = 1800.0
"""The time limit for one download, in seconds, regardless of the size of the file."""

_LOCATION = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,8192}")  # ASCII except spaces, controls and backslashes
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}")  # a name, not an IP address


class FileApi:
    """A client for ``GET /v1/files/{id}`` on any host. Each thread needs a separate client.

    Args:
        session: A function that takes an origin, and returns a new session for it with the application's credentials.
        wire: A function that takes an origin, and returns a new :class:`~voicectl.api.wire.Wire` for it, which sends
            no token. The function's second argument is True if only public addresses are allowed.
        silence: The longest time to wait for the next byte, in seconds.
        within: The time limit for one file, in seconds.
    """

    def __init__(
        self,
        session: Callable[[str], Session],
        wire: Callable[[str, bool], Wire],
        *,
        silence: float = SILENCE_SECONDS,
        within: float = FILE_SECONDS,
    ) -> None:
        self._new_session = session
        self._wire = wire
        self._silence = silence
        self._within = within
        self._sessions: dict[str, Session] = {}

    def get(self, origin: str, path: str, take: Callable[[Incoming], T], *, headers: Headers) -> T:
        """Request a file, call *take* with the response, and return the result of *take*.

        See also :meth:`Session.download`.

        One redirect is followed, without the token. It must lead to an https URL on the public internet. A redirect
        from a loopback host may also lead to a loopback host.

        Args:
            origin: The origin of the file's URL. The token is sent there, so the caller must have checked the origin.
            take: A function that reads a response with status 200, 206 or 416.

        Raises:
            AuthError: The credentials were refused.
            NotFoundError: The file has expired, never existed, or belongs to another application.
            TransportError: No usable response was received.
        """
        session = self._sessions.get(origin) or self._sessions.setdefault(origin, self._new_session(origin))

        def follow(answer: Incoming) -> T:
            if answer.status not in REDIRECTS:
                return take(answer)
            there, target = _location(origin, path, answer)
            wire = self._wire(there, not is_loopback_url(origin))
            with wire.download(
                target, headers=headers(), timeout=self._silence, silence=self._silence, within=self._within
            ) as answer:
                if answer.status in STREAMED - REDIRECTS:
                    return take(answer)
                raise NoAnswer(f"{wire.host}, to which the download was redirected, returned {answer.status}")

        return session.download(
            path,
            follow,
            headers=headers,
            silence=self._silence,
            within=self._within,
            if_absent="Files are deleted after about 30 days. The file may also belong to another application,"
            " or be in another region.",
        )


def _location(origin: str, path: str, answer: Incoming) -> tuple[str, str]:
    """Return the URL that a redirect leads to, split into its origin and its path with the query.

    Raises:
        TransportError: The redirect must not be followed. The error message does not quote the URL, which may
            contain a signature.
    """
    text = answer.headers.get("Location", "")
    try:
        url = urlsplit(urljoin(origin + path, text))
        host, port = url.hostname or "", url.port
    except ValueError:
        raise _no_way("to an invalid URL", origin) from None
    if not _LOCATION.fullmatch(text) or "@" in url.netloc or port == 0:
        raise _no_way("to an invalid URL", origin)
    if is_loopback_url(origin):
        if url.scheme not in ("http", "https") or not is_loopback(host):
            raise _no_way("away from this machine", origin)
    elif url.scheme != "https" or port not in (None, 443):
        raise _no_way("to something other than https on port 443", origin)
    elif not _NAME.fullmatch(host) and not is_public(host):
        raise _no_way("away from the public internet", origin)
    return f"{url.scheme}://{url.netloc}", (url.path or "/") + (f"?{url.query}" if url.query else "")


def _no_way(why: str, origin: str) -> TransportError:
    return TransportError(
        f"{urlsplit(origin).hostname} redirected the download {why}. The redirect was not followed.",
        hint="Files are downloaded only from the allowed hosts, and from https URLs to which those hosts redirect.",
    )
