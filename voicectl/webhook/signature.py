"""Verifies that the platform recently signed a webhook for this application, and that the webhook was not altered.

Source: Vonage documentation on signed webhooks, "verification procedure". If the documentation allows a choice, the
stricter option is used: a token is valid only for a few minutes, and must contain a hash of the signed content.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import jwt
from jwt.algorithms import HMACAlgorithm

from voicectl import strict_json
from voicectl.errors import SignatureError
from voicectl.store.events import MAX_INDEXED
from voicectl.voice import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Pairs = Sequence[tuple[str, str]]
    Secrets = Callable[[], Mapping[str | None, tuple[str, ...]]]

ALGORITHM = "HS256"
ISSUER = "Vonage"

MAX_AGE_SECONDS = 300
MAX_AHEAD_SECONDS = 60
"""How far the signer's clock may be ahead of this machine's, in seconds."""

MAX_TOKEN_BYTES = 8192
MAX_OWN_PARAMETERS = 16
"""The maximum number of parameters that a webhook's own URL may have if the signature does not cover them."""

_PLATFORMS = frozenset(
    [
        "to",
        "from",
        "from_user",
        "uuid",
        "call_uuid",
        "conversation_uuid",
        "conversation_uuid_from",
        "conversation_uuid_to",
        "status",
        "sub_state",
        "direction",
        "timestamp",
        "start_time",
        "end_time",
        "duration",
        "detail",
        "sip_code",
        "dtmf",
        "speech",
        "payload",
        "reason",
        "original_request",
        "recording_url",
        "recording_uuid",
        "transcription_url",
        "custom_data",
        "endpoint_type",
        "region_url",
        "body",
        "channel",
    ]
)
"""The parameters that say what happened to which call. A signature must cover them."""

_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_HASH = re.compile("[0-9a-f]{64}")
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_BY_POST = "Switch this webhook to POST: voicectl app urls --answer-method POST (or --event-method ...)"
_CLOCK = "Check this machine's clock: date -u"


class Verified(NamedTuple):
    """The claims in a verified token.

    Attributes:
        jti: The id of the token.
        iat: The time at which the token was signed, in Unix seconds.
        api_key: The API key of the account whose secret signed the token.
        uncovered: The names of the query parameters that the signature does not cover; see :func:`uncovered`.
    """

    jti: str
    iat: int
    api_key: str
    uncovered: tuple[str, ...] = ()


