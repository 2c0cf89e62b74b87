"""Functions that read and check the body of a request that creates or replaces an application.

Fields that the API reference does not mention are kept unchanged.

Source: Application API v2 reference, "application object".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from voicectl.sandbox.parsing.fields import METHODS, Fields
from voicectl.voice.call import Region

CONVERSATIONS_TTL = 48
"""The default lifetime of a named conversation, in hours."""

LEG_PERSISTENCE_TIME = 2
"""The default number of days for which a leg's record can be read after the leg has ended."""

MIN_KEY_BITS = 2048
MAX_KEY_BITS = 16_384

_OURS = ("id", "name", "keys", "capabilities", "_links")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public key of an application, as PEM text and as a key object."""

    pem: str
    rsa: RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The settings of an application, as read from the body of a request.

    Attributes:
        key: The public key, or None if no key was sent.
        capabilities: The checked capabilities, keyed by name, with defaults filled in.
        more: All other fields: ``privacy``, and the fields that the API reference does not mention.
    """

    name: str
    key: PublicKey | None
    capabilities: dict[str, Any]
    more: dict[str, Any]


def read_application(raw: object) -> Draft:
    """Read the settings of an application from *raw*, the parsed body of a request.

    Raises:
        Invalid: A field is missing or invalid.
    """
    with Fields(raw) as fields:
        name = fields.text("name", required=True) or ""
        key = _public_key(fields.inside("keys") or Fields({}))
        privacy = fields.inside("privacy") or Fields({})
        improves = privacy.flag("improve_ai", default=True)
        capabilities = fields.inside("capabilities") or Fields({})
        read = dict(capabilities.raw)
        for each, read_one in _CAPABILITIES.items():
            if (inside := capabilities.inside(each)) is not None:
                read[each] = read_one(inside)
    more = {field: value for field, value in fields.raw.items() if field not in _OURS}
    more["privacy"] = privacy.raw | {"improve_ai": improves}
    return Draft(name=name, key=key, capabilities=read, more=more)


def read_public_key(pem: str) -> PublicKey:
    """Read an RSA public key from *pem*, a text in PEM format.

    Raises:
        ValueError: *pem* contains no RSA key, or the key is too short to be secure or too long to process quickly.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm as exc:
        raise ValueError(str(exc)) from exc
    if not isinstance(key, RSAPublicKey) or not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
        raise ValueError(f"not an RSA key of {MIN_KEY_BITS} to {MAX_KEY_BITS} bits")
    return PublicKey(pem, key)


def _public_key(keys: Fields) -> PublicKey | None:
    pem = keys.text("public_key")
    try:
        return None if pem is None else read_public_key(pem)
    except ValueError:
        keys.refuse("public_key", f"Must be the PEM text of an RSA public key of {MIN_KEY_BITS} bits or more")
        return None


def _voice(fields: Fields) -> dict[str, Any]:
    fields.choice("region", Region)
    return {
        **fields.raw,
        "webhooks": _webhooks(fields, answer_url=5000, fallback_answer_url=5000, event_url=10_000),
        "signed_callbacks": fields.flag("signed_callbacks", default=True),
        "conversations_ttl": fields.integer("conversations_ttl", 1, 9000, default=CONVERSATIONS_TTL),
        "leg_persistence_time": fields.integer("leg_persistence_time", 1, 31, default=LEG_PERSISTENCE_TIME),
    }


def _rtc(fields: Fields) -> dict[str, Any]:
    fields.integer("leg_persistence_time", 1, 31, default=None)
    return {
        **fields.raw,
        "webhooks": _webhooks(fields, event_url=None),
        "signed_callbacks": fields.flag("signed_callbacks", default=True),
    }


def _messages(fields: Fields) -> dict[str, Any]:
    fields.text("version")
    fields.flag("authenticate_inbound_media")
    return {**fields.raw, "webhooks": _webhooks(fields, ("POST",), inbound_url=None, status_url=None)}


def _verify(fields: Fields) -> dict[str, Any]:
    return {**fields.raw, "webhooks": _webhooks(fields, ("POST",), status_url=None)}


def _vbc(fields: Fields) -> dict[str, Any]:
    for name in fields.raw:
        fields.refuse(name, "Is not allowed: vbc must be empty")
    return {}


_CAPABILITIES: dict[str, Callable[[Fields], dict[str, Any]]] = {
    "voice": _voice,
    "rtc": _rtc,
    "messages": _messages,
    "verify": _verify,
    "vbc": _vbc,
}


def _webhooks(fields: Fields, methods: tuple[str, ...] = METHODS, **longest: int | None) -> dict[str, Any]:
    """Check the webhooks of a capability, and return the settings of the webhooks, keyed by name.

    An empty address is accepted, because the platform's dashboard stores an empty address for a webhook that is not
    set.

    Args:
        fields: The fields of the capability.
        methods: The allowed HTTP methods.
        longest: The maximum ``socket_timeout`` of each webhook to check, in milliseconds. None means that any
            time-out is allowed.
    """
    webhooks = fields.inside("webhooks") or Fields({})
    read = dict(webhooks.raw)
    for name, milliseconds in longest.items():
        if (inside := webhooks.inside(name)) is not None:
            if inside.raw.get("address") != "":
                inside.link("address")
            inside.choice("http_method", methods)
            if milliseconds is not None:
                read[name] = _timed(inside, milliseconds)
    return read


def _timed(fields: Fields, longest: int) -> dict[str, Any]:
    """Check the time-outs of a webhook, and return the settings of the webhook.

    In older documentation, the field ``connect_timeout`` has the name ``connection_timeout``. A field with the older
    name is accepted, and is returned with the newer name.

    Args:
        fields: The settings of the webhook.
        longest: The maximum ``socket_timeout``, in milliseconds.
    """
    read = dict(fields.raw)
    older = fields.integer("connection_timeout", 300, 1000, default=None)
    if read.pop("connection_timeout", None) is not None:
        read.setdefault("connect_timeout", older)
    fields.integer("connect_timeout", 300, 1000, default=None)
    fields.integer("socket_timeout", 1000, longest, default=None)
    return read
