"""The application and host on which a command acts, with the source of each setting.

The sources are tried in this order: ``--profile``, ``VOICECTL_PROFILE``, ``VOICECTL_*``, ``VONAGE_*``, the default
profile. The first source that names an application supplies both its id and its key. Later sources may supply
settings that the first source lacks. ``VOICECTL_SANDBOX`` overrides all these sources. Files in the working
directory are never read.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl import times
from voicectl.core import hosts
from voicectl.core.hosts import Hosts
from voicectl.core.identity import account, signature_secrets
from voicectl.core.identity.policy import Policy
from voicectl.core.identity.profiles import SANDBOX, Profile, ProfileStore, application_id
from voicectl.errors import ConfigError, GuardError, InputError
from voicectl.loopback import is_loopback_url
from voicectl.store import files
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from voicectl.core.identity.account import AccountSource
    from voicectl.core.identity.signature_secrets import SignatureSource

_BASE64_BEGIN = "LS0tLS1CRUdJTi"  # "-----BEGIN"
_KEY_VARIABLES = {
    "VOICECTL": ("VOICECTL_PRIVATE_KEY",),
    "VONAGE": ("VONAGE_PRIVATE_KEY", "VONAGE_PRIVATE_KEY_PATH", "VONAGE_APPLICATION_PRIVATE_KEY_PATH"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The application and host on which a command acts.

    Attributes:
        profile: The profile's name, or None if the environment names the application.
        regions: The base URLs of a sandbox's regions, by region name; empty for a target on the platform.
        load_key: A function that returns the private key, or raises an error that names the source of the key.
        from_: The caller id for new calls, or None if no source sets one.
        policy: The profile's guards. If there is no profile, the policy sets no limits.
        ca_file: A file of CA certificates for TLS, or None to use the default certificates.
        sources: For each setting, the name of the source that it came from.
        account: The source of the account's API key and secret.
        signature: The source of the secrets with which webhooks are verified, or None if no source sets them.
        prove: A function that lets the server at a URL prove that it is the user's own sandbox, before anything else
            is sent to it. None if the target is not the profile ``sandbox``.
    """

    profile: str | None
    application_id: str
    base_url: str
    regions: dict[str, str] = field(default_factory=dict)
    load_key: Callable[[], RSAPrivateKey]
    from_: str | None
    policy: Policy
    ca_file: str | None
    sources: dict[str, str]
    account: AccountSource
    signature: SignatureSource | None = None
    prove: Callable[[str], None] | None = None

    @property
    def account_url(self) -> str:
        """The URL of the Application API, to which the API key and secret may be sent.

        This is the base URL if it is on loopback. If it is not, this is the platform's default URL, which serves all
        regions.
        """
        return self.base_url if self.hosts.is_here else hosts.DEFAULT_BASE_URL

    @property
    def numbers_url(self) -> str:
        """The URL of the Numbers API, the only other URL to which the API key and secret may be sent."""
        return self.base_url if self.hosts.is_here else hosts.NUMBERS_URL

    @property
    def hosts(self) -> Hosts:
        """The hosts that can hold the application's legs and files."""
        standing = hosts.stand_ins(self.base_url, self.regions) if self.is_rehearsal else {}
        return Hosts(
            base_url=self.base_url,
            extra_hosts=self.policy.hosts,
            regions=tuple(self.regions.values()),
            stand_ins=standing,
        )

    @property
    def name(self) -> str:
        """The name of the target in messages: ``profile prod``, or the variable that names the application."""
        return f"profile {self.profile}" if self.profile else self.sources["application_id"]

    @property
    def is_rehearsal(self) -> bool:
        """True if ``VOICECTL_SANDBOX`` determined the target."""
        return self.sources["application_id"] == "VOICECTL_SANDBOX"

    def check_reach(self, url: str) -> None:
        """Check that requests may be sent to *url*. A rehearsal must not reach other hosts.

        Raises:
            GuardError: This is a rehearsal, and *url* is on another host.
        """
        if self.is_rehearsal and not is_loopback_url(url):
            raise GuardError(
                "VOICECTL_SANDBOX is set, so requests can be sent only to this machine.",
                hint="Use a loopback URL, such as http://127.0.0.1:PORT/PATH.",
            )


