"""A function that checks the JWT of a request. It makes the checks in the same order as the platform.

Times in the token are compared with the host clock.

Source: Vonage documentation on JWT and access control lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicectl import tokens
from voicectl.sandbox.account.applications import Application
from voicectl.sandbox.problems import gateway

MAX_SECONDS = 2**53
"""The upper limit for the times in a token, in Unix seconds.

Larger integers cannot all be represented exactly as floating-point numbers.
"""

SKEW_SECONDS = 60
"""How far a token's ``iat`` may be ahead of the host clock, in seconds."""

_SCHEME = "Bearer "


def check_token(
    authorization: str | None, method: str, path: str, *, applications: Mapping[str, Application], now: float
) -> Application:
    """Check the token of a request.

    Args:
        authorization: The value of the Authorization header, or None if there is no such header.
        method: The HTTP method of the request. The token's ``acl`` must allow this method.
        path: The path of the request, without the query. The token's ``acl`` must allow this path.
        applications: All applications, keyed by id.
        now: The current time on the host clock, in Unix seconds.

    Returns:
        The application that signed the token.

    Raises:
        Problem: The token is refused. The status is 403 if the token is valid but its ``acl`` forbids the request,
            and 401 if the token is not valid.
    """
    if authorization is None:
        raise gateway(401, "No Authorization header was sent.")
    if not authorization.startswith(_SCHEME):
        raise gateway(401, "The Authorization header does not begin with Bearer.")
    token = authorization.removeprefix(_SCHEME)
    try:
        header, claims = tokens.read(token)
    except tokens.TokenError as exc:
        raise gateway(401, f"The token is {exc}.") from exc
    if header.get("alg") != "RS256":
        raise gateway(401, "The token is not signed with RS256.")
    application = applications.get(str(claims.get("application_id")))
    if application is None:
        raise gateway(401, "The token's application is not known.")
    if not tokens.is_signed_by(token, application.key.rsa):
        raise gateway(401, "The token is not signed with the application's private key.")
    _check_claims(claims, now)
    if not tokens.allows(claims.get("acl"), method, path):
        raise gateway(403, "The token's acl does not allow this request.")
    return application


def _check_claims(claims: dict[str, Any], now: float) -> None:
    issued = _seconds(claims, "iat")
    if issued is None or not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise gateway(401, "The token lacks iat or jti.")
    expiry = issued + tokens.TTL_SECONDS if "exp" not in claims else _seconds(claims, "exp")
    if expiry is None:
        raise gateway(401, "The token's exp is not a number.")
    if expiry <= now:
        raise gateway(401, "The token has expired.", anchor="jwt-expired")
    if expiry - issued > tokens.MAX_TTL_SECONDS:
        raise gateway(401, "The token is good for more than 24 hours.")
    if issued > now + SKEW_SECONDS:
        raise gateway(401, "The token was issued in the future.")
    if "nbf" in claims:
        start = _seconds(claims, "nbf")
        if start is None or start > now:
            raise gateway(401, "The token is not valid yet.")


def _seconds(claims: dict[str, Any], claim: str) -> float | None:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_SECONDS:
        return None  # also for NaN
    return value
