"""Where tokens may go, also for a file or to another region.

Hosts are compared whole, never by their ending: a subdomain that somebody took over must not get a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from voicectl.errors import ConfigError, GuardError
from voicectl.loopback import is_loopback
from voicectl.voice.region import Region

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.core.identity.target import Target

DEFAULT_BASE_URL = "https://api.nexmo.com"
SANDBOX_PREFIX = "5a4db0c5-"
MAX_SHOWN = 200

_FILE_URL = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?"
    r"(/v[13]/files/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}))"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

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

FILE_HOSTS = HOSTS | {
    f"{name}.nexmo.com"
    for name in ("api-us", "api-eu", "api-us-1", "api-us-2", "api-eu-1", "api-eu-2", "api-sg-1")
}
"""Where recordings and transcriptions are."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUrl:
    """Where a recording or transcription is, once it is certain that a token may go there.

    Attributes:
        origin: Scheme, host and port, as of :func:`base_url`.
        path: ``/v1/files/UUID``, or of ``v3``.
        file_id: The UUID, in small letters.
    """

    origin: str
    path: str
    file_id: str


def file_url(
    url: str, base_url: str, *, extra_hosts: Iterable[str] = (), regions: Iterable[str] = ()
) -> FileUrl:
    """Check the URL of a file, which comes from outside: the token of its request goes wherever it leads.

    Args:
        base_url: The profile's, as :func:`base_url` gave it.
        extra_hosts: What the profile adds to the list.
        regions: The base URLs of a sandbox's regions, which a profile on loopback names.

    Raises:
        GuardError: It is not exactly a file's on the profile's base URL or, for a profile off loopback, on port 443
            of a listed host.
    """
    found = _FILE_URL.fullmatch(url)
    if found is None:
        raise _no_file(url, "it is not written as https://HOST/v1/files/UUID")
    scheme, host, port, path, file_id = found.groups()
    port = port or _DEFAULT_PORTS[scheme]
    origin = f"{scheme}://{host}" + ("" if port == _DEFAULT_PORTS[scheme] else f":{port}")
    is_here = is_loopback(urlsplit(base_url).hostname or "")
    homes = {_origin(base_url), *(_origin(each) for each in regions if is_here)}
    if origin not in homes:
        if is_here:
            hint = (
                "A sandbox has its files on its regions' addresses, which 'sandbox exec' and -p sandbox know."
            )
            raise _no_file(url, f"it is not on {base_url}, where this profile's files are", hint)
        if scheme != "https" or port != _DEFAULT_PORTS["https"]:
            raise _no_file(url, "it is not https on port 443")
        if host not in FILE_HOSTS and host not in set(extra_hosts):
            raise _no_file(url, f"{host} is not a listed host")
    return FileUrl(origin=origin, path=path, file_id=file_id.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hosts:
    """Where what belongs to a profile may be.

    Attributes:
        base_url: The profile's.
        extra_hosts: API hosts beyond the listed ones.
        regions: The base URLs of a sandbox's regions.
    """

    base_url: str
    extra_hosts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @classmethod
    def of(cls, target: Target) -> Self:
        """Where that of *target* may be."""
        return cls(
            base_url=target.base_url,
            extra_hosts=target.policy.hosts,
            regions=tuple(target.regions.values()),
        )


class FileHosts(_Hosts):
    """Where the files of a profile may be."""

    def check(self, url: str) -> FileUrl:
        """See :func:`file_url`."""
        return file_url(url, self.base_url, extra_hosts=self.extra_hosts, regions=self.regions)


class LegHosts(_Hosts):
    """Where the legs of a profile may be: a call lives in one region, and elsewhere nobody knows it."""

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The base URLs of the other regions.

        A profile on loopback has those of its sandbox. One on a host that only it lists has none: what stands behind
        that is not known to have the platform's regions.
        """
        if self._is_here:
            return tuple(url for url in self.regions if url != self.base_url)
        if urlsplit(self.base_url).hostname not in HOSTS:
            return ()
        return tuple(url for host in REGIONS.values() if (url := f"https://{host}") != self.base_url)

    def check(self, url: str) -> str:
        """Return *url*, which comes from outside, as :func:`base_url` does: a token may go there.

        Raises:
            ConfigError: It is neither the profile's base URL nor, for a profile off loopback, on port 443 of a listed
                host; nor one of a sandbox's regions, for its profile.
        """
        found = base_url(url, extra_hosts=self.extra_hosts)
        homes = {_origin(self.base_url), *(_origin(each) for each in self.regions if self._is_here)}
        if _origin(found) in homes:
            return found
        if self._is_here or is_loopback(urlsplit(found).hostname or ""):
            raise ConfigError(f"{found} is no host of this profile's legs: no token is sent there.")
        return found

    @property
    def _is_here(self) -> bool:
        return is_loopback(urlsplit(self.base_url).hostname or "")


def _origin(base_url: str) -> str:
    """*base_url* without a port that goes without saying."""
    scheme, _, rest = base_url.partition("://")
    return f"{scheme}://{rest.removesuffix(':' + _DEFAULT_PORTS[scheme])}"


def _no_file(
    url: str, why: str, hint: str = "A profile lists further hosts: 'profile add --host'."
) -> GuardError:
    shown = url if len(url) <= MAX_SHOWN else url[:MAX_SHOWN] + "..."
    return GuardError(f"No token is sent to {shown}: {why}.", hint=f"The file was not asked for. {hint}")


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
        if region not in REGIONS or not is_loopback(urlsplit(url).hostname or ""):
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
    if application_id.lower().startswith(SANDBOX_PREFIX) and not is_loopback(urlsplit(url).hostname or ""):
        raise GuardError(
            f"Application {application_id} belongs to a sandbox, and {url} is not this machine.",
            hint="Start it with 'voicectl sandbox start', or choose another profile.",
        )
