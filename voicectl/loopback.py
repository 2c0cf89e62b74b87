"""Functions that check whether a host is this machine (loopback), or whether it is on the public internet.

For hosts on loopback, voicectl allows http and any private key, and uses no proxy.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_loopback(host: str) -> bool:
    """Return True if *host* is this machine: ``localhost``, ``127.0.0.0/8`` or ``::1``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return True if the host of *url* is this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def is_public(address: str) -> bool:
    """Return True if the IP address *address* is public: not in a private, local, reserved or multicast range.

    If an IPv6 address contains an IPv4 address, the IPv4 address is checked instead.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            wrapped = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
        return found.is_global and found in _GLOBAL_UNICAST
    return found.is_global and not found.is_multicast