class Verifier:
    """Verifies the signatures of webhooks.

    Args:
        secrets: A function that returns the one or two secrets of each account, by API key. It is called for each
            webhook. The key None stands for any account.
        application_id: The id of the application to which the webhooks must belong.
        now: A function that returns the current time in Unix seconds.
    """

    def __init__(self, secrets: Secrets, *, application_id: str, now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._application_id = application_id
        self._now = now

    def verify(self, *, method: str, query: bytes, body: bytes, authorization: Sequence[str]) -> Verified:
        """Verify the signature of a request, and return the claims in its token.

        Args:
            method: The request's method: ``GET`` or ``POST``.
            query: The query of the request's URL, as received.
            body: The request's body, exactly as received.
            authorization: The values of all ``Authorization`` headers of the request.

        Raises:
            SignatureError: The signature is not valid. The message says why, and contains no part of the token or of
                a secret.
        """
        token = _token(authorization)
        claims = self._signed_claims(token)
        if claims.get("iss") != ISSUER:
            raise SignatureError(f"The token's 'iss' is not {ISSUER!r}.")
        if claims.get("application_id", self._application_id) != self._application_id:
            raise SignatureError(
                "The token is for another application.",
                hint=f"The current application is {self._application_id}. To use another profile: -p NAME",
            )
        left_out = _check_hash(claims.get("payload_hash"), method, query, body)
        issued = self._check_times(claims)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_INDEXED:
            raise SignatureError(f"The token has no 'jti' of 1 to {MAX_INDEXED} characters.")
        return Verified(jti, issued, claims["api_key"], left_out)

    def _signed_claims(self, token: str) -> dict[str, Any]:
        """Check that *token* was signed with one of the account's secrets, and return the claims in the token."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            raise _malformed()
        try:
            header, payload = (base64.urlsafe_b64decode(f"{part}==") for part in parts.groups())
            head, claims = (
                strict_json.loads(part.decode(), has_unique_keys=True) for part in (header, payload)
            )
        except (ValueError, RecursionError) as exc:
            raise _malformed() from exc
        if not isinstance(head, dict) or not isinstance(claims, dict):
            raise _malformed()
        if head.get("alg") != ALGORITHM:
            raise SignatureError(f"The token's algorithm is not {ALGORITHM}.")
        if "crit" in head:
            raise SignatureError("The token requires extensions ('crit') that are not supported.")
        api_key = claims.get("api_key")
        if not isinstance(api_key, str):
            raise SignatureError("The token names no account: 'api_key' is missing or not a string.")
        known = self._secrets()
        secrets = known.get(api_key) or known.get(None)
        if not secrets:
            raise SignatureError(
                "The token is from another account: no signature secret is known for its 'api_key'.",
                hint="Store the profile again with the right --api-key and --signature-secret-file.",
            )
        for secret in secrets:
            try:
                # PyJWT accepts only unambiguous tokens, so its payload is the same as the one parsed above.
                if _JWS.decode(token, secret.encode(), algorithms=[ALGORITHM]) == payload:
                    return claims
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError) as exc:
                raise _malformed() from exc
        raise SignatureError(
            "The token was not signed with the signature secret of this profile.",
            hint="Compare the secret with the account's settings in the dashboard.",
        )

    def _check_times(self, claims: dict[str, Any]) -> int:
        now, issued = self._now(), claims.get("iat")
        if not isinstance(issued, int) or isinstance(issued, bool):
            raise SignatureError("The token's 'iat' is missing or not an integer.")
        if issued < now - MAX_AGE_SECONDS:
            raise SignatureError(
                f"The token is stale: it was signed over {MAX_AGE_SECONDS // 60} minutes ago.", hint=_CLOCK
            )
        if issued > now + MAX_AHEAD_SECONDS:
            raise SignatureError(
                f"The token's 'iat' is over {MAX_AHEAD_SECONDS} seconds in the future.", hint=_CLOCK
            )
        if now >= _time(claims, "exp", now + 1):
            raise SignatureError("The token has expired.", hint=_CLOCK)
        if now + MAX_AHEAD_SECONDS < _time(claims, "nbf", now):
            raise SignatureError("The token is not valid yet.", hint=_CLOCK)
        return issued


class _ReadyHmac(HMACAlgorithm):
    """An HMAC algorithm that does not check the secret.

    PyJWT's own algorithm would check for each webhook whether the secret looks like another kind of key.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else key.encode()

    def check_key_length(self, key: Any) -> str | None:  # noqa: ARG002 (the account determines the length)
        return None


def _jws() -> jwt.PyJWS:
    found = jwt.PyJWS(algorithms=[])
    found.register_algorithm(ALGORITHM, _ReadyHmac(HMACAlgorithm.SHA256))
    return found


_JWS = _jws()


def signed_content(method: str, query: bytes, body: bytes) -> bytes:
    """Return the content that a token's hash covers: the body or, for GET, the query parameters as compact JSON.

    The parameters keep their order, and their values are strings, or an array of strings for a parameter that occurs
    several times.
    """
    if method != "GET":
        return body
    return _flat(_parameters(query))


def uncovered(payload_hash: str, query: bytes) -> tuple[str, ...] | None:
    """Return the names of the parameters in the query of a GET that a token's hash does not cover.

    Tokens may deviate from the documentation in two ways. First, if a parameter contains JSON, the hash may cover
    the decoded value instead of the text. Second, the hash may cover only the parameters that the platform added, and
    not those in the webhook's own URL. It is then unknown whether the uncovered parameters were altered, so they are
    accepted only if none of them has the name of a parameter that the platform sends.

    Returns:
        The names, or an empty tuple if the hash covers the whole query, or None if the hash does not match.
    """
    pairs = _parameters(query)
    for own, covered in _parts(pairs):
        names, others = {name for name, _ in own}, {name for name, _ in covered}
        is_safe = names.isdisjoint(others) and not any(map(_is_platforms, names))
        if own and not any(map(_is_platforms, others)):
            is_safe = False  # it covers nothing of the platform's
        if is_safe and any(_is_hash(payload_hash, content) for content in _contents(covered)):
            return tuple(dict.fromkeys(name for name, _ in own))
    return None


def _parameters(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _parts(pairs: Pairs) -> Iterator[tuple[Pairs, Pairs]]:
    """Yield each way to split parameters into those of the webhook's own URL and all others.

    The former are at the beginning or at the end of the query.
    """
    yield [], pairs
    for count in range(1, min(len(pairs) - 1, MAX_OWN_PARAMETERS) + 1):
        yield pairs[:count], pairs[count:]
        yield pairs[-count:], pairs[:-count]


def _contents(pairs: Pairs) -> Iterator[bytes]:
    """Yield the contents that a token for a GET with these parameters may cover, without duplicates."""
    yield (flat := _flat(pairs))
    names = [name for name, _ in pairs]
    roots = {name.partition("[")[0] for name in names if "[" in name}
    if len({*names}) < len(names) or not roots.isdisjoint(names):
        return  # others may read another of the values with the same name
    fields = event.gathered(pairs)
    nested = {
        name: event.decoded_object(each) if isinstance(each, str) else each for name, each in fields.items()
    }
    yield from {_compact(each) for each in (fields, nested, event.from_query(pairs))} - {flat}


def _flat(pairs: Pairs) -> bytes:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return _compact({name: values if len(values) > 1 else values[0] for name, values in found.items()})


def _compact(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="backslashreplace")


def _is_hash(given: str, content: bytes) -> bool:
    return hmac.compare_digest(given, hashlib.sha256(content).hexdigest())


def _is_platforms(name: str) -> bool:
    root = name.partition("[")[0]
    return root in _PLATFORMS or root.startswith("SipHeader_")


def _token(authorization: Sequence[str]) -> str:
    if not authorization:
        raise SignatureError(
            "The request is not signed: it has no Authorization header.",
            is_unsigned=True,
            hint="Turn signing on: voicectl app urls --signed",
        )
    if len(authorization) > 1:
        raise SignatureError(f"The request has {len(authorization)} Authorization headers instead of one.")
    scheme, _, token = authorization[0].strip(" \t").partition(" ")
    if scheme.lower() != "bearer":
        raise SignatureError("The Authorization header has no Bearer token.")
    token = token.strip(" \t")
    if len(token) > MAX_TOKEN_BYTES:
        raise SignatureError(f"The token is over {MAX_TOKEN_BYTES // 1024} KiB.")
    return token


def _check_hash(given: object, method: str, query: bytes, body: bytes) -> tuple[str, ...]:
    """Check the hash in a token, and return the names of the parameters that it does not cover."""
    hint = _BY_POST if method == "GET" else None
    if given is None:
        raise SignatureError("The token has no 'payload_hash', so it does not cover the content.", hint=hint)
    if not isinstance(given, str) or not _HASH.fullmatch(given):
        raise SignatureError("The token's 'payload_hash' is not 64 hexadecimal digits in lower case.")
    found = uncovered(given, query) if method == "GET" else () if _is_hash(given, body) else None
    if found is not None:
        return found
    if method == "GET" and given == _EMPTY_HASH:
        raise SignatureError("The token covers an empty body, but not the query of the URL.", hint=hint)
    what = "query" if method == "GET" else "body"
    raise SignatureError(
        f"The {what} is not the one that was signed: its hash differs.",
        hint="It was altered in transit. A proxy must pass it on byte for byte.",
    )


def _time(claims: dict[str, Any], claim: str, otherwise: float) -> float:
    value = claims.get(claim, otherwise)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SignatureError(f"The token's {claim!r} is not a number.")
    return value


def _malformed() -> SignatureError:
    return SignatureError(
        "The token is not a JWT: it should have three base64url parts, namely two JSON objects and a signature."
    )
