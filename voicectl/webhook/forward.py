"""Passes webhooks on to the user's own application, and checks its answers.

The platform waits meanwhile: one deadline bounds the whole exchange, and every failure means "no answer", never an
error. Method, query, body, content type and signature are passed on as received, so that the application can verify
them itself.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from voicectl import __version__, strict_json
from voicectl.errors import InputError, causes
from voicectl.voice.json_places import MAX_DEPTH, show
from voicectl.voice.ncco.lint import first_error
from voicectl.webhook.messages import SUCCESSES, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.webhook.messages import Request

MAX_BODY_BYTES = 1 << 20
LANES = 8
LANE_WIDTH = 8
"""Connections of one pool: an httpx pool becomes slow with more than a dozen requests at once."""

KEEP_SECONDS = 1.5
"""Seconds that an idle connection is kept: fewer than common servers do, so that they do not close it in use."""

AT_ONCE_BYTES = 32 << 10
"""An NCCO up to this size is checked at once, in at most 15 ms; a larger one is checked in a thread."""

_PASSED = frozenset({b"content-type", b"authorization"})
_FORWARDED_FOR = b"x-forwarded-for"
_OURS = (
    (b"User-Agent", f"voicectl/{__version__}".encode()),
    (b"Accept", b"application/json, */*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"keep-alive"),
)
_URL = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_MAX_SHOWN = 100


class Forwarder:
    """Passes requests on to an application, over connections that are kept open.

    Args:
        url: ``http`` or ``https``; the name of a request's route is added to its path.
        on_trouble: Called with the reason if there is no answer: one line, without any content of the request.

    Raises:
        InputError: *url* is not an http or https URL, or has more than host, port and path.
    """

    def __init__(self, url: str, *, on_trouble: Callable[[str], None] | None = None) -> None:
        self._url = _checked(url)
        self._prefix = self._url.raw_path.rstrip(b"/")
        self._on_trouble = on_trouble
        self._name = self._url.netloc.decode()
        self._slots = asyncio.Semaphore(LANES * LANE_WIDTH)
        self._lanes: list[_Lane] = []
        self._tls: ssl.SSLContext | None = None

    async def ask(self, asked: Request, *, within: float) -> Response | None:
        """Pass a request on and return its answer; None if that is late or unusable.

        Args:
            asked: The request, of which only a few headers are passed on.
            within: Seconds from now to the last byte of the answer.
        """
        try:
            request = self._request(asked)
            async with asyncio.timeout(within), self._slots:
                lane = self._lane()
                lane.busy += 1
                try:
                    found = await _exchange(lane.transport, request)
                finally:
                    lane.busy -= 1
        except TimeoutError:
            found = f"no complete answer within {within:.1f} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ssl.SSLError) as exc:
            found = _reason(exc)
        if isinstance(found, Response):
            return found
        if self._on_trouble is not None:
            self._on_trouble(f"{asked.route}: {self._name} gave no answer: {found}")
        return None

    async def close(self) -> None:
        """Close all connections."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            await lane.transport.aclose()

    def _request(self, asked: Request) -> httpx.Request:
        passed = [(name, value) for name, value in asked.headers if name.lower() in _PASSED]
        hops = [value for name, value in asked.headers if name.lower() == _FORWARDED_FOR]
        hops += [asked.peer.encode()] if asked.peer else []
        if hops:
            passed.append((_FORWARDED_FOR, b", ".join(hops)))
        target = self._prefix + b"/" + asked.route.encode() + (b"?" + asked.query if asked.query else b"")
        return httpx.Request(
            asked.method,
            self._url,
            headers=[*_OURS, *passed],
            content=asked.body or None,
            extensions={"target": target},  # httpx would re-encode the query, and its hash would not match
        )

    def _lane(self) -> _Lane:
        """Return the first pool with room, so that requests after one another share a connection."""
        for lane in self._lanes:
            if lane.busy < LANE_WIDTH:
                return lane
        limits = httpx.Limits(
            max_connections=LANE_WIDTH, max_keepalive_connections=LANE_WIDTH, keepalive_expiry=KEEP_SECONDS
        )
        self._tls = self._tls or _tls(self._url)
        lane = _Lane(httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits))
        self._lanes.append(lane)
        return lane


