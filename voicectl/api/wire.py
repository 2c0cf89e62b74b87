"""HTTP exchanges, one at a time. Connecting, sending and reading share one deadline.

This module uses ``http.client`` rather than httpx for two reasons. Importing httpx would take a third of a command's
time. Also, httpx does not report whether a byte of the request left this machine, and does not limit the total time
of an exchange whose response arrives slowly. Redirects, netrc and content encodings are not supported.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl import __version__
from voicectl.api.connection import connect, proxy_for, tls_context
from voicectl.api.replies import MAX_BODY_BYTES, Incoming
from voicectl.errors import NoAnswer, NotSent
from voicectl.loopback import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from voicectl.api.connection import Connection
    from voicectl.api.replies import Reply

    Sent = tuple[str, str, bytes | None, dict[str, str]]


class Wire:
    """An HTTP client for one origin.

    Args:
        origin: The origin, such as ``https://host[:port]``. The scheme ``http`` is allowed only for loopback hosts;
            the caller must have checked this.
        ca_file: A file of certificates to trust instead of the system's certificates.
        environ: The environment variables, such as ``HTTPS_PROXY``, ``NO_PROXY`` and ``SSL_CERT_FILE``.
        is_public_only: True to refuse a host that is not on the public internet. The host's addresses are checked,
            since a name may resolve to any address. If a proxy is used, the proxy must check the addresses instead.
    """

    def __init__(
        self,
        origin: str,
        *,
        ca_file: str | None = None,
        environ: Mapping[str, str] | None = None,
        is_public_only: bool = False,
    ) -> None:
        parts = urlsplit(origin)
        self.origin = origin.rstrip("/")
        self.host = parts.hostname or ""
        self._netloc = parts.netloc
        self.is_tls = parts.scheme == "https"
        self.port = parts.port or (443 if self.is_tls else 80)
        self._ca_file = ca_file
        self._environ = os.environ if environ is None else environ
        self._is_public_only = is_public_only
        self._kept: Connection | None = None
        self._tls: ssl.SSLContext | None = None

    def exchange(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float,
        fresh: bool,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Reply:
        """Send one request, and return the whole response.

        Args:
            target: The path and query, percent-encoded.
            timeout: The time limit from connecting to the last byte of the response, in seconds.
            fresh: True to open a connection for this request alone, so that a missing response cannot be due to an
                old connection. False to use the connection that an earlier request left open, if any. If that
                connection turns out to be closed, the request is sent again.
            max_bytes: The maximum length of the response's body, in bytes.

        Raises:
            NotSent: Nothing was sent.
            NoAnswer: The request was sent, but no usable response was received.
        """
        deadline = time.monotonic() + timeout
        sent = method, target, body, self._headers(headers, keep=not fresh)
        if not fresh and self._kept:
            kept, self._kept = self._kept, None
            kept.deadline = deadline
            try:
                return self._once(kept, sent, max_bytes, keep=True)
            except (NotSent, NoAnswer):
                if kept.has_read or deadline <= time.monotonic():
                    raise
        return self._once(self._connect(deadline), sent, max_bytes, keep=not fresh)

    @contextmanager
    def download(
        self, target: str, *, headers: Mapping[str, str], timeout: float, silence: float, within: float
    ) -> Iterator[Incoming]:
        """Send a ``GET`` request over a separate connection, and yield the response before the body is read.

        The body, which may be large, must be read inside the ``with`` block.

        Args:
            target: The path and query, percent-encoded.
            timeout: The time limit from connecting to the end of the response's headers, in seconds.
            silence: The longest time to wait for the next byte of the body, in seconds.
            within: The time limit for the whole response, in seconds.

        Raises:
            NotSent: Nothing was sent.
            NoAnswer: No usable response was received. Reading the body may also raise this error.
        """
        started = time.monotonic()
        connection = self._connect(started + timeout)
        try:
            answer = Incoming(
                connection.ask("GET", target, None, self._headers(headers, keep=False)), connection
            )
            connection.deadline, connection.silence = started + within, silence
            yield answer
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection that was kept open for further requests, if there is one."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def _once(self, connection: Connection, sent: Sent, max_bytes: int, *, keep: bool) -> Reply:
        try:
            answer = Incoming(connection.ask(*sent), connection)
            reply = answer.whole(max_bytes)
        except BaseException:
            connection.close()
            raise
        if keep and not answer.will_close:
            self._kept = connection
        else:
            connection.close()
        return reply

    def _headers(self, headers: Mapping[str, str], *, keep: bool) -> dict[str, str]:
        ours = {"Host": self._netloc, "User-Agent": f"voicectl/{__version__}", "Accept": "application/json"}
        return {**ours, **headers} | ({} if keep else {"Connection": "close"})

    def _connect(self, deadline: float) -> Connection:
        proxy = None
        if self.is_tls:
            self._tls = self._tls or tls_context(self._ca_file, self._environ)
            proxy = None if is_loopback(self.host) else proxy_for(self.host, self._environ)
        return connect(
            self.host,
            self.port,
            deadline,
            tls=self._tls,
            proxy=proxy,
            is_public_only=self._is_public_only,
        )
