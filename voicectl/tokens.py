"""JSON Web Tokens (JWTs): creating, reading and verifying application tokens, and creating webhook tokens.

Tokens are created with ``cryptography``, which takes only a few lines of code. PyJWT is imported only to read or
verify a token, since importing it takes longer than everything else that a ``dtmf`` command does (34 ms compared with
21 ms).

Source: Vonage documentation on JWTs and access control lists, and on signed webhooks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from voicectl.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

TTL_SECONDS = 900
MIN_TTL_SECONDS = 30
MAX_TTL_SECONDS = 86_400

_HEADER = {"alg": "RS256", "typ": "JWT"}


class TokenError(Exception):
    """A token is malformed, forged, expired or not yet valid. The message gives the reason."""


def application_claims(
    application_id: str,
    *,
    now: float,
    ttl: int = TTL_SECONDS,
    sub: str | None = None,
    acl: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the claims of an application's token, valid from *now* (Unix seconds) for *ttl* seconds.

    Args:
        application_id: The id of the application. The token's signature is verified with the application's public
            key.
        now: The current time in Unix seconds. It is rounded down, so that a verifier whose clock counts whole seconds
            does not consider the token to be from the future.
        ttl: The token's lifetime in seconds, between :data:`MIN_TTL_SECONDS` and :data:`MAX_TTL_SECONDS`.
        sub: The name of a user, for a token that is used with a Client SDK.
        acl: The token's permissions, as ``{"paths": {...}}``, or None to permit everything that the application may
            do.
    """
    issued = int(now)
    claims: dict[str, Any] = {
        "application_id": application_id,
        "iat": issued,
        "exp": issued + ttl,
        "jti": str(uuid.uuid4()),
    }
    if sub is not None:
        claims["sub"] = sub
    if acl is not None:
        claims["acl"] = acl
    return claims


def mint(claims: dict[str, Any], key: RSAPrivateKey) -> str:
    """Return a token with *claims*, signed with RS256, the only algorithm that the platform accepts.

    Raises:
        ConfigError: The key is damaged: its numbers do not match each other.
    """
    signed = f"{_segment(_HEADER)}.{_segment(claims)}"
    try:
        signature = key.sign(signed.encode(), PKCS1v15(), SHA256())
    except (ValueError, InternalError) as exc:
        raise ConfigError(
            "The private key cannot sign: it is damaged.", hint="Store it again from the original file."
        ) from exc
    return f"{signed}.{_base64url(signature)}"


def webhook_token(payload: bytes, *, secret: str, api_key: str, application_id: str, now: float) -> str:
    """Return a token like the ones in the platform's webhooks: signed with HS256, and containing a hash of *payload*.

    Args:
        payload: The exact bytes of the webhook's body. For a webhook without a body, the caller chooses the bytes.
        secret: The account's signature secret.
        api_key: The account's API key, by which the receiver selects the secret.
        application_id: The id of the application that the webhook belongs to.
        now: The current time in Unix seconds. It is rounded down, since some verifiers refuse a token that is even a
            fraction of a second in the future.
    """
    claims = {
        "iat": int(now),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(payload).hexdigest(),
        "api_key": api_key,
        "application_id": application_id,
    }
    signed = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
    return f"{signed}.{_base64url(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of *token*, without verifying its signature or its times.

    Raises:
        TokenError: *token* is not a JWT.
    """
    import jwt  # noqa: PLC0415 (slow to import, and most commands do not read tokens)

    try:
        whole = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError) as exc:
        raise TokenError("not a JWT: expected three base64url parts, separated by dots") from exc
    return whole["header"], whole["payload"]


def is_signed_by(token: str, key: RSAPublicKey) -> bool:
    """Return True if *token* is signed with RS256 and the private key that matches *key*. Times are not checked."""
    import jwt  # noqa: PLC0415 (see read)

    try:
        jwt.PyJWS().decode(token, key, algorithms=["RS256"])
    except jwt.InvalidTokenError:
        return False
    return True


def expiry(claims: dict[str, Any]) -> float | None:
    """Return the time at which a token with *claims* expires, in Unix seconds, or None if the claims contain no time.

    Without an ``exp`` claim, a token expires 15 minutes after the time in ``iat``.
    """
    for claim, extra in (("exp", 0), ("iat", TTL_SECONDS)):
        value = claims.get(claim)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value + extra
    return None


def allows(acl: object, method: str, path: str) -> bool:
    """Return True if the ``acl`` claim *acl* permits *method* on *path*. If *acl* is None, everything is permitted.

    In a path pattern, ``*`` matches any characters within a path segment, and ``**`` matches any characters. A
    pattern that ends with ``/**`` also matches the path without that ending: ``/*/calls/**`` matches ``/v1/calls``,
    and so permits creating a call.
    """
    if acl is None:
        return True
    paths = acl.get("paths") if isinstance(acl, dict) else None
    if not isinstance(paths, dict):
        return False
    for pattern, rule in paths.items():
        pattern = str(pattern)
        if not _matches(pattern, path) and not _matches(pattern.removesuffix("/**"), path):
            continue
        methods = rule.get("methods") if isinstance(rule, dict) else None
        if methods is None or (isinstance(methods, list) and method in methods):
            return True
    return False


def _matches(pattern: str, path: str) -> bool:
    """Return True if *pattern* matches all of *path*.

    The set ``places`` contains the positions in *path* that can be reached by matching the parts of *pattern*
    processed so far. Each further part moves these positions forward.
    """
    places = {0}
    for part in re.split(r"(\*\*|\*)", pattern):
        match part:
            case "**":
                places = set(range(min(places), len(path) + 1))
            case "*":
                ends = (end if (end := path.find("/", place)) >= 0 else len(path) for place in places)
                places = {
                    each for place, end in zip(places, ends, strict=True) for each in range(place, end + 1)
                }
            case _:
                places = {place + len(part) for place in places if path.startswith(part, place)}
        if not places:
            return False
    return len(path) in places


def _segment(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
