"""Files of the CA certificates that programs must trust to reach a sandbox by TLS.

These files hold the certificates that the programs would trust otherwise, and the sandbox's own. So programs that are
given such a file can still reach other servers.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import certifi

from voicectl.errors import ConfigError

VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""The variables that name a file of certificates for most programs, Python's requests, curl and Node."""

BUNDLE = "ca-certificates.pem"


def write_bundles(directory: Path, certificate: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the files of certificates to trust, and return their paths by variable.

    A variable that is set already keeps its certificates, since its file may be stricter than the system's.

    Args:
        directory: The directory, in which files of an earlier sandbox are replaced.
        certificate: The certificate of the sandbox's authority, in PEM format.
        environ: The environment variables, which may name files.

    Raises:
        ConfigError: A file that is named by a variable cannot be read, or a file cannot be written.
    """
    paths: dict[str, str] = {}
    for variable in VARIABLES:
        before = environ.get(variable)
        path = directory / (f"{variable.lower()}.pem" if before else BUNDLE)
        try:
            content = Path(before).read_bytes() if before else system_certificates()
            path.write_bytes(content.rstrip() + b"\n" + certificate)
        except OSError as exc:
            raise ConfigError(
                f"The certificates of {variable} cannot be extended: {exc.strerror}: {exc.filename}.",
                hint=f"Correct {variable}, or unset it.",
            ) from exc
        paths[variable] = str(path)
    return paths


def system_certificates() -> bytes:
    """Return the CA certificates that the system trusts, in PEM format."""
    paths = ssl.get_default_verify_paths()
    if paths.openssl_cafile and Path(paths.openssl_cafile).is_file():
        return Path(paths.openssl_cafile).read_bytes()
    hashed = sorted(Path(paths.openssl_capath).glob("*.[0-9]"))
    if hashed:
        return b"\n".join(path.read_bytes() for path in hashed)
    return Path(certifi.where()).read_bytes()
