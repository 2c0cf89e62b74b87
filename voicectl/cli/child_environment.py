"""The environment of a command that runs in a rehearsal: the user's own, with no credentials but the sandbox's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.sandbox.account.identity import Identity

_FAMILY = re.compile(r"(?:VOICECTL|VONAGE|NEXMO)_", re.IGNORECASE)
_SENSITIVE = re.compile(
    r"KEY|SECRET|TOKEN|JWT|PASSW|SIGNATURE|CREDENTIAL|APPLICATION|APP_?ID|HOST|URL|STORE|CONFIG|REGION|AUTH",
    re.IGNORECASE,
)
_UNPREFIXED = frozenset(
    {
        "API_KEY",
        "API_SECRET",
        "APPLICATION_ID",
        "APPLICATION_PRIVATE_KEY",
        "APPLICATION_PRIVATE_KEY_PATH",
        "JWT",
        "PRIVATE_KEY",
        "PRIVATE_KEY_PATH",
        "SIGNATURE_SECRET",
    }
)
"""Names without a prefix under which the official samples read the application's and the account's credentials."""


def sealed(environ: Mapping[str, str], identity: Identity, url: str) -> dict[str, str]:
    """Return *environ* with the credentials of a sandbox in place of all others.

    The usual variables of the official SDKs are always set. Another variable for a credential that the sandbox has,
    such as ``NEXMO_API_KEY``, gets the sandbox's value if it was set. All other variables for credentials, hosts and
    stores are removed.

    Args:
        url: The base URL of the sandbox.
    """
    ours = {
        "APPLICATION_ID": identity.application_id,
        "PRIVATE_KEY": identity.private_key_path,
        "API_KEY": identity.api_key,
        "API_SECRET": identity.api_secret,
        "SIGNATURE_SECRET": identity.signature_secret,
    }
    others = {
        "APP_ID": identity.application_id,
        "PRIVATE_KEY_PATH": identity.private_key_path,
        "APPLICATION_PRIVATE_KEY": identity.private_key_path,
        "APPLICATION_PRIVATE_KEY_PATH": identity.private_key_path,
        "API_SIGNATURE_SECRET": identity.signature_secret,
    }
    kept: dict[str, str] = {}
    for name, value in environ.items():
        if not _is_sensitive(name):
            kept[name] = value
            continue
        replacement = (ours | others).get(_FAMILY.sub("", name, count=1).upper())
        if replacement is not None and not name.upper().startswith("VOICECTL_"):
            kept[name] = replacement
    return kept | {f"VONAGE_{name}": value for name, value in ours.items()} | {"VONAGE_API_HOST": url}


def _is_sensitive(name: str) -> bool:
    rest = _FAMILY.match(name)
    return bool(rest and _SENSITIVE.search(name, rest.end())) or name.upper() in _UNPREFIXED
