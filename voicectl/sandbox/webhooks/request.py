"""Functions that encode, sign and send a single webhook request, and receive the reply.

Source: Vonage webhook reference, "delivery rules"; Vonage documentation on verifying signed webhooks.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import h11
import httpx

from voicectl.errors import causes
from voicectl.sandbox.account.applications import Hook
from voicectl.sandbox.bodies import MAX_BODY
from voicectl.sandbox.webhooks.connection import CannotConnect, Connection

Sign = Callable[[bytes], str]


SUCCESSES = range(200, 206)
"""The HTTP statuses that mean that a delivery was successful."""

_MARKUP = re.compile(r"text/html|(text|application)/xml|.+\+xml")
"""The media types from which the platform reads no NCCO, whatever the body contains.

Other types, such as ``text/plain``, are accepted: vendor samples use NCCOs that are served so.

Source: Vonage support article "What happens if the NCCO download request fails?".
"""

_PARTS_AT_ONCE = 100  # parts of a body to read before other tasks run; a part may be a single byte

_HEADERS = {
    "User-Agent": "voicectl-sandbox",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    # Use a new connection for each request: a connection that is kept open would block a single-threaded server.
    "Connection": "close",
}


class Unsendable(Exception):
    """Raised if the fields or the URL of a request are invalid. The exception's message gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The result of one attempt to send a request.

    Attributes:
        status: The HTTP status, or None if no status was received.
        body: The body of the reply. At most ``MAX_BODY`` + 1 bytes are read, so that a body that is too long can be
            detected.
        media_type: The media type of the body in lower case, or an empty string if the reply names none.
        trouble: The error that prevented a complete reply, in the platform's wording, or an empty string if no error
            occurred.
        is_timeout: True if the error was a time-out.
    """

    status: int | None = None
    body: bytes = b""
    media_type: str = ""
    trouble: str = ""
    is_timeout: bool = False

    @property
    def has_arrived(self) -> bool:
        """True if the receiver accepted the request."""
        return self.status in SUCCESSES

    @property
    def is_markup(self) -> bool:
        """True if the reply is served as HTML or XML."""
        return _MARKUP.fullmatch(self.media_type) is not None

    @property
    def reason(self) -> str:
        """The reason for a failure: the error or the HTTP status."""
        return self.trouble or f"answered with status {self.status}"

    def to_json(self) -> dict[str, Any]:
        """Return the log field that describes the reply.

        The field is ``reason`` if an error occurred, and ``status`` if no error occurred.
        """
        return {"reason": self.trouble} if self.trouble else {"status": self.status}


NO_ANSWER = Reply(trouble="Read timed out.", is_timeout=True)
"""The result of an attempt to which the receiver did not reply in time."""


def build(hook: Hook, fields: dict[str, Any], sign: Sign | None, address: str | None = None) -> httpx.Request:
    """Build a request that contains *fields*.

    A POST request contains the fields in its JSON body. A GET request contains them in its query. Parameters that are
    already in the query of the URL are kept, unless a field has the same name. In a query, a string is sent
    unchanged, None is sent as an empty string, and any other value is sent as JSON.

    Args:
        hook: The webhook, with its time-outs.
        fields: The fields to send.
        sign: A function that returns a signed token for a payload, or None to send the request unsigned. The payload
            of a POST is its body. The payload of a GET is the query as a JSON object without spaces, with the
            parameters in order.
        address: A URL with the scheme, host and port to connect to, or None to connect to those of the webhook. The
            ``Host`` header is that of the webhook.

    Raises:
        Unsendable: A field is not valid Unicode, or the URL is not valid.
    """
    try:
        url = _parsed(hook.url)
        if hook.method == "GET":
            pairs = _parameters(url, fields)
            payload, body = compact(_as_object(pairs)), None
            url = url.copy_with(query=urlencode(pairs, quote_via=quote).encode())
        else:
            payload = body = compact(fields)
        headers = _HEADERS | ({} if body is None else {"Content-Type": "application/json"})
        if sign is not None:
            headers["Authorization"] = f"Bearer {sign(payload)}"
        times = {"connect": hook.connect_seconds, "read": hook.read_seconds, "write": hook.read_seconds}
        request = httpx.Request(
            hook.method, url, headers=headers, content=body, extensions={"timeout": {**times, "pool": None}}
        )
        if address is not None:
            to = _parsed(address)
            if (to.scheme, to.netloc) != (url.scheme, url.netloc):
                request.url = url.copy_with(scheme=to.scheme, host=to.host, port=to.port)
    except (httpx.InvalidURL, ValueError) as exc:  # UnicodeError is a ValueError
        raise Unsendable(f"it cannot be sent: {exc}") from exc
    return request


async def send(request: httpx.Request) -> Reply:
    """Send *request* once, over a new connection, and return the reply. Redirects are not followed.

    Network errors and time-outs are not raised as exceptions, but described in the returned reply. The request and
    the reply together take at most the sum of the connect and read time-outs.
    """
    times = request.extensions["timeout"]
    status, connection = None, Connection(request)
    try:
        async with asyncio.timeout(times["connect"] + times["read"]):
            response = await connection.ask()
            status, media_type = response.status_code, _media_type(response.headers)
            body = await _read(connection)
        return Reply(status=status, body=body, media_type=media_type)
    except CannotConnect as exc:
        if isinstance(exc.__cause__, TimeoutError):
            return Reply(trouble="Connection timed out.", is_timeout=True)
        return Reply(trouble=_cause(exc, "Connection refused."))
    except TimeoutError:
        return Reply(status=status, trouble=NO_ANSWER.trouble, is_timeout=True)
    except (h11.ProtocolError, OSError) as exc:
        return Reply(status=status, trouble=_cause(exc, "Connection closed."))
    finally:
        connection.close()


def _media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    given = next((value for name, value in headers if name == b"content-type"), b"")
    return given.decode("latin-1").partition(";")[0].strip().lower()


async def _read(connection: Connection) -> bytes:
    """Return the body of a response, or a part of it that is longer than any body may be."""
    body, parts = bytearray(), 0
    async for part in connection.body():
        body += part
        parts += 1
        if len(body) > MAX_BODY:
            break
        if parts % _PARTS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return bytes(body[: MAX_BODY + 1])


def compact(value: object) -> bytes:
    """Return *value* as JSON without spaces, in UTF-8.

    The format is that of ``JSON.stringify`` in JavaScript.
    """
    # UTF-8 cannot encode half of a surrogate pair, so such a half is written as an escape sequence.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")


def _cause(exc: BaseException, otherwise: str) -> str:
    """Return an error message for *exc*.

    If the cause is a failure of DNS or a lack of file descriptors, the message states this cause. For any other
    cause, the message is *otherwise*.
    """
    for each in causes(exc):
        if isinstance(each, socket.gaierror):
            return "The name cannot be resolved."
        if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE):
            return "The sandbox has no free file descriptors."
    return otherwise


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _parameters(url: httpx.URL, fields: dict[str, Any]) -> list[tuple[str, str]]:
    kept = parse_qsl(url.query.decode(), keep_blank_values=True)
    return [pair for pair in kept if pair[0] not in fields] + [
        (name, _text(value)) for name, value in fields.items()
    ]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value).decode()


def _as_object(pairs: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Convert query parameters to a JSON object. As in common web servers, a repeated parameter becomes an array."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}
