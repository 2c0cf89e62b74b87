"""The hosts, in all regions, to which tokens may be sent.

A host's name must be equal to a listed name. A common suffix is not enough, since an attacker who took over a
subdomain could then receive tokens.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from voicectl.errors import ConfigError, GuardError
from voicectl.loopback import is_loopback, is_loopback_url
from voicectl.voice.hosts import API_HOST, API_HOSTS, NUMBERS_HOST, PLATFORM_HOSTS, REGION_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_BASE_URL = f"https://{API_HOST}"
NUMBERS_URL = f"https://{NUMBERS_HOST}"
"""The URL of the platform's Numbers API. It receives the account's key and secret, but never a token."""

SANDBOX_PREFIX = "5a4db0c5-"

DEFAULT_PORTS = {"http": "80", "https": "443"}


def base_url(url: str, *, extra_hosts: Iterable[str] = ()) -> str:
    """Check that requests and tokens may be sent to a base URL, and return its scheme, host and port as a URL.

    The URL must have either a loopback host, with http or https, or a listed host, with https and port 443.

    Args:
        extra_hosts: The hosts that a profile adds to the list.

    Raises:
        ConfigError: The URL is malformed, or does not meet these conditions.
    """
    hint = (
        "Use https://api.nexmo.com, a regional host, or a loopback address; 'profile add --host' adds others."
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError("The base URL is not a valid URL.", hint=hint) from exc
    host = parts.hostname or ""
    if parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
        raise ConfigError("The base URL must consist of a scheme, a host and an optional port.", hint=hint)
    shown = f"[{host}]" if ":" in host else host
    if port == 0:
        raise ConfigError("The base URL has port 0, where no server can listen.", hint=hint)
    if parts.scheme in ("http", "https") and is_loopback(host):
        return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    if parts.scheme != "https":
        raise ConfigError(f"Tokens are not sent to {host or 'this URL'} without https.", hint=hint)
    if host not in API_HOSTS and host not in set(extra_hosts):
        raise ConfigError(f"{host} is not a listed API host: tokens are not sent there.", hint=hint)
    if port not in (None, 443):
        raise ConfigError(f"Tokens are sent to {host} on port 443 only, not {port}.", hint=hint)
    return f"https://{host}"


class Hosts(NamedTuple):
    """The hosts that may have a profile's calls and files. Only the host of a call's region knows the call.

    Attributes:
        base_url: The profile's base URL, as returned by :func:`base_url`.
        extra_hosts: The API hosts that the profile adds to the built-in list.
        regions: The base URLs of the sandbox's regions; empty if the profile is not on loopback.
        stand_ins: In a rehearsal, the sandbox's base URLs by the URLs of the platform's hosts for which they stand.
    """

    base_url: str
    extra_hosts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    stand_ins: Mapping[str, str] = MappingProxyType({})

    @property
    def is_here(self) -> bool:
        """True if the base URL is on loopback, that is, on this machine."""
        return is_loopback_url(self.base_url)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The base URLs of the other regions.

        For a profile on loopback, these are the sandbox's regions. For a profile whose base URL is on an additional
        host, the result is empty, since such a host may not have the platform's regions.
        """
        if self.is_here:
            return tuple(url for url in self.regions if url != self.base_url)
        if urlsplit(self.base_url).hostname not in API_HOSTS:
            return ()
        return tuple(url for host in REGION_HOSTS.values() if (url := f"https://{host}") != self.base_url)

    def is_home(self, origin: str) -> bool:
        """Return True if *origin* is the base URL, or the URL of a sandbox region for a profile on loopback."""
        homes = (self.base_url, *(self.regions if self.is_here else ()))
        return without_default_port(origin) in map(without_default_port, homes)

    def stand_in(self, origin: str) -> str:
        """Return the sandbox's URL that stands for *origin* in a rehearsal, or else *origin* itself.

        Args:
            origin: The scheme, host and port, without a default port.
        """
        return self.stand_ins.get(origin, origin)

    def check(self, url: str) -> str:
        """Check that tokens may be sent to *url*, and return the URL of the host to which to send them.

        The result consists of a scheme, a host and an optional port. In a rehearsal, it is a URL of the sandbox.
        Tokens may always be sent to the base URL. A profile on loopback may also send tokens to the sandbox's
        regions. Any other profile may also send tokens to the listed hosts, over https to port 443.

        Raises:
            ConfigError: Tokens may not be sent to *url*.
        """
        found = self.stand_in(base_url(url, extra_hosts=self.extra_hosts))
        if not self.is_home(found) and (self.is_here or is_loopback_url(found)):
            raise ConfigError(f"{found} is not a host of this profile: tokens are not sent there.")
        return found


def stand_ins(base_url: str, regions: Mapping[str, str]) -> dict[str, str]:
    """Return the URLs of a sandbox by the URLs of the platform's hosts for which they stand in a rehearsal.

    Args:
        base_url: The sandbox's base URL. It stands for every host that does not belong to one region.
        regions: The base URLs of the sandbox's regions, by region name.
    """
    standing = dict.fromkeys(PLATFORM_HOSTS, base_url)
    standing |= {REGION_HOSTS[region]: url for region, url in regions.items()}
    return {f"https://{host}": url for host, url in standing.items()}


def without_default_port(origin: str) -> str:
    """Return *origin* without its port if that is the default port of its scheme."""
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{rest.removesuffix(':' + DEFAULT_PORTS[scheme])}"


def region_url(region: str) -> str:
    """Return the base URL of a region of the platform.

    Raises:
        ConfigError: There is no such region.
    """
    try:
        return f"https://{REGION_HOSTS[region]}"
    except KeyError:
        raise ConfigError(
            f"There is no region {region!r}.", hint="Use one of " + ", ".join(REGION_HOSTS) + "."
        ) from None


def sandbox_regions(urls: dict[str, Any]) -> dict[str, str]:
    """Check the base URLs of a sandbox's regions, and return them by region name.

    Raises:
        ConfigError: A name is not the name of a region, or a URL is not on loopback.
    """
    checked = {region: base_url(str(url)) for region, url in urls.items()}
    for region, url in checked.items():
        if region not in REGION_HOSTS or not is_loopback_url(url):
            raise ConfigError(
                f"Invalid sandbox region: {region} at {url}.",
                hint="If this region comes from the sandbox's profile, start the sandbox, which writes its current"
                " regions there: voicectl sandbox start",
            )
    return checked


def check_application(application_id: str, url: str) -> None:
    """Check that an application that belongs to a sandbox is not used on the platform.

    Raises:
        GuardError: The application belongs to a sandbox, and *url* is not on loopback.
    """
    if application_id.lower().startswith(SANDBOX_PREFIX) and not is_loopback_url(url):
        raise GuardError(
            f"Application {application_id} belongs to a sandbox, but {url} is not on this machine.",
            hint="Start the sandbox with 'voicectl sandbox start', or choose another profile.",
        )
