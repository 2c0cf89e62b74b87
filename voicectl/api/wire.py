"""One HTTP exchange at a time: connect, send, read, all within one deadline.

``http.client`` rather than httpx: importing httpx would take a third of a command's time, and a call must
know two things that httpx does not tell: whether a byte of the request left this machine, and how long the
whole exchange may still take, however slowly the answer drips in. Redirects, netrc and content encodings do not
exist here.
"""

from __future__ import annotations

import http.client
import io
import math
import os
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from voicectl import __version__, strict_json
from voicectl.errors import ConfigError, TransportError
from voicectl.loopback import is_loopback, is_public

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MAX_BODY_BYTES = 1 << 20
PART_BYTES = 1 << 16
MAX_DEPTH = 64
MAX_PROXY_HEAD_BYTES = 16_384


class NotSent(TransportError):
    """Nothing of the request left this machine: name, connection or TLS failed. Safe to repeat."""


class NoAnswer(TransportError):
    """The request, or part of it, was sent and no usable answer came. It may have been carried out."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NoAnswer: It is compressed, not JSON, has ``NaN`` or a key twice, or is nested more than
                :data:`MAX_DEPTH` deep (so that what could be read can be written again).
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise NoAnswer("the answer is compressed, which was not asked for")
        try:
            value = strict_json.loads(self.body, has_unique_keys=True)
        except (ValueError, RecursionError) as exc:
            raise NoAnswer("the answer is not the JSON that the API sends") from exc
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [each for container in level for each in _contents(container)]
            if not level:
                return value
        raise NoAnswer(f"the answer is nested more than {MAX_DEPTH} deep")


def _contents(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class Incoming:
    """An answer whose head has come, and whose body is still to be read, once.

    Attributes:
        length: Bytes of the body that ``Content-Length`` tells; None if it does not.
        is_framed: Whether its end can be told from a connection that broke.
        will_close: Whether nothing can follow it on its connection.
    """

    def __init__(self, response: http.client.HTTPResponse, stream: _Stream) -> None:
        self.status = response.status
        self.headers = response.headers
        self.length = response.length
        self.is_framed = response.length is not None or bool(response.chunked)
        self.will_close = response.will_close
        self._response = response
        self._stream = stream
        self._has_whole_head = not stream.has_ended  # http.client takes an end among the headers for theirs

    def whole(self, max_bytes: int = MAX_BODY_BYTES) -> Reply:
        """The answer with all of its body.

        Raises:
            NoAnswer: It is cut short, or longer than *max_bytes*.
        """
        with self._stream.told():
            content = self._response.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise NoAnswer("the answer is too long")
        self._check_end()
        return Reply(self.status, self.headers, content)

    def parts(self) -> Iterator[bytes]:
        """The body as it comes, in parts of up to :data:`PART_BYTES`.

        Raises:
            NoAnswer: It is cut short.
        """
        while True:
            with self._stream.told():
                part = self._response.read1(PART_BYTES)
            if not part:
                return self._check_end()
            yield part

    def _check_end(self) -> None:
        if self._response.length or not self._has_whole_head:
            raise NoAnswer("the answer was cut short")


class Wire:
    """HTTP to one origin.

    Args:
        origin: ``https://host[:port]``; ``http`` is for loopback, which the caller has checked.
        ca_file: Certificates to trust instead of the system's.
        environ: Where ``HTTPS_PROXY``, ``NO_PROXY`` and ``SSL_CERT_FILE`` are looked up.
        is_public_only: Connect to addresses of the open internet only. Who a name belongs to decides where it leads;
            through a proxy that is the proxy's to look after.
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
        self._kept: tuple[http.client.HTTPConnection, _Stream] | None = None
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
        """Send one request and read its whole answer.

        Args:
            target: Path and query, encoded.
            timeout: Seconds from the start of the connection to the last byte.
            fresh: Open a connection for this request alone, so that a silent close cannot be blamed on an
                old one. Else a kept one may be used, and the request is sent again if that turns out dead.
            max_bytes: A longer answer is no usable one.

        Raises:
            NotSent: Nothing was sent.
            NoAnswer: It was sent and no usable answer came.
        """
        deadline = time.monotonic() + timeout  # the machine's own: sockets know no other clock
        if not fresh and self._kept:
            kept, self._kept = self._kept, None
            kept[1].deadline = deadline
            try:
                return self._once(*kept, method, target, headers, body, max_bytes, keep=True)
            except (NotSent, NoAnswer):
                if kept[1].has_read or deadline - time.monotonic() <= 0:
                    raise
        return self._once(*self._connect(deadline), method, target, headers, body, max_bytes, keep=not fresh)

    @contextmanager
    def download(
        self, target: str, *, headers: Mapping[str, str], timeout: float, silence: float, within: float
    ) -> Iterator[Incoming]:
        """Ask for something that may be large (``GET``), over a connection for this alone.

        Its body is read in the ``with`` block.

        Args:
            target: Path and query, encoded.
            timeout: Seconds from the start of the connection to the end of the answer's head.
            silence: Seconds without a byte of the body that are too many.
            within: Seconds that all of it may take.

        Raises:
            NotSent: Nothing was sent.
            NoAnswer: It was sent and no usable answer came; from reading the body too.
        """
        started = time.monotonic()
        connection, stream = self._connect(started + timeout)
        try:
            answer = self._ask(connection, stream, "GET", target, headers, None, keep=False)
            stream.deadline, stream.silence = started + within, silence
            yield answer
        finally:
            stream.sock.close()

    def close(self) -> None:
        """Close a kept connection."""
        if self._kept:
            self._kept[1].sock.close()
            self._kept = None

    def _once(
        self,
        connection: http.client.HTTPConnection,
        stream: _Stream,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        *,
        keep: bool,
    ) -> Reply:
        try:
            answer = self._ask(connection, stream, method, target, headers, body, keep=keep)
            reply = answer.whole(max_bytes)
        except BaseException:
            stream.sock.close()
            raise
        if keep and not answer.will_close:
            self._kept = (connection, stream)
        else:
            stream.sock.close()
        return reply

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        stream: _Stream,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        keep: bool,
    ) -> Incoming:
        """Send a request and read the head of its answer."""
        sent = {"Host": self._netloc, "User-Agent": f"voicectl/{__version__}", "Accept": "application/json"}
        sent |= headers
        if not keep:
            sent["Connection"] = "close"
        stream.has_sent = stream.has_read = False
        with stream.told():
            connection.request(method, target, body=body, headers=sent)
            return Incoming(connection.getresponse(), stream)

    def _connect(self, deadline: float) -> tuple[http.client.HTTPConnection, _Stream]:
        stream = self._open(deadline)
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = stream  # has the three methods of a socket that it calls
        return connection, stream

    def _open(self, deadline: float) -> _Stream:
        """Connect, through ``HTTPS_PROXY`` if it is set, and start TLS."""
        context = self._tls_context() if self.is_tls else None
        proxy = None if context is None or is_loopback(self.host) else _proxy_for(self.host, self._environ)
        if proxy:
            sock = _connect(proxy.host, proxy.port, deadline)
        else:
            sock = _connect(self.host, self.port, deadline, is_public_only=self._is_public_only)
        try:
            if proxy:
                _tunnel(sock, self.host, self.port, proxy, deadline)
            if context:
                sock.settimeout(_remaining(deadline))
                sock = context.wrap_socket(sock, server_hostname=self.host)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as exc:
            sock.close()
            if isinstance(exc, ssl.SSLError):
                why = getattr(exc, "verify_message", "") or exc.reason or "the handshake failed"
                raise NotSent(f"no secure connection to {self.host}: {why}") from exc
            if isinstance(exc, OSError):
                raise NotSent(f"no connection to {self.host}:{self.port}: {_reason(exc)}") from exc
            raise
        return _Stream(sock, deadline)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            _trust(self._tls, self._ca_file, self._environ)
        return self._tls


