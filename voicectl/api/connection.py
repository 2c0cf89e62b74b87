"""Connections to a host: name lookup, proxy, TLS, and one deadline for all operations."""

from __future__ import annotations

import base64
import http.client
import io
import math
import os
import re
import socket
import ssl
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from voicectl.background import BackgroundThread
from voicectl.errors import ConfigError, NoAnswer, NotSent
from voicectl.loopback import is_loopback, is_public

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_PROXY_HEAD_BYTES = 16_384

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] +[1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")


class Connection:
    """An HTTP connection whose operations all share one deadline.

    Attributes:
        deadline: The time at which operations time out, as a value of ``time.monotonic()``. A simulated clock is not
            used, since sockets time out in real time.
        silence: The longest time to wait for the next byte, in seconds, even if the deadline is later.
        has_sent: True once a byte of the current request has been sent.
        has_read: True once a byte of the response to the current request has been received.
        has_ended: True once the server has closed the connection.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.deadline = deadline
        self.silence = math.inf
        self.has_sent = self.has_read = self.has_ended = False
        self._sock = sock
        self._http = http.client.HTTPConnection("")
        self._http.sock = _Sender(self)

    def ask(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request, read the headers of the response, and return the response.

        Raises:
            NotSent: Nothing was sent.
            NoAnswer: The request was sent, but no usable response was received.
        """
        self.has_sent = self.has_read = False
        with self.failures():
            self._http.request(method, target, body, headers)
            return self._http.getresponse()

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Translate network errors raised in the ``with`` block into ``NotSent`` or ``NoAnswer``."""
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as exc:
            if not self.has_sent:
                raise NotSent(f"the request could not be sent: {_reason(exc)}") from exc
            raise NoAnswer(_reason(exc)) from exc

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def send(self, data: memoryview) -> int:
        """Send some or all of *data*, and return the number of bytes sent."""
        self._sock.settimeout(_remaining(self.deadline))
        self.has_sent = True
        return self._sock.send(data)

    def receive(self, buffer: Any) -> int:
        """Read bytes into *buffer*, and return their number, or 0 if the server has closed the connection."""
        self._sock.settimeout(min(_remaining(self.deadline), self.silence))
        count = self._sock.recv_into(buffer)
        if count:
            self.has_read = True
        else:
            self.has_ended = True
        return count


class _Sender:
    """The object that ``http.client`` uses as its socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # over TLS, the socket's own sendall would restart the timeout for each part
            left = left[self._connection.send(left) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return _Lines(_Reader(self._connection))

    def close(self) -> None:
        """Do nothing, since ``http.client`` calls this method before the response is read."""


class _Reader(io.RawIOBase):
    """The stream from which one response is read. Closing the stream leaves the socket open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive(buffer)


class _Lines(io.BufferedReader):
    """A buffer that checks status lines, since ``http.client`` accepts statuses such as ``+201`` and ``2_01``."""

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if line.startswith(b"HTTP/") and not _STATUS_LINE.fullmatch(line):
            raise http.client.BadStatusLine("not a status line")
        return line


class Proxy(NamedTuple):
    """An HTTP proxy that opens tunnels for HTTPS."""

    host: str
    port: int
    authorization: str | None


def connect(
    host: str,
    port: int,
    deadline: float,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    is_public_only: bool = False,
) -> Connection:
    """Connect to *host*, through *proxy* if one is given, and start TLS if *tls* is given.

    Args:
        is_public_only: True to refuse a host that is not on the public internet. The host's addresses are checked,
            since a name may resolve to any address. If *proxy* is given, the proxy must check the addresses instead.

    Raises:
        NotSent: No connection could be made.
    """
    if proxy:
        sock = _open(proxy.host, proxy.port, deadline)
    else:
        sock = _open(host, port, deadline, is_public_only=is_public_only)
    try:
        if proxy:
            _tunnel(sock, host, port, proxy, deadline)
        if tls:
            sock.settimeout(_remaining(deadline))
            sock = tls.wrap_socket(sock, server_hostname=host)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException as exc:
        sock.close()
        if isinstance(exc, ssl.SSLError):
            why = getattr(exc, "verify_message", "") or exc.reason or "the handshake failed"
            raise NotSent(f"no secure connection to {host}: {why}") from exc
        if isinstance(exc, OSError):
            raise NotSent(f"no connection to {host}:{port}: {_reason(exc)}") from exc
        raise
    return Connection(sock, deadline)


def tls_context(ca_file: str | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a TLS context for clients that contains the certificates to trust.

    If neither *ca_file* nor ``SSL_CERT_FILE`` is set, a directory of certificates is used if one exists in which the
    files are named by hashes. OpenSSL reads the certificates in such a directory only on demand.

    Args:
        ca_file: A file of certificates to trust instead of the system's certificates.
        environ: The environment variables, which may include ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

    Raises:
        ConfigError: The certificates cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    named = ca_file or environ.get("SSL_CERT_FILE")
    directory = environ.get("SSL_CERT_DIR") or paths.capath
    try:
        if named:
            context.load_verify_locations(cafile=named)
        elif directory and any(name.endswith(".0") for name in os.listdir(directory)):  # noqa: PTH208 (stops at the first name)
            context.load_verify_locations(capath=directory)
        else:
            context.load_default_certs()
            if not context.cert_store_stats()["x509_ca"]:
                import certifi  # noqa: PLC0415 (only for a Python without the certificates of the system)

                context.load_verify_locations(cafile=certifi.where())
    except OSError as exc:
        raise ConfigError(
            f"The trusted certificates cannot be read from {named or directory}: {_reason(exc)}.",
            hint="Check --ca-file and SSL_CERT_FILE.",
        ) from exc
    return context


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment variable ``HTTPS_PROXY`` sets for *host*.

    Returns:
        The proxy, or None if ``HTTPS_PROXY`` is not set or ``NO_PROXY`` excludes *host*.

    Raises:
        ConfigError: ``HTTPS_PROXY`` is not the URL of an HTTP proxy.
    """
    url = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    if not url:
        return None
    import urllib.request  # noqa: PLC0415 (slow to import; few machines have a proxy)

    no_proxy = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if urllib.request.proxy_bypass_environment(host, {"no": no_proxy}):  # type: ignore[attr-defined]
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigError(
            "HTTPS_PROXY is not the URL of an HTTP proxy.", hint="Write it as http://host:port, or unset it."
        )
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(parts.hostname, port, authorization)


def _open(host: str, port: int, deadline: float, *, is_public_only: bool = False) -> socket.socket:
    """Return a socket connected to an address of *host*. Each address gets an equal share of the remaining time."""
    addresses = _resolve(host, port, deadline)
    if is_public_only and not all(is_public(address[0]) for *_, address in addresses):
        raise NotSent(f"{host} is not on the public internet")
    failure: OSError | None = None
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_remaining(deadline) / (len(addresses) - tried))
            sock.connect(address)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    why = "the name resolves to no address" if failure is None else _reason(failure)
    if isinstance(failure, TimeoutError):
        why = "no response to the connection attempt"
    raise NotSent(f"no connection to {host}:{port}: {why}") from failure


def _resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Look up the addresses of *host* in a separate thread, since the resolver accepts no deadline."""
    name = host.encode() if is_loopback(host) else host  # a str would load the IDNA codec (1 ms)
    looking = BackgroundThread(partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM))
    if not looking.is_done(_remaining(deadline)):
        raise NotSent(f"the name {host} could not be looked up in time")
    try:
        return looking.wait()
    except OSError as exc:
        raise NotSent(f"the name {host} could not be looked up: {_reason(exc)}") from exc
    except UnicodeError as exc:
        raise NotSent(f"the name {host} could not be looked up: not a host name") from exc


def _tunnel(sock: socket.socket, host: str, port: int, proxy: Proxy, deadline: float) -> None:
    """Ask *proxy* to open a tunnel to *host*, through which an encrypted connection can be made."""
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.settimeout(_remaining(deadline))
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        sock.settimeout(_remaining(deadline))
        part = sock.recv(1)  # byte by byte, since TLS begins right after the headers
        if not part or len(head) > MAX_PROXY_HEAD_BYTES:
            raise NotSent(f"the proxy {proxy.host}:{proxy.port} gave no response")
        head += part
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].startswith(b"2"):
        said = status[0][:3].decode("ascii", "replace") if status else "no status"
        raise NotSent(f"the proxy {proxy.host}:{proxy.port} refused the connection ({said})")


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _reason(exc: BaseException) -> str:
    """Return a description of the error *exc*. The description does not quote any part of the request."""
    match exc:
        case TimeoutError():
            return "timed out"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return "the connection was closed without a response"
        case http.client.IncompleteRead():
            return "the response was cut short"
        case http.client.HTTPException() | ValueError():
            return "the response is not valid HTTP"
        case OSError(strerror=str(text)) if text:
            return text[0].lower() + text[1:]
    return type(exc).__name__
