"""The account behind an application: its API key and secret, for the APIs that take no token.

They come as a pair from one source: the profile that was named, ``VOICECTL_API_*``, ``VONAGE_API_*``, the default
profile.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from voicectl.errors import ConfigError
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOWHERE = "nowhere"
"""What the source is called that has none."""

_FAMILIES = ("VOICECTL", "VONAGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A key and its secret.

    Attributes:
        source: Where they came from, for people.
        secret_in_shell: The secret as a word for a POSIX shell, which names where it is kept and does not hold it.
    """

    key: str
    secret: str = field(repr=False)
    source: str
    secret_in_shell: str


class AccountSource(NamedTuple):
    """Where a pair is, and how to read it; the secret is not looked at before."""

    name: str
    load: Callable[[], Account]


def of_environment(environ: Mapping[str, str]) -> AccountSource | None:
    """What ``VOICECTL_API_*`` or ``VONAGE_API_*`` hold, None if there are none."""
    for family in _FAMILIES:
        names = f"{family}_API_KEY", f"{family}_API_SECRET"
        if any(environ.get(name) for name in names):
            return AccountSource(names[0], partial(_from_variables, *names, environ))
    return None


def beside(private_key: Path, api_key: str, source: str) -> AccountSource:
    """An account whose secret lies beside *private_key*."""
    return AccountSource(source, partial(_from_file, api_key, private_key, source))


def nowhere() -> AccountSource:
    """No source has any."""
    return AccountSource(NOWHERE, _missing)


def _from_variables(key_name: str, secret_name: str, environ: Mapping[str, str]) -> Account:
    key, secret = (environ.get(name, "").strip() for name in (key_name, secret_name))
    if not key or not secret:
        there, missing = (key_name, secret_name) if key else (secret_name, key_name)
        raise ConfigError(
            f"{there} is set and {missing} is not: an API key and its secret come as a pair.",
            hint=f"Set {missing} too, or name a profile with -p.",
        )
    return _checked(key, secret, key_name, f'"${secret_name}"')


def _from_file(key: str, private_key: Path, source: str) -> Account:
    """The secret lies beside the private key of the same profile, and is called like it."""
    path = private_key.with_suffix(".api-secret")
    if not path.exists():
        raise ConfigError(
            f"There is no secret for the API key of {source}.",
            hint="Store the profile again with --api-secret-file, or set VOICECTL_API_KEY and VOICECTL_API_SECRET.",
        )
    secret = files.read_private(path, what="API secret").decode("utf-8", "replace").strip()
    return _checked(key, secret, source, f'"$(cat {shlex.quote(str(path))})"')


def _checked(key: str, secret: str, source: str, in_shell: str) -> Account:
    """The account, if its two halves can be sent: HTTP joins them with a colon."""
    is_key = key and not any(character in ": " for character in key)
    if not is_key or not secret or not all(text.isascii() and text.isprintable() for text in (key, secret)):
        raise ConfigError(
            f"The API key and secret from {source} are none: each is a line of ASCII, the key without a colon.",
            hint="Copy them again from the dashboard.",
        )
    return Account(key=key, secret=secret, source=source, secret_in_shell=in_shell)


def _missing() -> Account:
    raise ConfigError(
        "This needs the account's API key and secret, and there are none.",
        hint="Give them to the profile (profile add --api-key K --api-secret-file FILE), or set VOICECTL_API_KEY and"
        " VOICECTL_API_SECRET.",
    )
