"""A function that checks the JWT of a request. It makes the checks in the same order as the platform.

Times in the token are compared with the host clock.

Source: Vonage documentation on JWT and access control lists.
"""

from __future__ import annotations

from collections.abc import Mapping

from voicectl import tokens
from voicectl.sandbox.account.applications import Application
from voicectl.sandbox.problems import gateway
from voicectl.token_faults import FaultKind, faults

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
    if (fault := next(iter(faults(header, claims, now)), None)) is not None:
        anchor = "jwt-expired" if fault.kind is FaultKind.EXPIRED else None
        raise gateway(401, f"The token {fault.text}.", anchor=anchor)
    if not tokens.allows(claims.get("acl"), method, path):
        raise gateway(403, "The token's acl does not allow this request.")
    return application
