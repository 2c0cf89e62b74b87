"""Endpoints, which legs connect to: parsing of user input, and labels for records.

Source: Voice API reference, "endpoint objects".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

WEBSOCKET_CONTENT_TYPE = "audio/l16;rate=16000"


class EndpointOption(NamedTuple):
    """An option of endpoints: its field in the API, and the types of endpoint that support the option."""

    field: str
    types: tuple[str, ...]


OPTIONS = {
    "dtmf-answer": EndpointOption("dtmfAnswer", ("phone",)),
    "header": EndpointOption("headers", ("sip", "websocket")),
    "content-type": EndpointOption("content-type", ("websocket",)),
    "authorization": EndpointOption("authorization", ("websocket",)),
}

_DIALLED = {"phone": "number", "sip": "uri", "websocket": "uri", "app": "user", "vbc": "extension"}
_ADDRESSES = ("number", "uri", "user", "extension")
_NUMBER = re.compile(r"\+?([1-9][0-9]{6,14})")
_SIP = re.compile(r"sips?:[\x21-\x7e]+@[\x21-\x7e]+")
_WEBSOCKET = re.compile(r"wss?://[\x21-\x7e]+")
_EXTENSION = re.compile(r"[0-9]{1,20}")


def number(text: str) -> str:
    """Return a phone number as E.164 digits without ``+``: 7 to 15 ASCII digits, no leading 0.

    Raises:
        InputError: *text* is not such a number. It may contain separators, letters, ``00`` or non-ASCII digits.
    """
    found = _NUMBER.fullmatch(text)
    if not found:
        raise InputError(
            f"{text!r} is not a phone number.",
            hint="Write it in E.164: country code and number, 7 to 15 digits, such as 447700900001.",
        )
    return found[1]


def parse(text: str) -> dict[str, Any]:
    """Convert user input to the API's endpoint object.

    Args:
        text: ``447700900001``, ``sip:user@host``, ``ws://...``, ``wss://...``, ``app:NAME`` or ``vbc:EXTENSION``.

    Raises:
        InputError: *text* has another form.
    """
    scheme, colon, rest = text.partition(":")
    match scheme.lower() if colon else "":
        case "sip" | "sips" if _SIP.fullmatch(text):
            return {"type": "sip", "uri": text}
        case "ws" | "wss" if _WEBSOCKET.fullmatch(text):
            return {"type": "websocket", "uri": text, "content-type": WEBSOCKET_CONTENT_TYPE}
        case "app" if rest and rest.isprintable():
            return {"type": "app", "user": rest}
        case "vbc" if _EXTENSION.fullmatch(rest):
            return {"type": "vbc", "extension": rest}
        case "":
            return {"type": "phone", "number": number(text)}
    raise InputError(
        f"{text!r} is not an endpoint.",
        hint="Write a number such as 447700900001, sip:USER@HOST, wss://HOST/PATH, app:NAME or vbc:NUMBER.",
    )


def caller(text: str) -> str:
    """Return a caller id, which is a SIP URI or a phone number, in the format of the API.

    Raises:
        InputError: *text* is neither.
    """
    return text if _SIP.fullmatch(text) else number(text)


def with_options(endpoint: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *endpoint* with *options* added, which are named as in :data:`OPTIONS` and must suit its type."""
    return endpoint | {OPTIONS[name].field: value for name, value in options.items()}


def websocket_authorization(header: str | None) -> dict[str, str]:
    """Return the authorization of a WebSocket: *header*, or a token of the platform if *header* is None."""
    return {"type": "vonage"} if header is None else {"type": "custom", "value": header}


def dialled(endpoint: dict[str, Any]) -> str | None:
    """Return the address that the platform dials for an endpoint object, or None if the object has no address."""
    field = _DIALLED.get(str(endpoint.get("type")))
    value = endpoint.get(field) if field else None
    return label(endpoint) if value in (None, "") else str(value)


def shown(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return an endpoint object as records show it, without DTMF digits and authorization."""
    return {name: endpoint[name] for name in ("type", *_ADDRESSES) if name in endpoint}


def label(endpoint: dict[str, Any]) -> str | None:
    """Return an endpoint object's number, URI, user or extension as a label for tables, or None if it has none."""
    for field in _ADDRESSES:
        value = endpoint.get(field)
        if value not in (None, ""):
            return str(value)
    return None


def is_same(shown: object, asked: str) -> bool:
    """Return True if a record's address equals the requested one, ignoring the ``+`` of a number."""
    return isinstance(shown, str) and shown.removeprefix("+") == asked.removeprefix("+")
