"""Checks whether a recorded request is signed and by which account, and why the receiver would refuse it.

The receiver's own verification determines the result, which the checks only explain. Each check shows a claim in the
token, and what was found.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl import tokens
from voicectl.errors import InputError
from voicectl.store.events import MAX_INDEXED
from voicectl.webhook.signature import (
    ALGORITHM,
    ISSUER,
    MAX_AGE_SECONDS,
    MAX_AHEAD_SECONDS,
    signed_content,
    uncovered,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Secrets = Mapping[str | None, tuple[str, ...]]

_REQUEST_LINE = re.compile(r"(GET|POST) (\S+)(?: HTTP/[0-9](?:\.[0-9])?)?")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_MOST_SHOWN = 80
_LAST_SECOND = 253402300800  # the beginning of the year 10000
_HINT = "Expected a request line, headers, an empty line and the body, as they were sent."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request read from a file.

    Attributes:
        target: The path and the query, or a whole URL.
        headers: The headers, as pairs of a name in lower case and a value.
        bodies: The possible bodies of the request. There are two if a final newline may not belong to the body.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    bodies: tuple[bytes, ...]

    @property
    def path(self) -> str:
        """The path of the request's URL, as recorded."""
        begun = _ORIGIN.match(self.target)
        return re.split(r"[?#]", self.target[begun.end() if begun else 0 :], maxsplit=1)[0]

    @property
    def query(self) -> bytes:
        """The query of the request's URL, as recorded."""
        return self.target.partition("#")[0].partition("?")[2].encode("latin-1")

    @property
    def authorization(self) -> list[str]:
        """The values of all ``Authorization`` headers."""
        return [value for name, value in self.headers if name == "authorization"]

    def body(self, payload_hash: object) -> bytes:
        """Return the candidate body whose hash is *payload_hash* or, if none matches, the most likely candidate."""
        fitting = (each for each in self.bodies if hashlib.sha256(each).hexdigest() == payload_hash)
        return next(fitting, self.bodies[0])


class Check(NamedTuple):
    """The result of one check of a request.

    Attributes:
        check: The name of the check.
        is_good: True if the check passed, False if it failed, or None if there is nothing to compare.
        detail: A text that shows the claim that was checked, and what was found.
    """

    check: str
    is_good: bool | None
    detail: str


def read_request(content: bytes, body: bytes | None = None) -> RecordedRequest:
    """Return the request in *content*, which is a request as it was sent or the output of ``curl -v``.

    Lines may end in CR LF or in LF.

    Args:
        content: The recorded request.
        body: The request's body, or None if the body is in *content*.

    Raises:
        InputError: *content* is not a request. The message contains the number of the invalid line.
    """
    lines, rest = _split(content)
    is_curl = lines[:1] != [] and lines[0][1].startswith((b"> ", b"* "))
    if is_curl:  # the other lines are curl's own remarks and the response
        lines, rest = _sent_by_curl(content), b""
    if not lines:
        raise InputError("The file contains no request.", hint=_HINT)
    number, first = lines[0]
    found = _REQUEST_LINE.fullmatch(first.decode("latin-1"))
    if found is None:
        raise InputError(f"Line {number} is not the request line of a GET or a POST.", hint=_HINT)
    headers = tuple(_header(number, line) for number, line in lines[1:])
    length = next((value for name, value in headers if name == "content-length"), None)
    if body is None and is_curl and length not in (None, "0"):
        raise InputError("curl -v does not show the body.", hint="Give the body with --body FILE.")
    bodies = (body,) if body is not None else _bodies(rest, length)
    return RecordedRequest(method=found[1], target=found[2], headers=headers, bodies=bodies)


def examine(
    request: RecordedRequest, secrets: Secrets, *, application_id: str, now: float
) -> Iterator[Check]:
    """Check the claims in the token of *request* one after another, and yield the results.

    The results contain neither a secret nor the token.

    Args:
        secrets: The one or two secrets of each account, by API key. The key None stands for any account.
        application_id: The id of the application to which the webhook must belong.
        now: The time with which the token's times are compared, in Unix seconds.
    """
    yield Check("request", None, f"{request.method} {_shortened(request.path)}")
    values = request.authorization
    if len(values) != 1:
        yield Check("token", False, f"{len(values) or 'no'} Authorization header{'s' * (len(values) != 1)}")
        return
    scheme, _, token = values[0].partition(" ")
    try:
        header, claims = tokens.read(token.strip(" \t"))
    except tokens.TokenError as exc:
        yield Check("token", False, str(exc))
        return
    yield Check("token", scheme.lower() == "bearer", f"{_shortened(scheme)}, with {len(claims)} claims")
    yield Check(
        "algorithm", header.get("alg") == ALGORITHM, f"{_shortened(header.get('alg'))}, expected {ALGORITHM}"
    )
    api_key = claims.get("api_key")
    known = (secrets.get(api_key) if isinstance(api_key, str) else None) or secrets.get(None, ())
    whose = "a signature secret is known for it" if known else "no signature secret is known for it"
    yield Check(
        "account", isinstance(api_key, str) and bool(known), f"api_key {_shortened(api_key)}: {whose}"
    )
    is_signed = any(_is_made_with(secret, token.strip(" \t")) for secret in known)
    yield Check(
        "signature", is_signed, f"{'made' if is_signed else 'not made'} with a known signature secret"
    )
    yield Check(
        "issuer", claims.get("iss") == ISSUER, f"iss {_shortened(claims.get('iss'))}, expected {ISSUER}"
    )
    named = claims.get("application_id")
    is_ours = "application_id" not in claims or named == application_id
    shown = _shortened(named or "no application_id")
    yield Check("application", is_ours, f"{shown}; this profile's is {application_id}")
    yield _payload(request, claims)
    yield _time(claims, now)
    jti = claims.get("jti")
    yield Check("id", isinstance(jti, str) and 0 < len(jti) <= MAX_INDEXED, f"jti {_shortened(jti)}")


