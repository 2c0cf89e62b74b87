"""Reading the body that makes or replaces an application, checked as the platform does.

Fields that the reference does not know are kept as they were sent.

Source: Application API v2 reference, "application object".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from voicectl.sandbox.parsing.fields import METHODS, Fields
from voicectl.voice.region import Region

if TYPE_CHECKING:
    from collections.abc import Callable

CONVERSATIONS_TTL = 48
"""Hours that a named conversation lives."""

LEG_PERSISTENCE_TIME = 2
"""Days that the record of a leg can be read."""

MIN_KEY_BITS = 2048
MAX_KEY_BITS = 16_384

_OURS = ("id", "name", "keys", "capabilities", "_links")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an application is to be.

    Attributes:
        public_pem: The public key as it was sent; None if none was. ``public_key`` is the same, read.
        capabilities: Checked, with defaults filled in.
        more: The other fields: ``privacy``, and what is not known.
    """

    name: str
    public_pem: str | None
    public_key: RSAPublicKey | None
    capabilities: dict[str, Any]
    more: dict[str, Any]


def read_application(raw: object) -> Draft:
    """Read a body.

    Raises:
        Invalid: It breaks the rules.
    """
    fields = Fields(raw)
    name = fields.text("name", required=True)
    pem = key = None
    if (keys := fields.inside("keys")) is not None:
        pem, key = _public_key(keys)
    privacy = fields.inside("privacy") or Fields({})
    improves = privacy.flag("improve_ai", default=True)
    capabilities = fields.inside("capabilities") or Fields({})
    read = dict(capabilities.raw)
    for each, read_one in _CAPABILITIES.items():
        if (inside := capabilities.inside(each)) is not None:
            read[each] = read_one(inside)
    fields.done()
    more = {field: value for field, value in fields.raw.items() if field not in _OURS}
    more["privacy"] = privacy.raw | {"improve_ai": improves}
    return Draft(name=name or "", public_pem=pem, public_key=key, capabilities=read, more=more)


def read_public_key(pem: str) -> RSAPublicKey | None:
    """The key that *pem* holds; None unless it is RSA and of a length that can be trusted and borne."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    is_fit = isinstance(key, RSAPublicKey) and MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS
    return key if is_fit else None  # type: ignore[return-value]


def _public_key(keys: Fields) -> tuple[str | None, RSAPublicKey | None]:
    pem = keys.text("public_key")
    key = None if pem is None else read_public_key(pem)
    if pem is not None and key is None:
        keys.refuse("public_key", f"Must be the PEM text of an RSA public key of {MIN_KEY_BITS} bits or more")
    return pem, key


def _voice(fields: Fields) -> dict[str, Any]:
    fields.choice("region", Region)
    webhooks = fields.inside("webhooks") or Fields({})
    return {
        **fields.raw,
        "webhooks": webhooks.raw
        | {
            name: _timed(inside, longest)
            for name, longest in _VOICE_WEBHOOKS.items()
            if (inside := webhooks.inside(name)) is not None
        },
        "signed_callbacks": fields.flag("signed_callbacks", default=True),
        "conversations_ttl": fields.integer("conversations_ttl", 1, 9000, default=CONVERSATIONS_TTL),
        "leg_persistence_time": fields.integer("leg_persistence_time", 1, 31, default=LEG_PERSISTENCE_TIME),
    }


def _rtc(fields: Fields) -> dict[str, Any]:
    fields.integer("leg_persistence_time", 1, 31, default=None)
    return {
        **fields.raw,
        "webhooks": _plain(fields, METHODS, "event_url"),
        "signed_callbacks": fields.flag("signed_callbacks", default=True),
    }


def _messages(fields: Fields) -> dict[str, Any]:
    fields.text("version")
    fields.flag("authenticate_inbound_media")
    return {**fields.raw, "webhooks": _plain(fields, ("POST",), "inbound_url", "status_url")}


def _verify(fields: Fields) -> dict[str, Any]:
    return {**fields.raw, "webhooks": _plain(fields, ("POST",), "status_url")}


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
_VOICE_WEBHOOKS = {"answer_url": 5000, "fallback_answer_url": 5000, "event_url": 10_000}
"""Those of voice, and the longest that each may be waited for, in milliseconds."""


def _plain(fields: Fields, methods: tuple[str, ...], *names: str) -> dict[str, Any]:
    """The webhooks of a capability that knows no timeouts."""
    webhooks = fields.inside("webhooks") or Fields({})
    for name in names:
        if (inside := webhooks.inside(name)) is not None:
            _address(inside, methods)
    return dict(webhooks.raw)


def _timed(fields: Fields, longest: int) -> dict[str, Any]:
    """A webhook of voice. ``connection_timeout`` is an older document's name for ``connect_timeout``."""
    _address(fields, METHODS)
    read = dict(fields.raw)
    older = fields.integer("connection_timeout", 300, 1000, default=None)
    if read.pop("connection_timeout", None) is not None:
        read.setdefault("connect_timeout", older)
    fields.integer("connect_timeout", 300, 1000, default=None)
    fields.integer("socket_timeout", 1000, longest, default=None)
    return read


def _address(fields: Fields, methods: tuple[str, ...]) -> None:
    """Check where a webhook is; an empty address, as the dashboard writes it, is nowhere."""
    if fields.raw.get("address") != "":
        fields.link("address")
    fields.choice("http_method", methods)
