"""Passes webhooks on to the user's own application, and checks the application's answers.

The platform waits for the response, so the whole exchange has one deadline. A failure counts as "no response" and
raises no exception. A request is passed on as it was received, and a complete response is returned as it came, so
that an application that works without the receiver also works behind it, and one that fails has the same
consequences. For example, the application can verify the signature, and build URLs from the host of the request.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

from voicectl import __version__, strict_json
from voicectl.errors import InputError, causes
from voicectl.store.events import Route
from voicectl.voice.json_places import MAX_DEPTH, show
from voicectl.voice.ncco.lint import first_error
from voicectl.webhook.messages import SUCCESSES, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicectl.webhook.messages import Request

MAX_BODY_BYTES = 1 << 20
LANES = 8
LANE_WIDTH = 8
"""The maximum number of connections in a pool. An httpx pool is slow with more than a dozen requests at once."""

KEEP_SECONDS = 1.5
"""How long an idle connection is kept open, in seconds.

Common servers keep idle connections open for longer, so they rarely close a connection just as it is used again.
"""

AT_ONCE_BYTES = 32 << 10
"""The maximum size of an NCCO that is checked in the event loop, in bytes. The check takes at most 15 ms.

A larger NCCO is checked in a thread.
"""

_NOT_PASSED = frozenset(
    {
        *(b"accept-encoding", b"connection", b"content-length", b"expect", b"host", b"keep-alive"),
        *(b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
    }
)
"""The headers that are not passed on: they concern only the connection, or the forwarder sets them itself."""

_USUAL = ((b"user-agent", f"voicectl/{__version__}".encode()), (b"accept", b"application/json, */*"))
_OURS = (
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"keep-alive"),
)
_NEEDED = frozenset({b"authorization", b"content-type"})
"""The headers that are passed on even if ``Connection`` names them."""

_RETURNED = frozenset({b"content-encoding", b"location", b"retry-after"})
"""The headers of a response that are passed back to the platform, besides its media type."""

_SENDABLE = range(200, 600)
"""The HTTP statuses that the receiver's server can send."""

_OPTIONAL = frozenset({Route.EVENT, Route.FALLBACK, Route.RTC})
"""The routes of the webhooks that an application with webhooks may do without."""

_URL = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_MAX_SHOWN = 100


