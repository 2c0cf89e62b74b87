"""``jwt``: create and decode an application's tokens."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import typer

from voicectl import strict_json, times, token_faults, tokens
from voicectl.cli.arguments import whole_seconds
from voicectl.cli.context import App, current
from voicectl.cli.output.writer import View
from voicectl.cli.terminal import Terminal
from voicectl.errors import InputError, VoicectlError
from voicectl.token_faults import Fault, FaultKind

VIEW = View(
    columns=(
        "application_id",
        "issued",
        "not_before",
        "expires",
        "state",
        "signature",
        "sub",
        "jti",
        "faults",
    ),
    more=("header", "claims"),
    utc_times=frozenset({"issued", "not_before", "expires"}),
    id="jti",
)


def create(
    ctx: typer.Context,
    ttl: Annotated[
        str, typer.Option(metavar="DURATION", help="Lifetime of the token, from 30 s to 24 h.")
    ] = "15m",
    sub: Annotated[
        str | None, typer.Option(metavar="USER", help="Create a token for this user, for the Client SDKs.")
    ] = None,
    acl: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help='File with the allowed paths, {"paths": {...}}; - reads standard input. All other paths are denied.',
        ),
    ] = None,
) -> None:
    """Create a token for the application, and print it.

    Only the token and a newline go to standard output.

    Examples:
      $ voicectl jwt create
      $ TOKEN=$(voicectl jwt create --ttl 30s)
    """
    app = current(ctx)
    seconds = whole_seconds(ttl, "--ttl", tokens.MIN_TTL_SECONDS, tokens.MAX_TTL_SECONDS)
    if sub is not None and (not sub.strip() or not sub.isprintable()):
        raise InputError("--sub must not be blank, and may contain only printable characters.")
    claims = tokens.application_claims(
        app.target.application_id,
        now=app.clock.time() + app.clock_offset,
        ttl=seconds,
        sub=sub,
        acl=None if acl is None else _acl(app.terminal, acl),
    )
    app.terminal.write(tokens.mint(claims, app.target.load_key()) + "\n")


def show(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="File with the token; - reads standard input.", show_default=False
        ),
    ] = None,
) -> None:
    """Decode a token: show its claims and times, and whether your key signed it.

    The 'faults' field lists all the reasons why the API would refuse the token. The exit status is 2 if the token is
    invalid: the API would refuse it at any time.

    Examples:
      $ voicectl jwt create | voicectl jwt show -
      $ voicectl jwt create --ttl 1h | voicectl jwt show - -o json
    """
    app = current(ctx)
    if file is None:
        raise InputError(
            "There is no token to show.",
            hint="Name the file that holds it, or - to read it from standard input.",
        )
    token = app.terminal.read_input(file, "a token").decode("ascii", "replace").strip()
    token = token.removeprefix("Bearer ").strip()
    try:
        header, claims = tokens.read(token)
    except tokens.TokenError as exc:
        raise InputError(f"This is {exc}.", hint="Create a new one: voicectl jwt create") from exc
    now = app.clock.time()
    found = _faults(header, claims, now)
    with app.terminal.writer(VIEW, is_many=False) as out:
        out.add(
            {
                "application_id": claims.get("application_id"),
                "issued": _time(claims.get("iat")),
                "not_before": _time(claims.get("nbf")),
                "expires": _time(tokens.expiry(claims)),
                "state": _state(claims, found, now),
                "signature": _signature(app, token),
                "sub": claims.get("sub"),
                "jti": claims.get("jti"),
                "faults": [fault.text for fault in found],
                "header": header,
                "claims": claims,
            }
        )
    if any(fault.kind is FaultKind.WRONG for fault in found):
        raise InputError(
            f"The API would refuse this token: it {'; it '.join(fault.text for fault in found)}.",
            hint="Create a new one: voicectl jwt create",
        )


def _acl(terminal: Terminal, name: str) -> dict[str, Any]:
    hint = 'Write it as {"paths": {"/*/calls/**": {}}}.'
    try:
        acl = strict_json.loads(terminal.read_input(name, "an ACL"))
    except (ValueError, RecursionError) as exc:
        raise InputError("The ACL is not JSON.", hint=hint) from exc
    if not isinstance(acl, dict) or not isinstance(acl.get("paths"), dict):
        raise InputError("The ACL has no paths.", hint=hint)
    return acl


def _faults(header: dict[str, Any], claims: dict[str, Any], now: float) -> list[Fault]:
    """Return the reasons for which the Voice API would refuse a token.

    The ``acl`` of a user's token is for the Client SDKs, which do not use the Voice API, so it need not permit calls.
    """
    found = token_faults.faults(header, claims, now)
    acl = claims.get("acl")
    is_users = claims.get("sub") is not None and isinstance(acl, dict) and acl.get("paths")
    if acl is not None and not is_users and not token_faults.permits_calls(acl):
        found.append(Fault("has an acl that permits no Voice API requests"))
    return found


def _state(claims: dict[str, Any], found: Collection[Fault], now: float) -> str:
    """Return whether a token with *claims* is valid at the time *now*, and for how long or since when."""
    kinds = {fault.kind for fault in found}
    ends = tokens.expiry(claims)
    if FaultKind.WRONG in kinds or len(kinds) > 1 or ends is None:
        return "not valid"
    if kinds == {FaultKind.EXPIRED}:
        return f"expired {now - ends:.0f} s ago"
    starts = max(claims.get("nbf", 0), claims["iat"])
    if now < int(starts):
        return f"becomes valid in {starts - now:.0f} s"
    return f"valid for {ends - now:.0f} s"


def _signature(app: App, token: str) -> str:
    """Return text that says whether the target's key signed *token*, or why this could not be checked."""
    try:
        target = app.target
        public = target.load_key().public_key()
    except VoicectlError as exc:
        return f"not checked: {exc.message}"
    made = "made with the key of" if tokens.is_signed_by(token, public) else "not made with the key of"
    return f"{made} {target.name}"


def _time(value: object) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None if value is None else str(value)
    try:
        return times.utc(value)
    except InputError:
        return str(value)
