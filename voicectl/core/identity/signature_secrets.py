"""The signature secrets with which webhooks are verified, by account.

They come from the chosen profile, ``VOICECTL_SIGNATURE_SECRET``, ``VONAGE_SIGNATURE_SECRET``, or the default profile;
in a rehearsal, from its sandbox. There are one or two, one per line: two while the secret is being changed.
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
    """The source of signature secrets, which are not read before :func:`load`.

    Attributes:
        name: Name of the source, for messages.
        api_key: The account of the secrets, if the source names it.
        text: The secrets, or None if they are in the file *path*.
    """

    name: str
    api_key: str | None
    text: str | None = None
    path: Path | None = None


def of_environment(environ: Mapping[str, str]) -> SignatureSource | None:
    """Return the source ``VOICECTL_SIGNATURE_SECRET`` or ``VONAGE_SIGNATURE_SECRET``; None if neither is set."""
    for family in _FAMILIES:
        name = f"{family}_SIGNATURE_SECRET"
        if environ.get(name):
            return SignatureSource(
                name, environ.get(f"{family}_API_KEY", "").strip() or None, text=environ[name]
            )
    return None


def beside(private_key: Path, api_key: str | None, source: str) -> SignatureSource | None:
    """Return the source of a secret next to *private_key*, which need not exist; None if there is no secret."""
    path = private_key.with_suffix(".signature-secret")
    return SignatureSource(source, api_key, path=path) if path.exists() else None


def load(source: SignatureSource | None) -> Callable[[], Secrets] | None:
    """Return a function that returns the secrets of *source* by account; None if there is no source.

    The function is cheap enough to call for each webhook: it reads the file again only when that has changed, and
    returns the last secrets while the file cannot be read.

    Raises:
        ConfigError: The secrets are malformed, or others can read their file.
    """
    if source is None:
        return None
    if source.path is None:
        secrets = {source.api_key: _parse(source.text or "", source.name)}
        return lambda: secrets
    return _File(source.path, source.api_key)


class _File:
    """The secrets in a file; calling it returns them."""

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
            f"The signature secret in {where} is malformed: it must be one line of ASCII, or two during a change.",
            hint="Copy it again from the account's settings in the dashboard.",
        )
    return found


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
