"""Key files in the forms that users have: those that work, those that do not, and a name for each."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Maker = Callable[[RSAPrivateKey], bytes]

PASSWORD = BestAvailableEncryption(b"correct horse")


def pkcs8(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pkcs1(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def public(key: RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def of_bits(bits: int) -> RSAPrivateKey:
    """Return an RSA key of about *bits* bits without delay: its primes are Mersenne primes."""
    exponents = (127, 521, 607, 1279, 2203, 2281, 3217, 4253, 4423, 9689, 9941, 11213)
    pairs = ((one, other) for one in exponents for other in exponents if one < other)
    one, other = min(pairs, key=lambda pair: abs(sum(pair) - bits))
    p, q = 2**one - 1, 2**other - 1
    phi = (p - 1) * (q - 1)
    e = next(e for e in range(65_537, 70_000, 2) if math.gcd(e, phi) == 1)
    d = pow(e, -1, phi)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def certificate(key: RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "voicectl.example")])
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end).sign(key, SHA256())
    return made.public_bytes(Encoding.PEM)


def request(key: RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "voicectl.example")])
    made = x509.CertificateSigningRequestBuilder(name).sign(key, SHA256())
    return made.public_bytes(Encoding.PEM)


def _private(key: object, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())  # type: ignore[attr-defined, no-any-return]


def _elliptic(form: PrivateFormat) -> bytes:
    return _private(ec.generate_private_key(ec.SECP256R1()), form)


def _puttys(key: RSAPrivateKey) -> bytes:
    body = base64.encodebytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    return b"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPrivate-Lines: 14\n" + body


def _json_web_key(key: RSAPrivateKey) -> bytes:
    number = key.private_numbers().d
    text = base64.urlsafe_b64encode(number.to_bytes(256, "big")).decode()
    return json.dumps({"kty": "RSA", "d": text}).encode()


WORKS: dict[str, Maker] = {
    "PKCS#8": pkcs8,
    "PKCS#1": pkcs1,
    "PKCS#8 with CRLF": lambda key: pkcs8(key).replace(b"\n", b"\r\n"),
    "PKCS#1 with CRLF": lambda key: pkcs1(key).replace(b"\n", b"\r\n"),
    "line ends of old Macs": lambda key: pkcs8(key).replace(b"\n", b"\r"),
    "no newline at the end": lambda key: pkcs8(key).rstrip(),
    "a byte order mark": lambda key: b"\xef\xbb\xbf" + pkcs8(key),
    "UTF-16 of Windows": lambda key: pkcs8(key).decode().encode("utf-16"),
    "UTF-16 big-endian": lambda key: b"\xfe\xff" + pkcs8(key).decode().encode("utf-16-be"),
    r"typed \n": lambda key: pkcs8(key).replace(b"\n", rb"\n"),
    r"typed \r\n": lambda key: pkcs1(key).replace(b"\n", rb"\r\n"),
    "spaces for newlines": lambda key: pkcs8(key).replace(b"\n", b" "),
    "one line": lambda key: pkcs8(key).replace(b"\n", b""),
    "indented, as in YAML": lambda key: b"key: |\n  " + pkcs8(key).replace(b"\n", b"\n  "),
    "in quotes": lambda key: b'"' + pkcs8(key) + b'"',
    "empty lines around": lambda key: b"\n\n" + pkcs8(key) + b"\n\n",
    "text before it": lambda key: b"Bag Attributes\n    friendlyName: x\n" + pkcs8(key),
    "text after it": lambda key: pkcs8(key) + b"made in 2026\n",
    "base64 of the PEM": lambda key: base64.b64encode(pkcs8(key)),
    "base64 in lines": lambda key: base64.encodebytes(pkcs1(key)),
    "after its certificate": lambda key: certificate(key) + pkcs8(key),
    "before its certificate": lambda key: pkcs1(key) + certificate(key),
    "after its public half": lambda key: public(key) + pkcs8(key),
    "exponent 3": lambda _: pkcs8(rsa.generate_private_key(public_exponent=3, key_size=2048)),
    "3 482 bits": lambda _: pkcs8(of_bits(3482)),
    "8 676 bits": lambda _: pkcs1(of_bits(8676)),
    "15 636 bits": lambda _: pkcs8(of_bits(15_636)),
}
"""Files that hold a usable key."""

FAILS: dict[str, tuple[Maker, str]] = {
    "nothing": (lambda _: b"", "no PEM block"),
    "blanks": (lambda _: b" \n\t\n", "no PEM block"),
    "prose": (lambda _: b"Correct horse battery staple, it says.\n", "no PEM block"),
    "a public key": (public, "of the kind 'public key'"),
    "a public key of PKCS#1": (
        lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "of the kind 'rsa public key'",
    ),
    "a certificate": (certificate, "of the kind 'certificate'"),
    "a certificate request": (request, "of the kind 'certificate request'"),
    "encrypted PKCS#8": (
        lambda key: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PASSWORD),
        "encrypted; decrypt it: openssl pkey",
    ),
    "encrypted PKCS#1": (
        lambda key: key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PASSWORD),
        "encrypted; decrypt it: openssl pkey",
    ),
    "OpenSSH's own form": (lambda key: _private(key, PrivateFormat.OpenSSH), "ssh-keygen -p -m PEM"),
    "EC": (lambda _: _elliptic(PrivateFormat.TraditionalOpenSSL), "not an RSA key"),
    "EC in PKCS#8": (lambda _: _elliptic(PrivateFormat.PKCS8), "not an RSA key"),
    "Ed25519": (lambda _: _private(ed25519.Ed25519PrivateKey.generate()), "not an RSA key"),
    "X25519": (lambda _: _private(x25519.X25519PrivateKey.generate()), "not an RSA key"),
    "DSA": (lambda _: _private(dsa.generate_private_key(1024)), "not an RSA key"),
    "648 bits": (lambda _: pkcs8(of_bits(648)), "it has 648 bits"),
    "1 886 bits": (lambda _: pkcs1(of_bits(1886)), "it has 1886 bits"),
    "19 630 bits": (lambda _: pkcs8(of_bits(19_630)), "it has 19630 bits"),
    "PuTTY's form": (_puttys, "no PEM block"),
    "a JSON web key": (_json_web_key, "no PEM block"),
    "DER": (
        lambda key: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "no PEM block",
    ),
    "PGP's form": (
        lambda key: pkcs8(key).replace(b"PRIVATE KEY", b"PGP PRIVATE KEY BLOCK"),
        "of the kind 'pgp private key block'",
    ),
    "half of it": (lambda key: pkcs8(key)[:850], "truncated"),
    "no last line": (lambda key: pkcs8(key).rsplit(b"-----END", 1)[0], "truncated"),
    "no first line": (lambda key: pkcs8(key).split(b"\n", 1)[1], "no PEM block"),
    "a line lost": (
        lambda key: b"\n".join(pkcs8(key).split(b"\n")[:5] + pkcs8(key).split(b"\n")[6:]),
        "altered",
    ),
    "another label": (lambda key: pkcs8(key).replace(b"PRIVATE KEY", b"EC PRIVATE KEY"), "unknown type"),
    "an empty block": (
        lambda _: b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "cannot be read",
    ),
    "bytes": (lambda _: bytes(range(256)) * 16, "no PEM block"),
    "NULs": (lambda _: bytes(4096), "no PEM block"),
    "a NUL in it": (lambda key: pkcs8(key).replace(b"\n", b"\n\0", 3), "cannot be read"),
    "a thousand beginnings": (lambda _: b"-----BEGIN A-----\n" * 3600, "truncated"),
    "a beginning without end": (lambda _: b"-----BEGIN " + b"A" * 65_000, "truncated"),
    "10 MB": (lambda key: pkcs8(key) + b"A" * 10_000_000, "larger than 64 KiB"),
}
"""Files without a usable key, each with words of the error message."""
