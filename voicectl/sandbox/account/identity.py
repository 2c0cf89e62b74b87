"""The identity of a sandbox, which consists of an account and an application, and the options of a sandbox."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from voicectl.sandbox.destinations import Destinations

APPLICATION_ID_PREFIX = "5a4db0c5-"
"""The prefix of the ids of all sandbox applications. No real application has an id with this prefix."""

NUMBER = "442079460000"
KEY_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of a sandbox: its account and its own application.

    Attributes:
        public_key: The public key, in PEM format, with which the application's tokens are verified.
        api_key: The account's API key. The attributes ``api_secret`` and ``signature_secret`` also belong to the
            account.
        number: The phone number from which the account calls by default, in E.164 format without ``+``.
    """

    application_id: str
    public_key: str
    api_key: str
    api_secret: str = field(repr=False)
    signature_secret: str = field(repr=False)
    number: str = NUMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a sandbox.

    Attributes:
        seed: The seed for ids, trace ids and random choices.
        speed: The speed of the call clock relative to the host clock, greater than 0.
        frozen: True if the call clock moves only when a client advances it.
        settle: The time after a leg's creation in which requests to change the leg are refused, in seconds on the
            call clock.
        limits: True if the rate limits are applied.
        destinations: The hosts to which webhooks and WebSockets may connect.
        far_ends: For phone numbers of other parties, the last three digits of a number reserved for fiction, whose
            party behaves as this one should.
    """

    seed: int
    speed: float = 1.0
    frozen: bool = False
    settle: float = 0.0
    limits: bool = True
    destinations: Destinations = field(default_factory=Destinations)
    far_ends: Mapping[str, str] = field(default_factory=dict)


def new_identity() -> tuple[Identity, str]:
    """Create an identity with new keys and secrets.

    Returns:
        The identity, and the application's private key as PKCS#8 PEM.
    """
    private, public = new_key_pair()
    identity = Identity(
        application_id=APPLICATION_ID_PREFIX + str(uuid.uuid4())[len(APPLICATION_ID_PREFIX) :],
        public_key=public,
        api_key=secrets.token_hex(4),
        api_secret=secrets.token_urlsafe(12),
        signature_secret=secrets.token_urlsafe(24),
    )
    return identity, private


def new_key_pair() -> tuple[str, str]:
    """Create an RSA key pair.

    Returns:
        The private key as PKCS#8 PEM, and the public key as SubjectPublicKeyInfo PEM.
    """
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()
