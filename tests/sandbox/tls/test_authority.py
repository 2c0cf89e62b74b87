"""The certificates of the sandbox's authority, and the names for which it cannot issue any."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from voicectl.clock import SystemClock
from voicectl.sandbox.tls.authority import THIS_MACHINE, Authority
from voicectl.voice.hosts import PLATFORM_HOSTS

now = SystemClock().time  # clients check certificates by the machine's clock


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new(now)


def shake_hands(server: ssl.SSLContext, trusted: bytes, name: str) -> None:
    """Perform a TLS handshake with *server*, as a client that expects *name*."""
    client = ssl.create_default_context(cadata=trusted.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=_serve, args=(server, theirs))
        thread.start()
        try:
            client.wrap_socket(ours, server_hostname=name).close()
        finally:
            ours.close()
            thread.join()


def _serve(context: ssl.SSLContext, sock: socket.socket) -> None:
    with suppress(OSError):  # the client refused the certificate
        context.wrap_socket(sock, server_side=True).close()


@pytest.mark.parametrize("host", sorted(PLATFORM_HOSTS))
def test_a_host_of_the_platform_gets_a_certificate(authority: Authority, host: str) -> None:
    shake_hands(authority.context(host), authority.certificate, host)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_gets_a_certificate(authority: Authority, name: str) -> None:
    shake_hands(authority.context(THIS_MACHINE), authority.certificate, name)


def test_a_certificate_is_for_one_name(authority: Authority) -> None:
    for name in ("rest.nexmo.com", "localhost", "x.api.nexmo.com"):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(authority.context("api.nexmo.com"), authority.certificate, name)


def test_the_certificate_of_another_authority_does_not_help(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority.context("api.nexmo.com"), Authority.new(now).certificate, "api.nexmo.com")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "*.nexmo.com",
        "nexmo.com",
        "api.nexmo.com\n",
        "api.nexmo.com\nexample.org",
        "api.nexmo.com\0.example.org",
        "API.NEXMO.COM",
        "api.nexmo.com.",
        "api.nexmo.com:443",
        "x.api.nexmo.com",
        "example.org",
        "127.0.0.1",
        "a" * 10_000,
    ],
)
def test_no_other_name_gets_a_certificate(authority: Authority, name: str) -> None:
    with pytest.raises(ValueError, match="No certificate is issued"):
        authority.context(name)


@pytest.mark.parametrize("name", ["example.org", "nexmo.com.example.org", "192.0.2.1", "api.nexmo.com"])
def test_a_stolen_key_is_good_for_no_other_name(authority: Authority, name: str, tmp_path) -> None:
    server = forged(authority, name, tmp_path / "forged.pem")

    if name == "api.nexmo.com":  # the control: the forgery itself is sound
        shake_hands(server, authority.certificate, name)
        return
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(server, authority.certificate, name)


def forged(authority: Authority, name: str, path) -> ssl.SSLContext:
    """Return a TLS context with a certificate that someone issued with the authority's own key."""
    pem = authority.to_pem()
    key, issuer = load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
    today = datetime.fromtimestamp(now(), UTC)
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(pem.partition(b"-----BEGIN CERT")[0] + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_no_other_authority_can_be_derived(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.certificate)

    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.path_length == 0


def test_a_stored_authority_is_the_same(authority: Authority) -> None:
    again = Authority.from_pem(authority.to_pem(), now)

    assert again.certificate == authority.certificate
    shake_hands(again.context("api.nexmo.com"), authority.certificate, "api.nexmo.com")


@pytest.mark.parametrize("damage", ["", "the key alone", "another key", "encrypted", "nonsense"])
def test_damaged_files_are_refused(authority: Authority, damage: str) -> None:
    key, begin, certificate = authority.to_pem().partition(b"-----BEGIN CERT")
    pem = {
        "": b"",
        "the key alone": key,
        "another key": Authority.new(now).to_pem().partition(begin)[0] + begin + certificate,
        "encrypted": load_pem_private_key(key, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        + begin
        + certificate,
        "nonsense": b"nonsense",
    }[damage]

    with pytest.raises(ValueError):  # noqa: PT011 (its message depends on what is damaged)
        Authority.from_pem(pem, now)


def test_an_authority_that_will_soon_expire_is_not_lasting(authority: Authority) -> None:
    days = 24 * 60 * 60

    def is_lasting_in(seconds: float) -> bool:
        return Authority.from_pem(authority.to_pem(), lambda: now() + seconds).is_lasting

    assert is_lasting_in(0)
    assert is_lasting_in(3000 * days)
    assert not is_lasting_in(3300 * days)
