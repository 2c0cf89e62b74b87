"""The signature secrets with which webhooks are verified, by account.

The secrets come from the first of these sources that has them: the chosen profile, ``VOICECTL_SIGNATURE_SECRET``,
``VONAGE_SIGNATURE_SECRET`` and the default profile. If ``VOICECTL_SANDBOX`` is set, the secrets come from the
sandbox. A source contains one secret. While the secret is being changed, it contains two secrets, each on a separate
line.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from voicectl.errors import ConfigError
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Secrets = Mapping[str | None, tuple[str, ...]]

MAX_SECRETS = 2

_FAMILIES = ("VOICECTL", "VONAGE")


class SignatureSource(NamedTuple):
    """The source of signature secrets. The secrets in a file are read only when :func:`load` is called.

    Attributes:
        name: The name of the source, for messages.
        api_key: The API key of the account to which the secrets belong, or None if the source does not name it.
        text: The secrets, or None if they are in the file *path*.
        path: The file that contains the secrets, or None if they are in *text*.
    """

    name: str
    api_key: str | None
    text: str | None = None
    path: Path | None = None


def of_environment(environ: Mapping[str, str]) -> SignatureSource | None:
    """Return the source for the signature secrets in the environment, or None if there are none.

    The variable ``VOICECTL_SIGNATURE_SECRET`` is used if it is set. If it is not, ``VONAGE_SIGNATURE_SECRET`` is
    used.
    """
    for family in _FAMILIES:
        name = f"{family}_SIGNATURE_SECRET"
        if environ.get(name):
            return SignatureSource(
                name, environ.get(f"{family}_API_KEY", "").strip() or None, text=environ[name]
            )
    return None


def beside(private_key: Path, api_key: str | None, source: str) -> SignatureSource | None:
    """Return the source for the signature secrets stored next to *private_key*, or None if none are stored.

    The file *private_key* itself need not exist.
    """
    path = private_key.with_suffix(".signature-secret")
    return SignatureSource(source, api_key, path=path) if path.exists() else None


def load(source: SignatureSource | None) -> Callable[[], Secrets] | None:
    """Return a function that returns the secrets from *source* by account, or None if *source* is None.

    The function is fast enough to be called for each webhook, since it reads the file again only if the file has
    changed. While the file cannot be read, the function returns the secrets that it read last.

    Raises:
        ConfigError: The secrets are malformed, or other users can read the file that contains them.
    """
    if source is None:
        return None
    if source.path is None:
        secrets = {source.api_key: _parse(source.text or "", source.name)}
        return lambda: secrets
    return _File(source.path, source.api_key)


class _File:
    """A callable that returns the secrets in a file, by account."""

    def __init__(self, path: Path, api_key: str | None) -> None:
        self._path = path
        self._api_key = api_key
        self._stamp = _stamp(path)
        self._secrets = self._read()

    def __call__(self) -> Secrets:
        with suppress(OSError, ConfigError):
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._secrets = self._read()
                self._stamp = stamp
        return self._secrets

    def _read(self) -> Secrets:
        content = files.read_private(self._path, what="signature secret")
        return {self._api_key: _parse(content.decode("utf-8", "replace"), str(self._path))}


def _parse(text: str, where: str) -> tuple[str, ...]:
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not 0 < len(found) <= MAX_SECRETS or not all(each.isascii() and each.isprintable() for each in found):
        raise ConfigError(
            f"The signature secret in {where} is malformed: it must be one line of ASCII, or two lines"
            " while the secret is being changed.",
            hint="Copy it again from the account's settings in the dashboard.",
        )
    return found


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