def claims_of(request: RecordedRequest) -> Mapping[str, Any]:
    """Return the unverified claims in the request's token, or an empty dict if there is no readable token."""
    try:
        return tokens.read(request.authorization[0].partition(" ")[2].strip(" \t"))[1]
    except (IndexError, tokens.TokenError):
        return {}


def _payload(request: RecordedRequest, claims: Mapping[str, Any]) -> Check:
    claim = claims.get("payload_hash")
    body = request.body(claim)
    content = signed_content(request.method, request.query, body)
    found = hashlib.sha256(content).hexdigest()
    if request.method == "GET" and isinstance(claim, str) and claim.isascii():
        left_out = uncovered(claim, request.query)
        if left_out:
            names = _shortened(", ".join(left_out))
            return Check("payload", True, f"payload_hash {_shortened(claim)}; it does not cover {names}")
        if left_out is not None and claim != found:
            return Check(
                "payload",
                True,
                f"payload_hash {_shortened(claim)}; it covers the query, decoded into nested objects",
            )
    what = "the query as JSON" if request.method == "GET" else f"the body, {len(body)} bytes,"
    return Check("payload", claim == found, f"payload_hash {_shortened(claim)}; {what} has the hash {found}")


def _time(claims: Mapping[str, Any], now: float) -> Check:
    issued = moment(claims.get("iat"))
    if issued is None:
        return Check(
            "time", False, f"iat {_shortened(claims.get('iat'))}, which is not a time in whole seconds"
        )
    age = now - issued
    ends, begins = claims.get("exp", now + 1), claims.get("nbf", now)
    is_good = -MAX_AHEAD_SECONDS <= age <= MAX_AGE_SECONDS
    for value in (ends, begins):
        is_good = is_good and isinstance(value, int | float) and not isinstance(value, bool)
    is_good = is_good and now < ends and begins <= now + MAX_AHEAD_SECONDS
    ago = f"{age:.0f} s ago" if age >= 0 else f"{-age:.0f} s in the future"
    allowed = f"accepted: up to {MAX_AGE_SECONDS} s ago, or {MAX_AHEAD_SECONDS} s in the future"
    return Check(
        "time", is_good, f"issued {datetime.fromtimestamp(issued, UTC):%Y-%m-%dT%H:%M:%SZ}, {ago}; {allowed}"
    )


def moment(value: object) -> int | None:
    """Return *value* if it is a valid time in Unix seconds before the year 10000, or None if it is not."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _LAST_SECOND else None


def _shortened(value: object) -> str:
    """Return a claim as text. Long text is shortened, because a claim in an unverified token can have any length."""
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _is_made_with(secret: str, token: str) -> bool:
    signed, _, signature = token.rpartition(".")
    made = base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed.encode(), "sha256")).rstrip(b"=")
    return hmac.compare_digest(made, signature.encode())


def _split(content: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the head of *content* as numbered lines without line endings, and the content after the empty line."""
    lines: list[tuple[int, bytes]] = []
    number = 0
    rest = content
    while rest:
        line, _, rest = rest.partition(b"\n")
        number += 1
        line = line.removesuffix(b"\r")
        if not line and lines:
            return lines, rest
        if line:
            lines.append((number, line))
    return lines, b""


def _sent_by_curl(content: bytes) -> list[tuple[int, bytes]]:
    """Return the numbered lines of the request's head that the output of ``curl -v`` shows as sent."""
    sent = (
        (number, line.removesuffix(b"\r")[1:].removeprefix(b" "))
        for number, line in enumerate(content.split(b"\n"), start=1)
        if line.startswith(b">")
    )
    lines = []
    for number, line in sent:
        if not line:
            break
        lines.append((number, line))
    return lines


def _header(number: int, line: bytes) -> tuple[str, str]:
    found = _HEADER.fullmatch(line.decode("latin-1"))
    if found is None:
        raise InputError(f"Line {number} is not a header.", hint=_HINT)
    return found[1].lower(), found[2]


def _bodies(rest: bytes, length: str | None) -> tuple[bytes, ...]:
    """Return the possible bodies of a recorded request.

    If *length* is None, there may be two bodies, because an editor may have added a newline at the end of the file.

    Args:
        rest: The content of the file after the request's head.
        length: The value of ``Content-Length``, or None if there is no such header.
    """
    if length is not None and length.isascii() and length.isdigit():
        size = int(length[:9])
        return (rest if rest[size:].strip(b"\r\n") else rest[:size],)
    stripped = rest.removesuffix(b"\n").removesuffix(b"\r")
    return (stripped,) if stripped == rest else (stripped, rest)
