"""The account of an application: the API key and secret, for APIs that do not accept tokens.

The key and the secret come from the same source. The sources are tried in this order: the chosen profile,
``VOICECTL_API_*``, ``VONAGE_API_*``, the default profile.
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
"""The name that is shown as the source if the API key and secret are not set."""

_FAMILIES = ("VOICECTL", "VONAGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An API key with its secret.

    Attributes:
        source: The name of the source of the key and the secret, for messages.
        secret_in_shell: A word of POSIX shell code that expands to the secret but does not contain it.
    """

    key: str
    secret: str = field(repr=False)
    source: str
    secret_in_shell: str


class AccountSource(NamedTuple):
    """The source of an API key and secret. The secret is read only when ``load`` is called."""

    name: str
    load: Callable[[], Account]


def of_environment(environ: Mapping[str, str]) -> AccountSource | None:
    """Return the source for the API key and secret in the environment, or None if they are not set.

    The variables ``VOICECTL_API_*`` are used if they are set. If they are not, ``VONAGE_API_*`` are used.
    """
    for family in _FAMILIES:
        names = f"{family}_API_KEY", f"{family}_API_SECRET"
        if any(environ.get(name) for name in names):
            return AccountSource(names[0], partial(_from_variables, *names, environ))
    return None


def beside(private_key: Path, api_key: str, source: str) -> AccountSource:
    """Return the source for the account *api_key* whose secret is stored next to *private_key*."""
    return AccountSource(source, partial(_from_file, api_key, private_key, source))


def nowhere() -> AccountSource:
    """Return the source to use if the API key and secret are not set. Its ``load`` raises ConfigError."""
    return AccountSource(NOWHERE, _missing)


def _from_variables(key_name: str, secret_name: str, environ: Mapping[str, str]) -> Account:
    key, secret = (environ.get(name, "").strip() for name in (key_name, secret_name))
    if not key or not secret:
        there, missing = (key_name, secret_name) if key else (secret_name, key_name)
        raise ConfigError(
            f"{there} is set, but {missing} is not: an API key needs its secret from the same source.",
            hint=f"Set {missing} too, or choose a profile with -p.",
        )
    return _checked(key, secret, key_name, f'"${secret_name}"')


def _from_file(key: str, private_key: Path, source: str) -> Account:
    """Return the account with the API key *key*, and with the secret that is stored in a file beside *private_key*.

    The names of the two files differ only in their suffixes.
    """
    path = private_key.with_suffix(".api-secret")
    if not path.exists():
        raise ConfigError(
            f"No secret is stored for the API key of {source}.",
            hint="Store the profile again with --api-secret-file, or set VOICECTL_API_KEY and VOICECTL_API_SECRET.",
        )
    secret = files.read_private(path, what="API secret").decode("utf-8", "replace").strip()
    return _checked(key, secret, source, f'"$(cat {shlex.quote(str(path))})"')


def _checked(key: str, secret: str, source: str, in_shell: str) -> Account:
    """Check that *key* and *secret* can be sent in HTTP Basic authentication, and return the account.

    Basic authentication joins the key and the secret with a colon, so the key must not contain one.

    Raises:
        ConfigError: The key or the secret is malformed.
    """
    is_key = key and not any(character in ": " for character in key)
    if not is_key or not secret or not all(text.isascii() and text.isprintable() for text in (key, secret)):
        raise ConfigError(
            f"The API key or secret from {source} is malformed: each must be one line of ASCII text, and the key must"
            " not contain a colon or a space.",
            hint="Copy them again from the dashboard.",
        )
    return Account(key=key, secret=secret, source=source, secret_in_shell=in_shell)


def _missing() -> Account:
    raise ConfigError(
        "This command needs the account's API key and secret, but neither is set.",
        hint="Add them to the profile (profile add --api-key K --api-secret-file FILE), or set VOICECTL_API_KEY and"
        " VOICECTL_API_SECRET.",
    )
