"""Who the sandbox is: one application of one account, with keys of its own; and how it is to run."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from voicectl.loopback import is_loopback

APPLICATION_ID_PREFIX = "5a4db0c5-"
"""How every sandbox application id begins, so that one can be told from a real application's."""

NUMBER = "442079460000"
KEY_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An application and its account.

    Attributes:
        public_key: PEM; checks the application's tokens.
        private_key_path: Told to clients on this machine; never opened here.
        api_key: The account's; so are ``api_secret`` and ``signature_secret``.
        number: The account's one number, E.164 without ``+``.
    """

    application_id: str
    public_key: str
    private_key_path: str
    api_key: str
    api_secret: str = field(repr=False)
    signature_secret: str = field(repr=False)
    number: str = NUMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a sandbox runs.

    Attributes:
        seed: Ids, trace ids and chance follow from it.
        speed: How many times faster than the host clock the call clock runs; above 0.
        frozen: The call clock moves by ``advance`` only.
        settle: Seconds of the call clock for which a new leg refuses to be changed.
        limits: Whether there are rate limits.
        allow_hosts: Hosts off loopback that webhooks and WebSockets may go to.
    """

    seed: int
    speed: float = 1.0
    frozen: bool = False
    settle: float = 0.0
    limits: bool = True
    allow_hosts: tuple[str, ...] = ()

    def may_reach(self, url: str) -> bool:
        """Return whether *url* is on this machine, or on one of ``allow_hosts``, in whatever case.

        A rehearsal must not reach production.
        """
        try:
            parts = urlsplit(url)
            host, _port = (parts.hostname or "").lower(), parts.port
        except ValueError:  # of the port, too
            return False
        return is_loopback(host) or host in {each.lower() for each in self.allow_hosts}


def new_identity(private_key_path: str = "") -> tuple[Identity, str]:
    """Make an application with fresh keys and secrets.

    Args:
        private_key_path: Where the caller will keep the private key.

    Returns:
        The identity, and its private key as PKCS#8 PEM.
    """
    private, public = new_key_pair()
    identity = Identity(
        application_id=APPLICATION_ID_PREFIX + str(uuid.uuid4())[len(APPLICATION_ID_PREFIX) :],
        public_key=public,
        private_key_path=private_key_path,
        api_key=secrets.token_hex(4),
        api_secret=secrets.token_urlsafe(12),
        signature_secret=secrets.token_urlsafe(24),
    )
    return identity, private


def new_key_pair() -> tuple[str, str]:
    """Make the keys of an application: private as PKCS#8 PEM, and public as SubjectPublicKeyInfo PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()
