"""The faults of an application token: the reasons for which the platform refuses it.

The sandbox refuses tokens by this list, and ``jwt show`` explains them by it, so that both give the same verdict. The
signature, and whether the application exists, are checked elsewhere.

Source: Vonage documentation on JWTs and access control lists.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl import tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_SECONDS = 2**53
"""The upper limit for the times in a token, in Unix seconds.

Larger integers cannot all be represented exactly as floating-point numbers.
"""

MILLISECONDS = 10**11
"""A time from here on is taken to be in milliseconds. As seconds, it would be in the year 5138."""

SKEW_SECONDS = 60
"""How far a token's ``iat`` may be ahead of the clock, in seconds."""

_SAMPLE = "/v1/calls/00000000-0000-4000-8000-000000000000"
_CALL_PATHS = (
    "/v1/calls",
    _SAMPLE,
    *(f"{_SAMPLE}/{what}" for what in ("talk", "stream", "dtmf", "input/dtmf")),
)
_IS_CALL_PATH = re.compile(r"/v[0-9.]+/calls(/.*)?")


class FaultKind(Enum):
    """A rating of a token: valid, valid at another time, or never valid."""

    EXPIRED = auto()
    EARLY = auto()
    WRONG = auto()


class Fault(NamedTuple):
    """A reason to refuse a token.

    Attributes:
        text: The reason, as the end of a sentence that begins with "The token".
    """

    text: str
    kind: FaultKind = FaultKind.WRONG


def faults(header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> list[Fault]:
    """Return all faults of a token, in the order in which the platform checks for them.

    Args:
        now: The current time, in Unix seconds.
    """
    algorithm = header.get("alg")
    found = [] if algorithm == "RS256" else [Fault("is not signed with RS256")]
    found += _of_text(claims, "application_id")
    times: dict[str, float | None] = {}
    for claim in ("iat", "exp", "nbf"):
        times[claim], fault = _time(claims, claim)
        if fault is not None:
            found.append(fault)
        if claim == "iat":
            found += _of_text(claims, "jti")
    if "exp" not in claims and times["iat"] is not None:
        times["exp"] = times["iat"] + tokens.TTL_SECONDS
    found += _of_times(issued=times["iat"], expiry=times["exp"], start=times["nbf"], now=now)
    return found


def permits_calls(acl: object) -> bool:
    """Return True if the ``acl`` claim *acl* permits a request of the Voice API, on any leg."""
    patterns = acl.get("paths") if isinstance(acl, dict) else None
    paths = [str(pattern).replace("**", "x").replace("*", "v1") for pattern in patterns or ()]
    return any(
        tokens.allows(acl, method, path)
        for path in (*_CALL_PATHS, *filter(_IS_CALL_PATH.fullmatch, paths))
        for method in ("GET", "POST", "PUT", "DELETE")
    )


def _of_text(claims: Mapping[str, Any], claim: str) -> Iterator[Fault]:
    value = claims.get(claim)
    if value is None or value == "":
        yield Fault(f"has no {claim}")
    elif not isinstance(value, str):
        yield Fault(f"has {_a(claim)} that is not text")


def _time(claims: Mapping[str, Any], claim: str) -> tuple[float | None, Fault | None]:
    """Return the time in *claim*, and the fault if there is no usable time although there should be one."""
    value = claims.get(claim)
    if claim not in claims or (value is None and claim == "iat"):
        return None, Fault("has no iat") if claim == "iat" else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        form = "text" if isinstance(value, str) else "not a number"
        return None, Fault(f"has {_a(claim)} that is {form}; it must be a number of seconds")
    if not abs(value) < MAX_SECONDS:  # also for NaN
        return None, Fault(f"has {_a(claim)} that is out of range")
    if value >= MILLISECONDS:
        return None, Fault(f"has {_a(claim)} in milliseconds; it must be in seconds")
    return value, None


def _of_times(
    *, issued: float | None, expiry: float | None, start: float | None, now: float
) -> Iterator[Fault]:
    if expiry is not None and expiry <= now:
        yield Fault("has expired", FaultKind.EXPIRED)
    if issued is not None and expiry is not None:
        if expiry - issued > tokens.MAX_TTL_SECONDS:
            yield Fault("is valid for more than 24 hours")
        if expiry <= issued:
            yield Fault("expires before it is issued")
    if issued is not None and issued > now + SKEW_SECONDS:
        yield Fault("was issued in the future")
    if start is not None and expiry is not None and start >= expiry:
        yield Fault("is valid only after it expires: its nbf is not before its exp")
    if start is not None and start > now:
        yield Fault("is not valid yet", FaultKind.EARLY)


def _a(claim: str) -> str:
    return f"{'an' if claim[0] in 'aeion' else 'a'} {claim}"
