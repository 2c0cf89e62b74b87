"""Whether a webhook was signed by the platform, for this application, just now, and as it came.

Source: Vonage documentation on signed webhooks, "verification procedure"; what it leaves open is decided strictly: a
token is fresh for minutes only, and the hash of what it vouches for must be there.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Secrets = Callable[[], Mapping[str | None, tuple[str, ...]]]

ALGORITHM = "HS256"
ISSUER = "Vonage"

MAX_AGE_SECONDS = 300
MAX_AHEAD_SECONDS = 60
"""How far the signer's clock may be ahead of ours."""

MAX_TOKEN_BYTES = 8192

_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_HASH = re.compile("[0-9a-f]{64}")
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_BY_POST = "Have this webhook sent by POST: voicectl app urls --answer-method POST (or --event-method ...)"
_CLOCK = "Check this machine's clock: date -u"


class Verified(NamedTuple):
    """What a good signature says.

    Attributes:
        jti: The token's id.
        iat: When it was made, in Unix seconds.
        api_key: The account whose secret made it.
    """

    jti: str
    iat: int
    api_key: str


class Verifier:
    """Judges the signatures of webhooks.

    Args:
        secrets: The one or two secrets of each account, asked anew for each webhook; the account None stands for any.
        application_id: Whose webhooks these are.
        now: Gives the time in Unix seconds.
    """

    def __init__(self, secrets: Secrets, *, application_id: str, now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._application_id = application_id
        self._now = now

    def verify(self, *, method: str, query: bytes, body: bytes, authorization: Sequence[str]) -> Verified:
        """Return what the signature says, if it is good.

        Args:
            method: ``GET`` or ``POST``.
            query: The query of the URL, as it came.
            body: To the byte.
            authorization: The values of all ``Authorization`` headers.

        Raises:
            SignatureError: It is not; says why, without a word of the token or of a secret.
        """
        token = _token(authorization)
        claims = self._signed_claims(token)
        if claims.get("iss") != ISSUER:
            raise SignatureError(f"The token's 'iss' is not {ISSUER!r}.")
        if claims.get("application_id", self._application_id) != self._application_id:
            raise SignatureError(
                "The token is for another application.",
                hint=f"This is {self._application_id}; another profile may be the right one: -p NAME",
            )
        _check_hash(claims.get("payload_hash"), method, query, body)
        issued = self._check_times(claims)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_INDEXED:
            raise SignatureError(f"The token has no 'jti' of 1 to {MAX_INDEXED} characters.")
        return Verified(jti, issued, claims["api_key"])

    def _signed_claims(self, token: str) -> dict[str, Any]:
        """The claims of *token*, which one of the account's secrets signed."""
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
            raise SignatureError("The token asks for extensions ('crit') that nobody knows.")
        api_key = claims.get("api_key")
        if not isinstance(api_key, str):
            raise SignatureError("The token names no account: 'api_key' is missing or no text.")
        known = self._secrets()
        secrets = known.get(api_key) or known.get(None)
        if not secrets:
            raise SignatureError(
                "The token is of another account: no signature secret is known for its 'api_key'.",
                hint="Store the profile again with the right --api-key and --signature-secret-file.",
            )
        for secret in secrets:
            try:
                # What PyJWT takes has one reading only, so this is what was read above.
                if _JWS.decode(token, secret.encode(), algorithms=[ALGORITHM]) == payload:
                    return claims
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError) as exc:
                raise _malformed() from exc
        raise SignatureError(
            "The token was not made with the signature secret known here.",
            hint="Compare it with the account's settings in the dashboard.",
        )

    def _check_times(self, claims: dict[str, Any]) -> int:
        now, issued = self._now(), claims.get("iat")
        if not isinstance(issued, int) or isinstance(issued, bool):
            raise SignatureError("The token's 'iat' is missing, or no whole number.")
        if issued < now - MAX_AGE_SECONDS:
            raise SignatureError(
                f"The token is stale: it was made over {MAX_AGE_SECONDS // 60} minutes ago.", hint=_CLOCK
            )
        if issued > now + MAX_AHEAD_SECONDS:
            raise SignatureError(
                f"The token is from the future, by over {MAX_AHEAD_SECONDS} seconds.", hint=_CLOCK
            )
        if now >= _time(claims, "exp", now + 1):
            raise SignatureError("The token has expired.", hint=_CLOCK)
        if now + MAX_AHEAD_SECONDS < _time(claims, "nbf", now):
            raise SignatureError("The token is not valid yet.", hint=_CLOCK)
        return issued


class _ReadyHmac(HMACAlgorithm):
    """HMAC with a secret that is known to be one: nothing guesses at each webhook what else it could be."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else key.encode()

    def check_key_length(self, key: Any) -> str | None:  # noqa: ARG002 (how long it is, the account decides)
        return None


def _jws() -> jwt.PyJWS:
    found = jwt.PyJWS(algorithms=[])
    found.register_algorithm(ALGORITHM, _ReadyHmac(HMACAlgorithm.SHA256))
    return found


_JWS = _jws()


def vouched(method: str, query: bytes, body: bytes) -> bytes:
    """What the hash in a token is of: the body; of a GET its parameters, as one JSON object without spaces.

    They are in their order, all of them text; one that comes several times has an array.
    """
    if method != "GET":
        return body
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name, []).append(value)
    fields = {name: values if len(values) > 1 else values[0] for name, values in found.items()}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="backslashreplace")


def _token(authorization: Sequence[str]) -> str:
    if not authorization:
        raise SignatureError(
            "It is not signed: it has no Authorization header.",
            is_unsigned=True,
            hint="Have the platform sign: voicectl app urls --signed",
        )
    if len(authorization) > 1:
        raise SignatureError(f"It has {len(authorization)} Authorization headers, where one is right.")
    scheme, _, token = authorization[0].strip(" \t").partition(" ")
    if scheme.lower() != "bearer":
        raise SignatureError("Its Authorization header holds no Bearer token.")
    token = token.strip(" \t")
    if len(token) > MAX_TOKEN_BYTES:
        raise SignatureError(f"The token is over {MAX_TOKEN_BYTES // 1024} KiB.")
    return token


def _check_hash(given: object, method: str, query: bytes, body: bytes) -> None:
    hint = _BY_POST if method == "GET" else None
    if given is None:
        raise SignatureError("The token has no 'payload_hash': it vouches for nothing.", hint=hint)
    if not isinstance(given, str) or not _HASH.fullmatch(given):
        raise SignatureError("The token's 'payload_hash' is not 64 hexadecimal digits in small letters.")
    if hmac.compare_digest(given, hashlib.sha256(vouched(method, query, body)).hexdigest()):
        return
    if method == "GET" and given == _EMPTY_HASH:
        raise SignatureError(
            "The token vouches for an empty body, and not for what the URL tells.", hint=hint
        )
    what = "query" if method == "GET" else "body"
    raise SignatureError(
        f"The {what} is not the one that was signed: its hash is another.",
        hint="It was altered on the way; a proxy must pass it on to the byte.",
    )


def _time(claims: dict[str, Any], claim: str, otherwise: float) -> float:
    value = claims.get(claim, otherwise)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SignatureError(f"The token's {claim!r} is no number.")
    return value


def _malformed() -> SignatureError:
    return SignatureError(
        "The token is no JWT: it should be three parts of base64url, two objects and a signature."
    )