class _Stream(io.RawIOBase):
    """A socket whose every operation ends at one deadline.

    Attributes:
        silence: Seconds that may pass without a byte, however much of the time is left.
        has_sent: Whether a byte of the present request left.
        has_read: Whether a byte of its answer came.
        has_ended: Whether the other side has closed.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.silence = math.inf
        self.has_sent = False
        self.has_read = False
        self.has_ended = False

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # not the socket's own sendall: over TLS each of its parts has the whole time again
            self.sock.settimeout(_remaining(self.deadline))
            self.has_sent = True
            left = left[self.sock.send(left) :]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell what goes wrong inside as :class:`NotSent` or :class:`NoAnswer`."""
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as exc:
            if not self.has_sent:
                raise NotSent(f"the request could not be sent: {_reason(exc)}") from exc
            raise NoAnswer(_reason(exc)) from exc

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """What ``http.client`` calls before the answer is read; :meth:`Wire._once` closes the socket."""


class _Reader(io.RawIOBase):
    """The reading side, handed to one response; closing it leaves the socket open for the next."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._stream.sock.settimeout(min(_remaining(self._stream.deadline), self._stream.silence))
        count = self._stream.sock.recv_into(buffer)
        if count:
            self._stream.has_read = True
        else:
            self._stream.has_ended = True
        return count


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no whole answer in time")
    return left


def _reason(exc: BaseException) -> str:
    """What went wrong, in words that hold nothing of the request."""
    match exc:
        case TimeoutError():
            return "no whole answer in time"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return "the connection was closed without an answer"
        case http.client.IncompleteRead():
            return "the answer was cut short"
        case http.client.HTTPException() | ValueError():
            return "the answer is not HTTP that can be read"
        case OSError(strerror=str(text)) if text:
            return text[0].lower() + text[1:]
    return type(exc).__name__


def _connect(host: str, port: int, deadline: float, *, is_public_only: bool = False) -> socket.socket:
    """Connect to one of the host's addresses; each gets its share of the time that is left."""
    addresses = _resolve(host, port, deadline)
    if is_public_only and not all(is_public(address[0]) for *_, address in addresses):
        raise NotSent(f"{host} is not of the open internet")
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
    why = "it has no address" if failure is None else _reason(failure)
    if isinstance(failure, TimeoutError):
        why = "no answer to the connection attempt"
    raise NotSent(f"no connection to {host}:{port}: {why}") from failure


