"""Where tokens may go, also in another region.

Hosts are compared whole, never by their ending: a subdomain that somebody took over must not get a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from voicectl.errors import ConfigError, GuardError
from voicectl.loopback import is_loopback, is_loopback_url
from voicectl.voice.call import Region

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_BASE_URL = "https://api.nexmo.com"
SANDBOX_PREFIX = "5a4db0c5-"

DEFAULT_PORTS = {"http": "80", "https": "443"}

REGIONS: dict[str, str] = {
    Region.NA_EAST: "api-us-3.vonage.com",
    Region.NA_WEST: "api-us-4.vonage.com",
    Region.EU_WEST: "api-eu-3.vonage.com",
    Region.EU_EAST: "api-eu-4.vonage.com",
    Region.APAC_SNG: "api-ap-3.vonage.com",
    Region.APAC_AUSTRALIA: "api-ap-4.vonage.com",
}
HOSTS = frozenset(
    {"api.nexmo.com", "api-us.vonage.com", "api-eu.vonage.com", "api-ap.vonage.com", *REGIONS.values()}
)


def base_url(url: str, *, extra_hosts: Iterable[str] = ()) -> str:
    """Check where requests and tokens will go, and return it as scheme, host and port.

    Args:
        extra_hosts: What the profile adds to the list.

    Raises:
        ConfigError: It is neither loopback (http or https) nor https on port 443 of a listed host.
    """
    hint = (
        "Use https://api.nexmo.com, a regional host, or a loopback address; 'profile add --host' lists more."
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError("The base URL is not a URL.", hint=hint) from exc
    host = parts.hostname or ""
    if parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
        raise ConfigError("The base URL must be scheme, host and port only.", hint=hint)
    shown = f"[{host}]" if ":" in host else host
    if port == 0:
        raise ConfigError("The base URL names port 0, where nothing can answer.", hint=hint)
    if parts.scheme in ("http", "https") and is_loopback(host):
        return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    if parts.scheme != "https":
        raise ConfigError(f"No token is sent to {host or 'that URL'} without https.", hint=hint)
    if host not in HOSTS and host not in set(extra_hosts):
        raise ConfigError(f"{host} is not a listed API host: no token is sent there.", hint=hint)
    if port not in (None, 443):
        raise ConfigError(f"{host} is asked on port 443 only, not {port}.", hint=hint)
    return f"https://{host}"


class Hosts(NamedTuple):
    """Where what belongs to a profile may be: a call lives in one region, and elsewhere nobody knows it.

    Attributes:
        base_url: The profile's, as of :func:`base_url`.
        extra_hosts: API hosts beyond the listed ones.
        regions: The base URLs of a sandbox's regions, which a profile on loopback names.
    """

    base_url: str
    extra_hosts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether they are on this machine."""
        return is_loopback_url(self.base_url)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The base URLs of the other regions.

        A profile on loopback has those of its sandbox. One on a host that only it lists has none: what stands behind
        that is not known to have the platform's regions.
        """
        if self.is_here:
            return tuple(url for url in self.regions if url != self.base_url)
        if urlsplit(self.base_url).hostname not in HOSTS:
            return ()
        return tuple(url for host in REGIONS.values() if (url := f"https://{host}") != self.base_url)

    def is_home(self, origin: str) -> bool:
        """Whether *origin* is the base URL, or for a profile on loopback one of a sandbox's regions."""
        homes = (self.base_url, *(self.regions if self.is_here else ()))
        return without_default_port(origin) in map(without_default_port, homes)

    def check(self, url: str) -> str:
        """Return *url*, which comes from outside, as :func:`base_url` does: a token may go there.

        Raises:
            ConfigError: It is neither the profile's base URL nor, for a profile off loopback, on port 443 of a listed
                host; nor one of a sandbox's regions, for its profile.
        """
        found = base_url(url, extra_hosts=self.extra_hosts)
        if not self.is_home(found) and (self.is_here or is_loopback_url(found)):
            raise ConfigError(f"{found} is no host of this profile's legs: no token is sent there.")
        return found


def without_default_port(origin: str) -> str:
    """*origin* without a port that goes without saying."""
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{rest.removesuffix(':' + DEFAULT_PORTS[scheme])}"


def region_url(region: str) -> str:
    """The base URL of an application's region.

    Raises:
        ConfigError: There is no such region.
    """
    try:
        return f"https://{REGIONS[region]}"
    except KeyError:
        raise ConfigError(
            f"There is no region {region!r}.", hint="Use one of " + ", ".join(REGIONS) + "."
        ) from None


def sandbox_regions(urls: dict[str, Any]) -> dict[str, str]:
    """Check the base URLs that a sandbox gives to the regions, by name.

    Raises:
        ConfigError: A name is no region's, or its URL is not loopback: tokens will go there.
    """
    checked = {region: base_url(str(url)) for region, url in urls.items()}
    for region, url in checked.items():
        if region not in REGIONS or not is_loopback_url(url):
            raise ConfigError(
                f"{region!r} at {url} is no region of a sandbox.",
                hint="Have them written anew: voicectl sandbox start",
            )
    return checked


def check_application(application_id: str, url: str) -> None:
    """Keep the sandbox and the platform apart.

    Raises:
        GuardError: A sandbox's application would be used off loopback.
    """
    if application_id.lower().startswith(SANDBOX_PREFIX) and not is_loopback_url(url):
        raise GuardError(
            f"Application {application_id} belongs to a sandbox, and {url} is not this machine.",
            hint="Start it with 'voicectl sandbox start', or choose another profile.",
        )
