"""The two JWTs: the application's, minted, read and verified; and the one that signs a webhook, minted.

Minting is three lines over ``cryptography``; PyJWT is loaded where a token is read or verified only, since
importing it costs more than all the rest of a ``dtmf`` command (34 ms against 21).

Source: Vonage documentation on JWT and access control lists, and on signed webhooks.
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
    """A token is malformed, forged, expired or not yet valid; the message says which."""


def application_claims(
    application_id: str,
    *,
    now: float,
    ttl: int = TTL_SECONDS,
    sub: str | None = None,
    acl: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The claims of an application's token, good from *now* (Unix seconds) for *ttl* seconds.

    Args:
        application_id: Whose token it is; its public key checks the signature.
        now: Rounded down, so that no clock of whole seconds sees it in the future.
        ttl: Between :data:`MIN_TTL_SECONDS` and :data:`MAX_TTL_SECONDS`.
        sub: A user's name: makes it a token for the Client SDKs.
        acl: ``{"paths": {...}}``: what the token may do; absent, all that the application may.
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
    """Sign *claims* with RS256, the one algorithm the platform takes for applications.

    Raises:
        ConfigError: The numbers in *key* do not belong together.
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
    """The token that the platform sends with a webhook: HS256, with a hash of the payload.

    Args:
        payload: The body, to the byte. What stands for it where there is none is the caller's to say.
        secret: The account's signature secret.
        api_key: Tells the receiver which secret that is.
        application_id: Whose webhook it is.
        now: Unix seconds, rounded down: some verifiers refuse a token from the future, by a fraction too.
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
    """The header and claims of *token*, believed by nobody: nothing is verified.

    Raises:
        TokenError: *token* is not a JWT.
    """
    import jwt  # noqa: PLC0415 (dear to import, and most commands read no token)

    try:
        whole = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError) as exc:
        raise TokenError("not a JWT: expected three parts of base64url, joined by full stops") from exc
    return whole["header"], whole["payload"]


def is_signed_by(token: str, key: RSAPublicKey) -> bool:
    """Whether the private half of *key* signed *token* with RS256. Says nothing of its times."""
    import jwt  # noqa: PLC0415 (see read)

    try:
        jwt.PyJWS().decode(token, key, algorithms=["RS256"])
    except jwt.InvalidTokenError:
        return False
    return True


def expiry(claims: dict[str, Any]) -> float | None:
    """When a token with *claims* ends, in Unix seconds: ``exp``, else 15 minutes after ``iat``."""
    for claim, extra in (("exp", 0), ("iat", TTL_SECONDS)):
        value = claims.get(claim)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value + extra
    return None


def allows(acl: object, method: str, path: str) -> bool:
    """Whether an ``acl`` claim lets *method* on *path* through; no claim lets everything through.

    In a pattern ``*`` stands for one segment of the path and ``**`` for any rest.
    """
    if acl is None:
        return True
    paths = acl.get("paths") if isinstance(acl, dict) else None
    if not isinstance(paths, dict):
        return False
    for pattern, rule in paths.items():
        if not _matches(str(pattern), path):
            continue
        methods = rule.get("methods") if isinstance(rule, dict) else None
        if methods is None or (isinstance(methods, list) and method in methods):
            return True
    return False


def _matches(pattern: str, path: str) -> bool:
    """Whether *pattern* is all of *path*: each part moves on the places up to which the path is matched by then."""
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
