"""Private keys: reading RSA keys in any common form of PEM. No error message contains any part of a key.

Source: Vonage documentation on JWT, "keys": keys that the platform generates are in PKCS#8 form, and keys that
``ssh-keygen`` generates are in PKCS#1 form.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import select
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
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
    import subprocess
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_BITS = 2048
MAX_BITS = 16_384
MAX_PEM_BYTES = 65_536
COMMAND_SECONDS = 10.0

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")


def parse(content: bytes | str, *, where: str) -> RSAPrivateKey:
    r"""Parse a private key in any common form of PEM.

    The key may be in PKCS#1 or PKCS#8 form. The text may have CRLF line ends, a byte order mark or literal ``\n``,
    and may be encoded in base64. This function does not check that the key's numbers match each other, since such a
    check takes 25 ms for a key of 2048 bits. To check a key once, use :func:`check`.

    Args:
        where: The name of the source, for the error message.

    Raises:
        ConfigError: *content* is not an RSA private key of 2048 to 16,384 bits. The message contains no part of
            *content*.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    kind, block = _find_block(data, where)
    if not kind.endswith("PRIVATE KEY"):
        raise _refused(where, f"it is a PEM block of the kind {kind.lower()!r}, not a private key")
    if kind.startswith("OPENSSH"):
        raise _refused(where, "it is in OpenSSH format; convert it: ssh-keygen -p -m PEM -f FILE")
    try:
        key = load_pem_private_key(block, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise _refused(where, "it is encrypted; decrypt it: openssl pkey -in FILE -out KEY.pem") from None
    except (ValueError, UnsupportedAlgorithm, OverflowError, InternalError):
        raise _refused(
            where, "its PEM block cannot be read: it is truncated, altered or of an unknown type"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise _refused(where, "it is not an RSA key, the only type that the platform accepts")
    if not MIN_BITS <= key.key_size <= MAX_BITS:
        raise _refused(
            where, f"it has {key.key_size} bits; an RSA key of {MIN_BITS} to {MAX_BITS} bits is needed"
        )
    return key


def check(key: RSAPrivateKey, *, where: str) -> None:
    """Check that signatures made with a private key can be verified with its public key.

    Args:
        where: The name of the source, for the error message.

    Raises:
        ConfigError: The signatures cannot be verified, because the key's numbers do not match each other.
    """
    probe = b"voicectl"
    try:
        signature = key.sign(probe, PKCS1v15(), SHA256())
        key.public_key().verify(signature, probe, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError, OverflowError, InternalError):
        raise _refused(where, "it is damaged: its signatures do not verify") from None


def from_command(command: str, *, within: float = COMMAND_SECONDS) -> RSAPrivateKey:
    """Run *command* without a shell, and return the private key that the command prints.

    Args:
        within: How long the command may take, in seconds, before it is killed together with its children.

    Raises:
        ConfigError: The command cannot be run, fails, takes too long, prints more than 64 KiB, or prints no usable
            key.
    """
    import shlex  # noqa: PLC0415 (rarely needed, like the next import)
    import subprocess  # noqa: PLC0415

    try:
        process = subprocess.Popen(  # noqa: S603 (the user's own command, split into words)
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not a valid command line"
        raise ConfigError(
            f"The key command cannot be run: {why}.", hint="Check the profile's key command."
        ) from exc
    with process:
        try:
            content = _read_bounded(process, within)
        except BaseException:  # including signals, so that voicectl does not wait for a command that hangs
            _end(process)
            raise
    if process.returncode:
        raise ConfigError(
            f"The key command exited with status {process.returncode}.", hint="Run it by hand to see why."
        )
    return parse(content, where="the output of the key command")


def fingerprint(key: RSAPublicKey) -> str:
    """Return the fingerprint of a public key: ``SHA256:`` and the SHA-256 of its DER encoding, in hexadecimal."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + hashlib.sha256(der).hexdigest()


def to_pem(key: RSAPrivateKey) -> bytes:
    """Return the key as PEM in PKCS#8 form, the format in which keys are stored."""
    form = PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def _read_bounded(process: subprocess.Popen[bytes], within: float) -> bytes:
    """Wait until *process* has closed its output and ended, and return the output.

    Raises:
        ConfigError: The output is larger than 64 KiB, or the process did not end in time.
    """
    import subprocess  # noqa: PLC0415 (see from_command)

    assert process.stdout is not None  # noqa: S101 (stdout is a pipe)
    give_up = time.monotonic() + within
    content = b""
    output = process.stdout.fileno()
    while select.select([output], [], [], max(give_up - time.monotonic(), 0))[0]:
        part = os.read(output, MAX_PEM_BYTES)
        content += part
        if len(content) > MAX_PEM_BYTES:
            raise ConfigError(
                "The key command printed more than 64 KiB.", hint="It must print a key and nothing else."
            )
        if not part:
            try:
                process.wait(max(give_up - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                break
            return content
    raise ConfigError(f"The key command took longer than {within:g} s.", hint="Run it by hand to see why.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and its children.

    Call this function before waiting for *process*. After the wait, another process group could have the same id.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _find_block(data: bytes, where: str) -> tuple[str, bytes]:
    """Return the kind and text of a PEM block in *data*.

    The block is the first one that contains a private key. If no block does, the first block of any kind is returned.

    Raises:
        ConfigError: *data* is larger than 64 KiB, or contains no complete PEM block.
    """
    if len(data) > MAX_PEM_BYTES:
        raise _refused(where, "it is larger than 64 KiB")
    found: list[tuple[str, bytes]] = []
    has_begun = False
    for candidate in (data, _unbase64(data)):
        text = _plain(candidate)
        has_begun = has_begun or b"-----BEGIN " in text
        found += _blocks(text)
    for kind, block in found:
        if kind.endswith("PRIVATE KEY"):
            return kind, block
    if found:
        return found[0]
    if has_begun:
        raise _refused(where, "its PEM block is truncated: it has no END line")
    raise _refused(where, "it contains no PEM block (-----BEGIN PRIVATE KEY-----)")


def _plain(data: bytes) -> bytes:
    """Return *data* with LF line ends. UTF-16, which some Windows editors write, is converted to UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    data = data.replace(b"\\r", b"").replace(b"\\n", b"\n")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _blocks(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and text of each complete PEM block in *text*, in time linear in the length of *text*."""
    at = 0
    while begin := _BEGIN.search(text, at):
        mark = b"-----END " + begin[1] + b"-----"
        end = text.find(mark, begin.end())
        at = begin.end() if end < 0 else end + len(mark)
        if end >= 0:
            yield begin[1].decode(), text[begin.start() : at]


def _unbase64(data: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        return b""


def _refused(where: str, why: str) -> ConfigError:
    return ConfigError(
        f"The private key in {where} cannot be used: {why}.",
        hint="Use the private key generated with the application: RSA, PEM, not encrypted.",
    )
