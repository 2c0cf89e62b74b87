"""Checking the JWT of a request, in the order in which the platform does.

Source: Vonage documentation on JWT and access control lists; times are judged by the host clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicectl import tokens
from voicectl.sandbox.problems import gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.account.applications import Application, Applications

MAX_SECONDS = 2**53
"""No moment is later: beyond it numbers are no longer exact."""

SKEW_SECONDS = 60
"""How far ahead of the host clock a token's ``iat`` may be."""

_SCHEME = "Bearer "


class Doorkeeper:
    """Lets in who holds an application's private key.

    Args:
        applications: Those that there are.
        host_time: Tells Unix seconds.
    """

    def __init__(self, applications: Applications, host_time: Callable[[], float]) -> None:
        self._applications = applications
        self._host_time = host_time

    def check(self, authorization: str | None, method: str, path: str) -> Application:
        """Let a request pass.

        Args:
            authorization: The header's value; None if there is none.
            method: The HTTP method, for the token's ``acl``; so is *path*.
            path: The path without the query.

        Returns:
            Whose token it is.

        Raises:
            Problem: 401, or 403 where only the ``acl`` is against it.
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
        application = self._applications.by_id.get(str(claims.get("application_id")))
        if application is None:
            raise gateway(401, "The token's application is not known.")
        if not tokens.is_signed_by(token, application.public_key):
            raise gateway(401, "The token is not signed with the application's private key.")
        self._check_claims(claims)
        if not tokens.allows(claims.get("acl"), method, path):
            raise gateway(403, "The token's acl does not allow this request.")
        return application

    def _check_claims(self, claims: dict[str, Any]) -> None:
        now = self._host_time()
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
        return None  # NaN likewise
    return value
