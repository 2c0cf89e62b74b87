"""Profiles: named applications with their keys and guards, stored in the configuration directory.

``profiles.json`` contains everything except secrets. Each secret is in a file of its own (mode 0600) in the directory
``keys/`` (mode 0700).
"""

from __future__ import annotations

import json
import re
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicectl.core import hosts
from voicectl.core.identity.policy import Policy
from voicectl.errors import ConfigError, InputError
from voicectl.store import files
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SANDBOX = "sandbox"
SECRETS = ("pem", "api-secret", "signature-secret")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A stored profile.

    Attributes:
        base_url: The base URL for requests: the URL that the user gave, the URL of a region, or the platform's URL.
        regions: The base URLs of a sandbox's regions, by region name; empty for a profile on the platform.
        key_command: A command that prints the private key, or None if the key is stored.
        from_: The caller id for new calls, or None if the profile sets none.
        api_key: The account's API key, for APIs that require a key and secret, or None.
        ca_file: A file of CA certificates for TLS, or None to use the default certificates.
        policy: The guards.
    """

    name: str
    application_id: str
    base_url: str = hosts.DEFAULT_BASE_URL
    regions: dict[str, str] = field(default_factory=dict)
    key_command: str | None = None
    from_: str | None = None
    api_key: str | None = None
    ca_file: str | None = None
    policy: Policy = field(default_factory=Policy)

    def to_json(self) -> dict[str, Any]:
        """Return the profile in the format of ``profiles.json``."""
        fields = {
            "application_id": self.application_id,
            "base_url": self.base_url,
            "regions": self.regions or None,
            "key_command": self.key_command,
            "from": self.from_,
            "api_key": self.api_key,
            "ca_file": self.ca_file,
            "guards": self.policy.to_json() or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, name: str, raw: dict[str, Any]) -> Profile:
        """Build a profile from the output of :meth:`to_json`. All fields are checked, since users may edit the file.

        Raises:
            ConfigError: The application id, the base URL or a region is malformed.
            InputError: The caller id or a guard is malformed.
            KeyError: The application id is missing.
            TypeError, AttributeError: A field has the wrong type.
        """
        policy = Policy.from_json(raw.get("guards", {}))
        texts = {field: raw.get(field) for field in ("base_url", "key_command", "from", "api_key", "ca_file")}
        if not all(value is None or isinstance(value, str) for value in texts.values()):
            raise TypeError("a setting is not a string")
        return cls(
            name=name,
            application_id=application_id(raw["application_id"]),
            base_url=hosts.base_url(texts["base_url"] or hosts.DEFAULT_BASE_URL, extra_hosts=policy.hosts),
            regions=hosts.sandbox_regions(raw.get("regions", {})),
            key_command=texts["key_command"],
            from_=None if texts["from"] is None else endpoint.caller(texts["from"]),
            api_key=texts["api_key"],
            ca_file=texts["ca_file"],
            policy=policy,
        )


class ProfileStore:
    """The stored profiles of this user, and their secrets.

    Several processes may change the profiles at the same time: each holds a lock while it reads, changes and writes
    them. Readers need no lock, since files are replaced as a whole.

    Args:
        directory: The configuration directory. It is created when a profile is first stored.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / "profiles.json"

    def names(self) -> list[str]:
        """Return the names of all profiles, sorted."""
        return sorted(self._load()["profiles"])

    @property
    def default(self) -> str | None:
        """The name of the default profile, or None if there is no default."""
        name = self._load().get("default")
        return name if isinstance(name, str) else None

    def get(self, name: str) -> Profile:
        """Return the profile with the given name.

        Raises:
            ConfigError: There is no such profile, or its entry in the file is malformed.
            InputError: *name* is not a valid profile name.
        """
        raw = self._load()["profiles"].get(check_name(name))
        if raw is None:
            raise self._unknown(name)
        try:
            return Profile.from_json(name, raw)
        except (KeyError, TypeError, AttributeError, InputError) as exc:
            why = f": {exc.message}" if isinstance(exc, InputError) else "."
            raise ConfigError(
                f"The profile {name!r} in {self._path} is malformed{why}",
                hint=f"Store it again: voicectl profile add {name} --replace ...",
            ) from exc

    def add(
        self,
        profile: Profile,
        *,
        key: RSAPrivateKey | None,
        api_secret: str | None = None,
        signature_secret: str | None = None,
        replace: bool = False,
        only_given: bool = False,
    ) -> None:
        """Store *profile* and its secrets.

        If there is no default profile, *profile* becomes the default, unless its name is ``sandbox``. If an argument
        for a secret is None, the stored secret is unchanged, unless *only_given* is true.

        Args:
            profile: The profile to store.
            key: The private key, or None to leave it unchanged.
            api_secret: The account's API secret, or None to leave it unchanged.
            signature_secret: The signature secret, or None to leave it unchanged.
            replace: True to replace an existing profile of the same name.
            only_given: True to delete the stored secrets of the replaced profile that no argument replaces.

        Raises:
            InputError: A profile of that name already exists, and *replace* is false.
            ConfigError: A file could not be written, or its permissions allow other users to replace it. Nothing was
                written.
        """
        secrets = {"api-secret": api_secret, "signature-secret": signature_secret}
        if key is not None:
            from voicectl.core.identity import keys  # noqa: PLC0415 (loads cryptography)

            secrets["pem"] = keys.to_pem(key).decode()
        with self._changing() as content:
            if profile.name in content["profiles"] and not replace:
                raise InputError(
                    f"Profile {profile.name!r} already exists.",
                    hint=f"Choose another name, or replace it: voicectl profile add {profile.name} --replace ...",
                )
            files.check_directory(files.private_directory(self._keys), what="keys")
            for kind in SECRETS:
                if (secret := secrets.get(kind)) is not None:
                    files.write_private(self._secret(profile.name, kind), secret.encode())
                elif only_given:
                    self._forget(profile.name, kind)
            content["profiles"][profile.name] = profile.to_json()
            if content.get("default") is None and profile.name != SANDBOX:
                content["default"] = profile.name

    def use(self, name: str) -> None:
        """Make a profile the default.

        Raises:
            ConfigError: There is no such profile, or its entry in the file is malformed.
            InputError: *name* is not a valid profile name, or is ``sandbox``, which cannot be the default.
        """
        self.get(name)
        if name == SANDBOX:
            raise InputError(
                "The profile 'sandbox' cannot be the default: it must be chosen explicitly.",
                hint="Use -p sandbox, or run your script inside 'voicectl sandbox exec'.",
            )
        with self._changing() as content:
            if name not in content["profiles"]:  # another process has just removed it
                raise self._unknown(name)
            content["default"] = name

    def remove(self, name: str) -> None:
        """Remove a profile and its secrets.

        The profile may be malformed. If it was the default, there is no default afterwards.

        Raises:
            ConfigError: There is no such profile, or a file could not be changed.
            InputError: *name* is not a valid profile name.
        """
        if check_name(name) not in self._load()["profiles"]:
            raise self._unknown(name)
        with self._changing() as content:
            content["profiles"].pop(name, None)
            if content.get("default") == name:
                content["default"] = None
            for kind in SECRETS:
                self._forget(name, kind)

    def key_path(self, name: str) -> Path:
        """Return the path of the file for a profile's private key."""
        return self._secret(name, "pem")

    def has_secret(self, name: str, kind: str) -> bool:
        """Return True if the profile's secret of the given kind, one of :data:`SECRETS`, is stored."""
        return self._secret(name, kind).exists()

    def secret(self, name: str, kind: str) -> str | None:
        """Return the profile's secret of the given kind, one of :data:`SECRETS`, or None if it is not stored."""
        path = self._secret(name, kind)
        return files.read_private(path, what=kind).decode() if path.exists() else None

    def _forget(self, name: str, kind: str) -> None:
        path = self._secret(name, kind)
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            raise ConfigError(f"{path} cannot be deleted: {exc.strerror}.") from exc

    @property
    def _keys(self) -> Path:
        return self.directory / "keys"

    def _secret(self, name: str, kind: str) -> Path:
        return self._keys / f"{check_name(name)}.{kind}"

    def _unknown(self, name: str) -> ConfigError:
        there = self.names()
        if name == SANDBOX:
            hint = "Start the sandbox, which creates it: voicectl sandbox start --detach"
        elif there:
            hint = f"Existing profiles: {', '.join(there)}. Add another: voicectl profile add {name}"
        else:
            hint = f"Add it: voicectl profile add {name} --application-id ID --private-key FILE"
        return ConfigError(f"There is no profile {name!r}.", hint=hint)

    def _load(self) -> dict[str, Any]:
        try:
            content = json.loads(files.read_own(self._path, what="profiles file"))
        except FileNotFoundError:
            return {"profiles": {}}
        except (ValueError, RecursionError) as exc:
            raise ConfigError(
                f"The profiles in {self._path} cannot be read: the file is not JSON.",
                hint="Correct the file, or move it elsewhere.",
            ) from exc
        if not isinstance(content, dict) or not isinstance(content.get("profiles"), dict):
            raise ConfigError(
                f"{self._path} contains no profiles.", hint="Correct the file, or move it elsewhere."
            )
        return content

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Yield the content of the profiles file, and write it afterwards. Other processes wait meanwhile.

        Raises:
            ConfigError: The file could not be read, locked or written, or its permissions let other users replace it.
        """
        files.check_directory(files.private_directory(self.directory), what="profiles")
        with ExitStack() as stack:
            try:
                stack.enter_context(files.alone(self.directory))
            except OSError as exc:
                raise ConfigError(
                    f"The profiles in {self.directory} cannot be locked: {exc.strerror}."
                ) from exc
            content = self._load()
            yield content
            files.write_private(self._path, json.dumps(content, indent=2).encode() + b"\n")


def check_name(name: str) -> str:
    """Return *name* if it is a valid profile name.

    Raises:
        InputError: *name* is empty, is longer than 64 characters, does not begin with a letter or digit, or contains
            characters other than letters, digits, ``.``, ``_`` and ``-``.
    """
    if _NAME.fullmatch(name):
        return name
    raise InputError(
        f"{name!r} is not a valid profile name.",
        hint="Use up to 64 letters, digits, dots, hyphens and underscores.",
    )


def application_id(text: str) -> str:
    """Check an application id, and return it in lower case and without surrounding blanks.

    Raises:
        ConfigError: *text* is not a UUID with hyphens.
    """
    text = text.strip()
    try:
        found = str(uuid.UUID(text))
    except ValueError:
        found = ""
    if not found or found != text.lower():
        raise ConfigError(
            f"{text!r} is not an application id.",
            hint="Use a UUID such as 1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8.",
        )
    return found
