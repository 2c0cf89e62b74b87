"""The environment of a command that runs in a rehearsal: the user's own, with no credentials but the sandbox's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voicectl.sandbox.tls import node

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from voicectl.sandbox.account.identity import Identity

_FAMILY = re.compile(r"(?:.*_)?(?:VOICECTL|VONAGE|NEXMO|OPENTOK|TOKBOX|VCR|NERU)_", re.IGNORECASE)
"""The start of the names that belong to voicectl or to the vendor, such as ``VONAGE_`` or ``MY_VONAGE_``.

The SDKs read ``VONAGE_*``, and in older versions ``NEXMO_*`` or ``OPENTOK_*``. The vendor's hosting platform gives
the credentials of an application to its programs in ``VCR_*`` and ``NERU_*``.
"""

_SENSITIVE = re.compile(
    r"KEY|SECRET|TOKEN|JWT|PASSW|SIGNATURE|CREDENTIAL|AUTH|ACCOUNT|APPLICATION|APP_?ID|HOST|URL|STORE|CONFIG|REGION",
    re.IGNORECASE,
)
"""The rest of the name of a variable for a credential, a host or a store."""

_UNPREFIXED = frozenset(
    {
        "API_ACCOUNT_ID",
        "API_ACCOUNT_SECRET",
        "API_APPLICATION_ID",
        "API_KEY",
        "API_SECRET",
        "APPLICATION_ID",
        "APPLICATION_PRIVATE_KEY",
        "APPLICATION_PRIVATE_KEY_PATH",
        "APP_ID",
        "JWT",
        "PRIVATE_KEY",
        "PRIVATE_KEY64",
        "PRIVATE_KEY_PATH",
        "SIGNATURE_SECRET",
    }
)
"""Names without a prefix under which the official samples read the application's and the account's credentials."""

_OTHER_NAMES = {
    "API_ACCOUNT_ID": "API_KEY",
    "API_ACCOUNT_SECRET": "API_SECRET",
    "API_APPLICATION_ID": "APPLICATION_ID",
    "API_SIGNATURE_SECRET": "SIGNATURE_SECRET",
    "APPLICATION_PRIVATE_KEY": "PRIVATE_KEY",
    "APPLICATION_PRIVATE_KEY_PATH": "PRIVATE_KEY",
    "APP_ID": "APPLICATION_ID",
    "KEY": "API_KEY",
    "PRIVATE_KEY_PATH": "PRIVATE_KEY",
    "SECRET": "API_SECRET",
}
"""Other names for the usual variables, without the prefix."""

_PROXIES = frozenset(f"{each}_PROXY" for each in ("ALL", "FTP", "HTTP", "HTTPS", "NO", "SOCKS", "WS", "WSS"))
"""The names that Python, curl, Go and others read. Some clients prefer a SOCKS proxy to the one for HTTPS."""


def sealed(environ: Mapping[str, str], identity: Identity, key_path: Path, url: str) -> dict[str, str]:
    """Return *environ* with the credentials of a sandbox in place of all others.

    The usual variables of the official SDKs are always set. Another variable for a credential that the sandbox has,
    such as ``NEXMO_API_KEY``, gets the sandbox's value if it was set. All other variables for credentials, hosts and
    stores are removed.

    Args:
        key_path: The path of the private key of the sandbox's application.
        url: The base URL of the sandbox.
    """
    usual = {
        "APPLICATION_ID": identity.application_id,
        "PRIVATE_KEY": str(key_path),
        "API_KEY": identity.api_key,
        "API_SECRET": identity.api_secret,
        "SIGNATURE_SECRET": identity.signature_secret,
    }
    values = usual | {other: usual[name] for other, name in _OTHER_NAMES.items()}
    kept: dict[str, str] = {}
    for name, value in environ.items():
        if not _is_sensitive(name):
            kept[name] = value
            continue
        replacement = values.get(_FAMILY.sub("", name, count=1).upper())
        if replacement is not None and not name.upper().startswith("VOICECTL_"):
            kept[name] = replacement
    return kept | {f"VONAGE_{name}": value for name, value in usual.items()} | {"VONAGE_API_HOST": url}


def intercepted(environ: Mapping[str, str], proxy_url: str, tls_url: str) -> dict[str, str]:
    """Return *environ* with a sandbox's proxy in place of all others.

    Programs read these variables in either case, and some prefer one of the two. This machine is not proxied, so
    that programs still reach each other. Node programs, which heed no proxy, preload a module instead.

    Args:
        proxy_url: The URL of the proxy.
        tls_url: The URL at which the sandbox is served by HTTPS.
    """
    kept = {name: value for name, value in environ.items() if name.upper() not in _PROXIES}
    proxies = {"HTTP_PROXY": proxy_url, "HTTPS_PROXY": proxy_url, "NO_PROXY": "localhost,127.0.0.1,::1"}
    for_node = node.variables(environ.get("NODE_OPTIONS", ""), proxy_url, tls_url)
    return kept | proxies | {name.lower(): value for name, value in proxies.items()} | for_node


def _is_sensitive(name: str) -> bool:
    family = _FAMILY.match(name)
    return bool(family and _SENSITIVE.search(name, family.end())) or name.upper() in _UNPREFIXED
