"""Files for TLS with a sandbox: its certificate authority, and the certificates that programs must trust."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import certifi

from voicectl.errors import ConfigError
from voicectl.sandbox.tls.authority import Authority
from voicectl.store import files

DIRECTORY = "sandbox-tls"
"""The name of the directory in the configuration directory."""

AUTHORITY = "authority.pem"
BUNDLE = "ca-certificates.pem"

VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""The variables that name a file of certificates for most programs, Python's requests, curl and Node."""


def stored_authority(directory: Path, now: Callable[[], float]) -> Authority:
    """Return the authority whose key is stored in *directory*.

    If the directory contains no authority, or one that will soon expire, a new one is created and stored.

    Args:
        now: A function that returns the current time, in Unix seconds.

    Raises:
        ConfigError: The stored key cannot be read, or other users can read it.
    """
    path = files.private_directory(directory) / AUTHORITY
    if path.exists():
        try:
            found = Authority.from_pem(files.read_private(path, what="key of the sandbox's authority"), now)
        except ValueError as exc:
            raise ConfigError(
                f"{path} does not hold a certificate authority.",
                hint="Delete the file; 'voicectl sandbox start --tls' creates a new one.",
            ) from exc
        if found.is_lasting:
            return found
    made = Authority.new(now)
    files.write_private(path, made.to_pem())
    return made


def write_bundles(directory: Path, certificate: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the files of certificates to trust, and return their paths by variable.

    Programs that are given these files can still reach other servers. Each file holds the certificates that the
    variable names already or, if it is not set, those that the system trusts, and also *certificate*.

    Args:
        directory: The directory for the files. Earlier files are replaced.
        certificate: The certificate of the sandbox's authority, in PEM format.
        environ: The environment variables.

    Raises:
        ConfigError: A file that a variable names cannot be read, or a file cannot be written.
    """
    paths: dict[str, str] = {}
    for variable in VARIABLES:
        before = environ.get(variable)
        path = directory / (f"{variable.lower()}.pem" if before else BUNDLE)
        try:
            content = Path(before).read_bytes() if before else _system_certificates()
        except OSError as exc:
            raise ConfigError(
                f"The certificates that {variable} names cannot be read: {exc.strerror}.",
                hint=f"Correct {variable}, or unset it.",
            ) from exc
        if certificate not in content:  # the variable may name an earlier file of ours
            content = content.rstrip() + b"\n" + certificate
        if str(path) not in paths.values():
            files.write_private(path, content)
        paths[variable] = str(path)
    return paths


def _system_certificates() -> bytes:
    """Return the CA certificates that the system trusts, in PEM format."""
    paths = ssl.get_default_verify_paths()
    if (whole := Path(paths.openssl_cafile)).is_file():
        return whole.read_bytes()
    if hashed := sorted(Path(paths.openssl_capath).glob("*.[0-9]")):
        return b"\n".join(path.read_bytes() for path in hashed)
    return Path(certifi.where()).read_bytes()
