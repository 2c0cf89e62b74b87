"""The sandbox's certificate authority, which issues certificates for the platform's hosts and for this machine.

A client trusts these certificates only if its user makes it trust the authority. To keep that safe, the authority's
own certificate is constrained: no client that trusts it accepts a certificate for any name outside ``nexmo.com``,
``vonage.com``, ``localhost`` and the loopback addresses.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voicectl.voice.hosts import PLATFORM_HOSTS

THIS_MACHINE = "localhost"
"""The name of the certificate for this machine, which also names the loopback addresses."""

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365

_MARGIN = timedelta(days=1)
"""How long before its creation a certificate becomes valid, for clients whose clocks are slow."""

_PERMITTED = (
    x509.DNSName("nexmo.com"),
    x509.DNSName("vonage.com"),
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
    x509.IPAddress(ipaddress.ip_network("::1/128")),
)
_LOOPBACK = (
    x509.DNSName(THIS_MACHINE),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


class Authority:
    """A certificate authority. The certificates that it issues exist in memory only, and share one key.

    Args:
        key: The authority's private key.
        certificate: The authority's own certificate.
        now: A function that returns the current time, in Unix seconds.
    """

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, now: Callable[[], float]
    ) -> None:
        self._key = key
        self._certificate = certificate
        self._now = now
        self._contexts: dict[str, ssl.SSLContext] = {}

    @classmethod
    def new(cls, now: Callable[[], float]) -> Authority:
        """Create an authority with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        name = _name(f"voicectl sandbox {serial:x}")  # a name of its own, for clients that trust two of them
        certificate = (
            _builder(name, name, key, serial=serial, now=now(), days=AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.NameConstraints(_PERMITTED, excluded_subtrees=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate, now)

    @classmethod
    def from_pem(cls, pem: bytes, now: Callable[[], float]) -> Authority:
        """Return the authority that :meth:`to_pem` wrote.

        Raises:
            ValueError: *pem* is not an authority's key and certificate.
        """
        try:
            key, certificate = load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
        except (TypeError, UnsupportedAlgorithm) as exc:
            raise ValueError("The key cannot be read.") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            raise ValueError("The key and the certificate do not match.")
        return cls(key, certificate, now)

    def to_pem(self) -> bytes:
        """Return the private key and the certificate, in PEM format."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + self.certificate

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, which clients must trust, in PEM format."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def is_lasting(self) -> bool:
        """True if a certificate that is issued now can be valid for its full time."""
        expires = datetime.fromtimestamp(self._now(), UTC) + timedelta(days=SERVER_DAYS)
        return expires < self._certificate.not_valid_after_utc

    @cached_property
    def context_by_name(self) -> ssl.SSLContext:
        """A TLS context for this machine, and for each host of the platform that a client may ask for by name."""

        def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            if name is not None and name.lower() in PLATFORM_HOSTS:
                connection.context = self.context(name.lower())

        context = self._new_context(THIS_MACHINE)
        context.sni_callback = choose
        return context

    def context(self, host: str) -> ssl.SSLContext:
        """Return a TLS context for a server named *host*, with a certificate for this name alone.

        Args:
            host: A host of the platform, in lower case, or :data:`THIS_MACHINE`.

        Raises:
            ValueError: *host* is any other name.
        """
        if host not in PLATFORM_HOSTS and host != THIS_MACHINE:
            raise ValueError(f"No certificate is issued for {host!r}.")
        if host not in self._contexts:
            self._contexts[host] = self._new_context(host)
        return self._contexts[host]

    @cached_property
    def _server_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def _new_context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        pem = self._server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.NamedTemporaryFile(
            prefix="voicectl-"
        ) as file:  # ssl loads certificates from files only
            file.write(pem + self._issue(host).public_bytes(Encoding.PEM) + self.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _issue(self, host: str) -> x509.Certificate:
        names = _LOOPBACK if host == THIS_MACHINE else (x509.DNSName(host),)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        serial = x509.random_serial_number()
        subject, key = _name(host), self._server_key
        return (
            _builder(
                subject, self._certificate.subject, key, serial=serial, now=self._now(), days=SERVER_DAYS
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(**set_: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**(dict.fromkeys(names, False) | set_))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    serial: int,
    now: float,
    days: int,
) -> x509.CertificateBuilder:
    today = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(today - _MARGIN)
        .not_valid_after(today + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