@dataclass(slots=True)
class _Lane:
    """A pool of connections, and the number of requests that use it."""

    transport: httpx.AsyncHTTPTransport
    busy: int = 0


def ncco_fault(body: bytes) -> str | None:
    """Return why the platform would not run *body*, with the linter's first error; None if it would."""
    try:
        flow = strict_json.loads(body.decode(), max_depth=MAX_DEPTH)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError):
        return "it is not JSON"
    if flow == []:
        return None
    error = first_error(flow)
    return f"{show(error.path)[:_MAX_SHOWN]}: {error.message}" if error else None


async def ncco_fault_aside(body: bytes, *, within: float) -> str | None:
    """Return the same as :func:`ncco_fault`, without blocking the event loop however large *body* is.

    Args:
        within: Longest time for the check, in seconds.
    """
    if len(body) <= AT_ONCE_BYTES:
        return ncco_fault(body)
    try:
        async with asyncio.timeout(within):
            return await asyncio.to_thread(ncco_fault, body)
    except TimeoutError:
        return "it is too large to check in time"


async def _exchange(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> Response | str:
    """Return the answer to *request*, or why there is no usable one.

    The application may close an idle connection just as a request is written to it. It has not read that request,
    so the request is sent again, at last over a new connection.
    """
    is_new = False

    async def trace(event: str, _: object) -> None:
        nonlocal is_new
        is_new = is_new or event == "connection.connect_tcp.started"

    request.extensions["trace"] = trace
    while True:
        try:
            response = await transport.handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if is_new:
                raise
        else:
            return await _read(response)


async def _read(response: httpx.Response) -> Response | str:
    try:
        if response.status_code not in SUCCESSES:
            is_redirect = 300 <= response.status_code < 400
            return f"it answered {response.status_code}" + (
                ", a redirect, which is not followed" if is_redirect else ""
            )
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            return "the answer is compressed, although the request did not allow that"
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BODY_BYTES:
                return "the answer is over 1 MiB"
    finally:
        await response.aclose()
    content_type = _UNPRINTABLE.sub("", response.headers.get("content-type", "")).strip()
    return Response(response.status_code, bytes(body), content_type or None)


def _checked(url: str) -> httpx.URL:
    hint = "Write it as http://127.0.0.1:5000/voice: scheme, host, port and path."
    try:
        parsed = httpx.URL(url) if _URL.fullmatch(url) else None
    except httpx.InvalidURL:
        parsed = None
    is_usable = parsed is not None and parsed.host and parsed.port in (None, *range(1, 65536))
    if parsed is None or not is_usable or parsed.scheme not in ("http", "https"):
        raise InputError("The URL to forward to is not an http or https URL.", hint=hint)
    if parsed.userinfo or "?" in url or "#" in url:
        raise InputError("The URL to forward to has a password, query or fragment.", hint=hint)
    return parsed


def _tls(url: httpx.URL) -> ssl.SSLContext:
    """Return a context with the system's certificates; for http without any, since they are never used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if url.scheme == "https":
        context.load_default_certs()
    return context


def _reason(exc: Exception) -> str:
    """Describe a failure without any content of the request."""
    for each in causes(exc):
        match each:
            case socket.gaierror():
                return "its host name cannot be resolved"
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {each.verify_message}"
            case ConnectionRefusedError():
                return "the connection was refused"
            case OSError(errno=errno.EMFILE | errno.ENFILE):
                return "there are no free file descriptors"
    match exc:
        case httpx.ConnectError():
            return "the connection failed"
        case httpx.LocalProtocolError() | httpx.InvalidURL() | ValueError():
            return "the request cannot be passed on unchanged"
    return "the connection was closed, or the answer is incomplete"