def resolve(
    environ: Mapping[str, str],
    profiles: ProfileStore,
    *,
    profile: str | None = None,
    ca_file: str | None = None,
) -> Target:
    """Return the target: the application and host on which a command acts.

    Args:
        profile: The value of ``--profile``, or None if the option was not given.
        ca_file: The value of ``--ca-file``, or None if the option was not given.

    Raises:
        ConfigError: No source names an application, or the source that names it is malformed or incomplete.
        GuardError: The application belongs to a sandbox, but the base URL is not on loopback.
    """
    if environ.get("VOICECTL_SANDBOX"):
        return _rehearsal(environ["VOICECTL_SANDBOX"], profiles)
    name, said_by = profile, "--profile"
    if name is None and environ.get("VOICECTL_PROFILE"):
        name, said_by = environ["VOICECTL_PROFILE"], "VOICECTL_PROFILE"
    if name is None:
        for family in _KEY_VARIABLES:
            found = _from_environment(family, environ, ca_file)
            if found:
                return found
        name, said_by = profiles.default, "the default profile"
    if name is None and profiles.names() == [SANDBOX]:
        raise ConfigError(
            "No application is set up except the sandbox, which is never the default.",
            hint="Act on the sandbox: -p sandbox, or export VOICECTL_PROFILE=sandbox."
            " Or add an application: voicectl profile add NAME",
        )
    if name is None and profiles.names():
        raise ConfigError(
            "There is no default profile, and the environment names no application.",
            hint=f"Choose one with -p: {', '.join(profiles.names())}. Or set the default:"
            " voicectl profile use NAME. Or add one: voicectl profile add NAME",
        )
    if name is None:
        raise ConfigError(
            "No application is set up: there are no profiles, and the environment names no application.",
            hint="Add one: voicectl profile add NAME --application-id ID --private-key FILE."
            " To try voicectl without an account: voicectl demo",
        )
    return _from_profile(profiles.get(name), said_by, profiles, environ, ca_file)