class Forwarder:
    """Passes requests on to an application, over connections that are kept open.

    Args:
        url: The application's http or https URL. For each request, the name of its route is appended to the URL's
            path, unless :meth:`follow` says otherwise. A request to a path that is not one of the receiver's
            own is sent to the same path of the application.
        on_trouble: Called with the reason if there is no response, or one that the platform does not accept. The
            reason is one line, without any content from the request.
        scheme: The scheme of the public URL, to be sent to the application in a header, or None if it is not known.

    Raises:
        InputError: *url* is not an http or https URL, or it has a user name, password, query or fragment.
    """

    def __init__(
        self, url: str, *, on_trouble: Callable[[str], None] | None = None, scheme: str | None = None
    ) -> None:
        self._url = _checked(url)
        self._scheme = scheme
        self._paths: dict[str, bytes] = {}
        self._unheard: frozenset[str] = frozenset()
        self._prefix = self._url.raw_path.rstrip(b"/")
        self._on_trouble = on_trouble
        self._name = self._url.netloc.decode()
        self._slots = asyncio.Semaphore(LANES * LANE_WIDTH)
        self._lanes: list[_Lane] = []
        self._retired: list[_Lane] = []
        self._tls: ssl.SSLContext | None = None

    def follow(self, earlier: Mapping[str, str]) -> None:
        """Forward each route to the path in the webhook's earlier URL, if that is below the path of the app's URL.

        The query of the earlier URL is put before the query of the request, as the platform would do. If at
        least one webhook was set before, events and fallback requests whose webhook was not set are not forwarded.

        Args:
            earlier: The webhooks' URLs before they pointed to the receiver, by the names of the routes.
        """
        self._unheard = _OPTIONAL - earlier.keys() if earlier else frozenset()
        found = {route: _path(address) for route, address in earlier.items()}
        self._paths = {
            route: path for route, path in found.items() if path and path.startswith(self._prefix + b"/")
        }

    def is_for_app(self, asked: Request) -> bool:
        """Return True if, as far as is known, the application would get this request if there were no receiver."""
        return bool(asked.path) or asked.route not in self._unheard

    async def ask(self, asked: Request, *, within: float) -> Response | None:
        """Pass a request on to the application, and return the response, or None if none arrives completely in time.

        A response that the platform does not accept is returned with its fault, so that the platform can handle it.

        Args:
            asked: The request to pass on. Only a few of its headers are included.
            within: The time limit for receiving the complete response, in seconds.
        """
        try:
            request = self._request(asked)
            async with asyncio.timeout(within), self._slots:
                lane = self._lane()
                lane.busy += 1
                try:
                    found: Response | str = await _exchange(lane.transport, request)
                except asyncio.CancelledError:
                    self._retire(lane)
                    raise
                finally:
                    lane.busy -= 1
        except TimeoutError:
            found = f"it was not complete within {within:.1f} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ssl.SSLError) as exc:
            found = _reason(exc)
        await self._close_retired()
        if isinstance(found, Response):
            self._report(asked, found.fault)
            return found
        self._report(asked, f"gave no usable response: {found}")
        return None

    async def close(self) -> None:
        """Close all connections."""
        lanes, self._lanes, self._retired = [*self._lanes, *self._retired], [], []
        for lane in lanes:
            await lane.transport.aclose()

    def _report(self, asked: Request, trouble: str | None) -> None:
        if trouble is not None and self._on_trouble is not None:
            self._on_trouble(f"{asked.route}: {self._name} {trouble}")

    def _request(self, asked: Request) -> httpx.Request:
        path = asked.path or self._paths.get(asked.route) or self._prefix + b"/" + asked.route.encode()
        path, _, own = path.partition(b"?")
        query = b"&".join(each for each in (own, asked.query) if each)
        target = path + (b"?" + query if query else b"")
        return httpx.Request(
            asked.method,
            self._url,
            headers=[*_OURS, *self._headers(asked)],
            content=asked.body or None,
            extensions={"target": target},  # httpx would encode the query again, which would change its hash
        )

    def _headers(self, asked: Request) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request to the application, including ``X-Forwarded-...`` headers.

        The header ``Host`` contains the public host if the application's URL is an http URL. An https server may need
        its own name in this header, so only ``X-Forwarded-Host`` then contains the public host.
        """
        came: dict[bytes, list[bytes]] = {}
        for name, value in asked.headers:
            came.setdefault(name.lower(), []).append(value)
        named = {each.strip().lower() for value in came.get(b"connection", ()) for each in value.split(b",")}
        passed = [
            (name, value)
            for name, values in came.items()
            for value in values
            if name not in _NOT_PASSED and name not in named - _NEEDED
        ]
        passed += [each for each in _USUAL if each[0] not in came]
        if hops := [*came.get(b"x-forwarded-for", ()), *([asked.peer.encode()] if asked.peer else ())]:
            passed.append((b"x-forwarded-for", b", ".join(hops)))
        host = came.get(b"host", [])[:1]
        if self._url.scheme == "http":
            passed += [(b"host", each) for each in host]
        schemes = [self._scheme.encode()] if self._scheme else []
        passed += [(b"x-forwarded-host", each) for each in came.get(b"x-forwarded-host", host)]
        passed += [(b"x-forwarded-proto", each) for each in came.get(b"x-forwarded-proto", schemes)]
        return passed

    def _lane(self) -> _Lane:
        """Return the first pool that has a free connection, or a new pool if there is no such pool.

        This way, requests that follow each other use the same connection.
        """
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

    def _retire(self, lane: _Lane) -> None:
        """Stop using a pool for further requests, because one of its requests was cancelled.

        If a request is cancelled just after its connection was opened, httpx never uses that connection again, but
        still counts it. A pool in which all connections were lost in this way would block its requests forever.
        """
        if lane in self._lanes:
            self._lanes.remove(lane)
            self._retired.append(lane)

    async def _close_retired(self) -> None:
        """Close those retired pools whose last request has ended."""
        for lane in [each for each in self._retired if not each.busy]:
            self._retired.remove(lane)
            await lane.transport.aclose()


@dataclass(slots=True, eq=False)
class _Lane:
    """A pool of connections, and the number of requests that use it."""

    transport: httpx.AsyncHTTPTransport
    busy: int = 0


def ncco_fault(body: bytes) -> str | None:
    """Return the reason why the platform would not run *body* as an NCCO, or None if it would run *body*.

    If *body* is JSON, the reason is the linter's first error.
    """
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
    """Return the result of :func:`ncco_fault`, without blocking the event loop even if *body* is large.

    Args:
        within: The time limit for checking a large *body*, in seconds.
    """
    if len(body) <= AT_ONCE_BYTES:
        return ncco_fault(body)
    try:
        async with asyncio.timeout(within):
            return await asyncio.to_thread(ncco_fault, body)
    except TimeoutError:
        return "it is too large to check in time"


async def _exchange(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> Response:
    """Return the response to *request*.

    The application may close an idle connection just as the request is sent over it. In this case, it has not read
    the request, so the request is sent again over the next connection. The last attempt uses a new connection.
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


async def _read(response: httpx.Response) -> Response:
    """Return *response*, of whose body at most one byte more than the maximum size is read."""
    body = bytearray()
    try:
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BODY_BYTES:
                break
    finally:
        await response.aclose()
    status = response.status_code
    return Response(
        status if status in _SENDABLE else HTTPStatus.BAD_GATEWAY,
        bytes(body[: MAX_BODY_BYTES + 1]),
        _UNPRINTABLE.sub("", response.headers.get("content-type", "")).strip() or None,
        tuple((name.lower(), value) for name, value in response.headers.raw if name.lower() in _RETURNED),
        _fault(response, len(body)),
    )


def _fault(response: httpx.Response, size: int) -> str | None:
    """Return the reason why the platform does not accept *response*, whatever its body contains, or None."""
    if response.has_redirect_location:
        return f"returned {response.status_code}, a redirect, which is not followed"
    if response.status_code not in SUCCESSES:
        return f"returned {response.status_code}"
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return "compressed its response, although the request did not allow that"
    return "returned more than 1 MiB" if size > MAX_BODY_BYTES else None


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
        raise InputError(
            "The URL to forward to must not have a user name, password, query or fragment.", hint=hint
        )
    return parsed


def _path(address: str) -> bytes | None:
    """Return the path and the query of an application's URL, or None if the URL is not usable."""
    try:
        found = httpx.URL(address) if _URL.fullmatch(address) else None
    except httpx.InvalidURL:
        found = None
    return None if found is None else found.raw_path


def _tls(url: httpx.URL) -> ssl.SSLContext:
    """Return a TLS context. For an https URL, the context trusts the system's certificate authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if url.scheme == "https":
        context.load_default_certs()
    return context


def _reason(exc: Exception) -> str:
    """Return the reason why a request failed with *exc*, without any content from the request."""
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
    return "the connection was closed, or the response is incomplete"