def _resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Look *host* up, on a thread of its own: the system's resolver takes no deadline."""
    found: list[Any] = []
    failure: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as exc:
            failure.append(exc)
        except UnicodeError:
            failure.append(OSError("not a host name"))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_remaining(deadline))
    if thread.is_alive():
        raise NotSent(f"the name {host} could not be looked up in time")
    if failure:
        raise NotSent(f"the name {host} could not be looked up: {_reason(failure[0])}")
    return found


@dataclass(frozen=True, slots=True)
class _Proxy:
    host: str
    port: int
    authorization: str | None


def _proxy_for(host: str, environ: Mapping[str, str]) -> _Proxy | None:
    url = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    if not url:
        return None
    import urllib.request  # noqa: PLC0415 (dear to import; few machines have a proxy)

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
            "HTTPS_PROXY is not the URL of an http proxy.", hint="Write it as http://host:port, or unset it."
        )
    authorization = None
    if parts.username is not None:
        import base64  # noqa: PLC0415 (as above)

        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return _Proxy(parts.hostname, port, authorization)


def _tunnel(sock: socket.socket, host: str, port: int, proxy: _Proxy, deadline: float) -> None:
    """Ask the proxy for a tunnel; the request itself goes through it encrypted."""
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.settimeout(_remaining(deadline))
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        sock.settimeout(_remaining(deadline))
        part = sock.recv(1)  # not a byte beyond the head: what follows is TLS
        if not part or len(head) > MAX_PROXY_HEAD_BYTES:
            raise NotSent(f"the proxy {proxy.host}:{proxy.port} gave no answer")
        head += part
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].startswith(b"2"):
        said = status[0][:3].decode("ascii", "replace") if status else "nothing"
        raise NotSent(f"the proxy {proxy.host}:{proxy.port} refused the connection ({said})")


def _trust(context: ssl.SSLContext, ca_file: str | None, environ: Mapping[str, str]) -> None:
    """Load the certificates to trust: a hashed directory where there is one, since it is read on demand."""
    paths = ssl.get_default_verify_paths()
    named = ca_file or environ.get("SSL_CERT_FILE")
    directory = environ.get("SSL_CERT_DIR") or paths.capath
    try:
        if named:
            context.load_verify_locations(cafile=named)
        elif directory and any(name.endswith(".0") for name in os.listdir(directory)):  # noqa: PTH208 (stops at the first)
            context.load_verify_locations(capath=directory)
        else:
            context.load_default_certs()
            if not context.cert_store_stats()["x509_ca"]:
                import certifi  # noqa: PLC0415 (for a Python built without the system's certificates; httpx brings it)

                context.load_verify_locations(cafile=certifi.where())
    except OSError as exc:
        raise ConfigError(
            f"The certificates to trust cannot be read from {named or directory}: {_reason(exc)}.",
            hint="Check --ca-file and SSL_CERT_FILE.",
        ) from exc