def config_directory(environ: Mapping[str, str]) -> Path:
    """Return the configuration directory, which contains profiles and keys."""
    return _directory(environ, "VOICECTL_CONFIG_DIR", "XDG_CONFIG_HOME", ".config", "user_config_path")


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return the state directory, which contains journals and rate limiters.

    The directory has a subdirectory for each application.
    """
    return _directory(environ, "VOICECTL_STATE_DIR", "XDG_STATE_HOME", ".local/state", "user_state_path")


def application_state(environ: Mapping[str, str], identity: str, warn: Callable[[str], None]) -> Path:
    """Return the directory of an application's journal, rate limiter and events, and create it if it is missing.

    If the directory cannot be created, the error is reported when the directory is first used.

    Args:
        identity: The application's id.
        warn: A function that is called with a warning if another user can replace the files in the directory.
    """
    path = state_directory(environ) / identity
    with suppress(ConfigError):
        files.private_directory(path)
    for check, each in (
        (files.check_parents, path.parent),
        (files.check_directory, path.parent),
        (files.check_directory, path),
    ):
        try:
            check(each, what="journal and the events")
        except ConfigError as exc:
            warn(f"warning: {exc.message} {exc.hint}")
        except OSError:  # it does not exist
            continue
    return path


def request_timeout(environ: Mapping[str, str], option: str | None) -> float | None:
    """Return how long a request may take, in seconds, as set by *option* or ``VOICECTL_REQUEST_TIMEOUT``.

    Returns:
        The time limit, or None if neither is set. If both are set, *option* applies.

    Raises:
        InputError: The value is not a duration of more than 0 and at most 10 minutes.
    """
    text = option if option is not None else environ.get("VOICECTL_REQUEST_TIMEOUT")
    if not text and option is None:
        return None
    try:
        seconds = times.duration(text or "")
    except InputError:
        seconds = 0.0
    if not 0 < seconds <= 600:
        raise InputError(
            "The request timeout must be more than 0 and at most 600 seconds.", hint="The default is 10."
        )
    return seconds


def _rehearsal(url: str, profiles: ProfileStore) -> Target:
    """Return the target of a command that runs against the sandbox at *url*.

    The credentials come from the sandbox's profile, never from the server at *url*.
    """
    from voicectl.core.identity import rehearsal  # noqa: PLC0415 (needed only in a rehearsal)

    profile, identity = rehearsal.proven(url, profiles)
    path, source = profiles.key_path(profile.name), rehearsal.VARIABLE
    return Target(
        profile=None,
        application_id=profile.application_id,
        base_url=profile.base_url,
        regions=hosts.sandbox_regions(identity.get("regions", {})),
        load_key=lambda: _read_key(path),
        from_=profile.from_,
        policy=Policy(),
        ca_file=None,
        sources=dict.fromkeys(("application_id", "private_key", "base_url", "from", "api_key"), source),
        account=account.beside(path, profile.api_key or "", source),
        signature=signature_secrets.beside(path, profile.api_key, source),
    )


def _from_profile(
    profile: Profile, said_by: str, profiles: ProfileStore, environ: Mapping[str, str], ca_file: str | None
) -> Target:
    source = f"profile {profile.name} ({said_by})"
    sources = dict.fromkeys(("application_id", "private_key", "base_url", "from"), source)
    base_url, regions, from_ = profile.base_url, profile.regions, profile.from_
    if said_by == "the default profile":
        url, url_source = _environment_url(environ)
        if url:
            base_url, sources["base_url"] = hosts.base_url(url, extra_hosts=profile.policy.hosts), url_source
            regions = {}
        if environ.get("VOICECTL_FROM"):
            from_ = None
    if from_ is None and environ.get("VOICECTL_FROM"):
        from_, sources["from"] = endpoint.typed_caller(environ["VOICECTL_FROM"]), "VOICECTL_FROM"
    hosts.check_application(profile.application_id, base_url)
    key_path = profiles.key_path(profile.name)
    own = None if profile.api_key is None else account.beside(key_path, profile.api_key, source)
    places = [own, account.of_environment(environ)]
    signing = [
        signature_secrets.beside(key_path, profile.api_key, source),
        signature_secrets.of_environment(environ),
    ]
    if said_by == "the default profile":
        places.reverse()
        signing.reverse()
    accounted = next(filter(None, places), None) or account.nowhere()

    def load_key() -> RSAPrivateKey:
        if profile.key_command:
            from voicectl.core.identity import keys  # noqa: PLC0415 (loads cryptography)

            return keys.from_command(profile.key_command)
        return _read_key(key_path)

    return Target(
        profile=profile.name,
        application_id=profile.application_id,
        base_url=base_url,
        regions=regions,
        load_key=load_key,
        from_=from_,
        policy=profile.policy,
        ca_file=ca_file or profile.ca_file,
        sources=sources | {"api_key": accounted.name},
        account=accounted,
        signature=next(filter(None, signing), None),
        prove=_proof(profile, profiles) if profile.name == SANDBOX else None,
    )


def _proof(profile: Profile, profiles: ProfileStore) -> Callable[[str], None]:
    def prove(origin: str) -> None:
        from voicectl.core import own_sandbox  # noqa: PLC0415 (loads HTTP)

        own_sandbox.prove(profile, profiles, origin)

    return prove


def _from_environment(family: str, environ: Mapping[str, str], ca_file: str | None) -> Target | None:
    """Return the target that the variables in *family* describe, or None if they describe none.

    Args:
        family: ``VOICECTL`` or ``VONAGE``, the first word of the variables' names.

    Raises:
        ConfigError: A value is malformed, or the variables set only one of the application id and the key.
    """
    id_variable = f"{family}_APPLICATION_ID"
    key_variable = next((name for name in _KEY_VARIABLES[family] if environ.get(name)), None)
    if not environ.get(id_variable) and key_variable is None:
        return None
    if not environ.get(id_variable) or key_variable is None:
        there, missing = (
            (key_variable, id_variable) if key_variable else (id_variable, _KEY_VARIABLES[family][0])
        )
        raise ConfigError(
            f"{there} is set, but {missing} is not: an application's id needs its key from the same source.",
            hint=f"Set {missing} too, or choose a profile with -p.",
        )
    url, url_source = _environment_url(environ)
    base_url = hosts.base_url(url or hosts.DEFAULT_BASE_URL)
    found = application_id(environ[id_variable])
    hosts.check_application(found, base_url)
    from_ = environ.get("VOICECTL_FROM")
    content = environ[key_variable]
    accounted = account.of_environment(environ) or account.nowhere()
    return Target(
        profile=None,
        application_id=found,
        base_url=base_url,
        load_key=lambda: _key_from_variable(key_variable, content),
        from_=endpoint.typed_caller(from_) if from_ else None,
        policy=Policy(),
        ca_file=ca_file,
        sources={
            "application_id": id_variable,
            "private_key": key_variable,
            "base_url": url_source,
            "from": "VOICECTL_FROM" if from_ else "nowhere",
            "api_key": accounted.name,
        },
        account=accounted,
        signature=signature_secrets.of_environment(environ),
    )


def _environment_url(environ: Mapping[str, str]) -> tuple[str | None, str]:
    if environ.get("VOICECTL_BASE_URL"):
        return environ["VOICECTL_BASE_URL"], "VOICECTL_BASE_URL"
    if environ.get("VOICECTL_REGION"):
        return hosts.region_url(environ["VOICECTL_REGION"]), "VOICECTL_REGION"
    return None, "built in"


def _read_key(path: Path) -> RSAPrivateKey:
    from voicectl.core.identity import keys  # noqa: PLC0415 (loads cryptography)

    return keys.parse(files.read_private(path, what="private key"), where=str(path))


def _key_from_variable(variable: str, content: str) -> RSAPrivateKey:
    """Return the private key from the value of an environment variable.

    Args:
        variable: The name of the variable, for error messages.
        content: The value: the path of a PEM file, PEM text, or PEM text encoded in base64. Error messages do not
            contain the value, since it may be a key.
    """
    from voicectl.core.identity import keys  # noqa: PLC0415 (loads cryptography)

    if "-----BEGIN" in content or content.strip().startswith(_BASE64_BEGIN):
        return keys.parse(content, where=variable)
    path = files.user_path(content)
    if not os.path.lexists(path):
        raise ConfigError(
            f"{variable} is neither a private key nor the path of a file.",
            hint="Set it to the path of a PEM file, or to PEM text, or to the base64 of PEM text.",
        )
    return _read_key(path)


def _directory(environ: Mapping[str, str], ours: str, xdg: str, home: str, otherwise: str) -> Path:
    if environ.get(ours):
        return files.user_path(environ[ours]).absolute()
    if environ.get(xdg) and Path(environ[xdg]).is_absolute():
        return Path(environ[xdg]) / "voicectl"
    if sys.platform == "linux" and environ.get("HOME"):
        return Path(environ["HOME"]) / home / "voicectl"
    import platformdirs  # noqa: PLC0415 (takes 9 ms, and is needed only if no rule above applies)

    return Path(getattr(platformdirs, otherwise)("voicectl", appauthor=False))
