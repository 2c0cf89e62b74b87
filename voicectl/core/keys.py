"""Private keys: any sane form of PEM in, an RSA key out, and no byte of it in an error.

Source: Vonage documentation on JWT, "keys": PKCS#8 as the platform hands out, PKCS#1 as ``ssh-keygen`` makes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from voicectl.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_BITS = 2048
MAX_PEM_BYTES = 65_536
COMMAND_SECONDS = 10

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def parse(content: bytes | str, *, where: str) -> RSAPrivateKey:
    r"""Read a private key as people have it: PKCS#1 or PKCS#8, CRLF, a byte order mark, a typed ``\n``, or base64.

    The key's numbers are not checked against each other (25 ms at 2048 bits): :func:`check` does that once.

    Args:
        where: Names the source in the error.

    Raises:
        ConfigError: It is not an RSA private key of 2048 bits or more; in one line, without a byte of it.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    block = _find_block(data)
    if block is None:
        raise _refused(where, "it holds no PEM block (-----BEGIN PRIVATE KEY-----)")
    kind = _BLOCK.fullmatch(block)[1].decode()  # type: ignore[index]  # it is what _BLOCK found
    if "PUBLIC" in kind or "CERTIFICATE" in kind:
        raise _refused(where, f"it is a {kind.lower()}, not a private key")
    try:
        key = load_pem_private_key(block, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise _refused(where, "it is encrypted; decrypt it: openssl pkey -in FILE -out KEY.pem") from None
    except (ValueError, UnsupportedAlgorithm, OverflowError):
        raise _refused(
            where, "its PEM block cannot be read: cut short, altered, or of an unknown kind"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise _refused(where, "it is not an RSA key, the one kind that the platform takes")
    if key.key_size < MIN_BITS:
        raise _refused(where, f"it has {key.key_size} bits; RSA of {MIN_BITS} or more is needed")
    return key


def check(key: RSAPrivateKey, *, where: str) -> None:
    """Check once, when a key is stored, that it signs what its public half verifies.

    Raises:
        ConfigError: It does not: the numbers in the file do not belong together.
    """
    probe = b"voicectl"
    try:
        signature = key.sign(probe, PKCS1v15(), SHA256())
        key.public_key().verify(signature, probe, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError, OverflowError):
        raise _refused(where, "it is damaged: what it signs does not verify") from None


def from_command(command: str) -> RSAPrivateKey:
    """Run *command* without a shell and read the key it prints within 10 seconds and 64 KiB.

    Raises:
        ConfigError: It cannot be run, fails, takes too long, prints too much, or no key.
    """
    where = "what the key command prints"
    try:
        words = shlex.split(command)
        process = subprocess.Popen(  # noqa: S603 (the user's own command, word by word)
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not a command line"
        raise ConfigError(
            f"The key command cannot be run: {why}.", hint="Check the profile's key command."
        ) from exc
    with process:
        content = _read_bounded(process)
    if process.returncode:
        raise ConfigError(
            f"The key command ended with status {process.returncode}.", hint="Run it by hand to see why."
        )
    return parse(content, where=where)


def fingerprint(key: RSAPublicKey) -> str:
    """``SHA256:`` and 64 hex digits: the hash of the public key's DER form."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + hashlib.sha256(der).hexdigest()


def to_pem(key: RSAPrivateKey) -> bytes:
    """The one form in which keys are stored: PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_bounded(process: subprocess.Popen[bytes]) -> bytes:
    """What *process* prints; it and its children are ended at the limit of time or size."""
    import os  # noqa: PLC0415 (with threading: used by few)
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    def end() -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    timer = threading.Timer(COMMAND_SECONDS, end)
    timer.start()
    try:
        content = process.stdout.read(MAX_PEM_BYTES + 1) if process.stdout else b""
        if len(content) > MAX_PEM_BYTES:
            end()
            raise ConfigError(
                "The key command prints over 64 KiB.", hint="It must print a key and nothing else."
            )
        process.wait()
    finally:
        is_late = not timer.is_alive()
        timer.cancel()
    if is_late:
        raise ConfigError(
            f"The key command took longer than {COMMAND_SECONDS} s.", hint="Run it by hand to see why."
        )
    return content


def _find_block(data: bytes) -> bytes | None:
    """The first PEM block, with line ends as they should be."""
    if len(data) > MAX_PEM_BYTES:
        return None
    for candidate in (data, _unbase64(data)):
        text = (
            candidate.replace(b"\\r", b"")
            .replace(b"\\n", b"\n")
            .replace(b"\r\n", b"\n")
            .replace(b"\r", b"\n")
        )
        found = _BLOCK.search(text)
        if found:
            return found[0]
    return None


def _unbase64(data: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        return b""


def _refused(where: str, why: str) -> ConfigError:
    return ConfigError(
        f"The private key in {where} cannot be used: {why}.",
        hint="Use the private key that was made with the application: RSA, PEM, not encrypted.",
    )
