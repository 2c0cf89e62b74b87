"""Readers for endpoints and event URLs.

Source: Voice API reference, "endpoint objects"; NCCO reference, "connect".
"""

from __future__ import annotations

import re
from typing import Any

from voicectl.errors import InputError
from voicectl.sandbox.parsing.fields import METHODS, Fields
from voicectl.sandbox.telephony.actions import Webhook
from voicectl.voice import endpoint

MAX_USER_TO_USER = 256

UNKNOWN = "unknown"
"""The caller id that a phone shows if ``connect`` does not call from a phone number."""

_SIP = re.compile(r"sips?:([\x21-\x7e]+@)?[\x21-\x3f\x41-\x7e]+", re.IGNORECASE)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")

_CONTENT_TYPES = ("audio/l16;rate=8000", "audio/l16;rate=16000", "audio/l16;rate=24000")
"""The allowed content types of a WebSocket: 16-bit linear audio at one of three sample rates, in hertz."""


def read_endpoint(fields: Fields, standard_headers: str) -> tuple[dict[str, Any], str | None]:
    """Return an endpoint, and the keys to press when the party at the endpoint answers.

    Args:
        fields: The endpoint object.
        standard_headers: The name of the field for standard SIP headers: ``standardHeaders`` in an NCCO, or
            ``standard_headers`` in the REST API.

    Returns:
        Two values: the endpoint, in the format of call records, and the keys to press (None if there are none). For a
        WebSocket, the endpoint also has ``content-type``, ``headers`` and, if given, ``authorization``.
    """
    match fields.text("type", required=True):
        case "phone":
            fields.text("shaken")
            number = fields.number("number", required=True)
            return {"type": "phone", "number": number}, fields.keys("dtmfAnswer")
        case "sip":
            return {"type": "sip"} | _sip(fields, standard_headers), None
        case "app":
            return {"type": "app", "user": fields.text("user", required=True)}, None
        case "vbc":
            return {"type": "vbc", "extension": fields.text("extension", required=True)}, None
        case "websocket":
            return {"type": "websocket"} | _websocket(fields), None
        case str():
            fields.refuse("type", "Must be one of phone, sip, app, vbc, websocket")
    return {}, None


def read_on_answer(callee: Fields) -> tuple[Webhook | None, str | None]:
    """Return the settings in the ``onAnswer`` option of a phone that ``connect`` calls.

    Returns:
        The webhook for an NCCO that runs for the callee before the parties are connected, and the URL of the tone
        that the caller hears during that time. Each of the two values is None if the option does not contain it.
    """
    options = callee.inside("onAnswer") if callee.raw.get("type") == "phone" else None
    if options is None:
        return None, None
    url = options.link("url", required=True)
    tone, older = read_tone(options), read_tone(options, "ringback")
    return None if url is None else Webhook(url=url), tone or older


def read_event_url(fields: Fields) -> Webhook | None:
    """Return the webhook that ``event_url`` and ``event_method`` describe, or None if there is no URL."""
    url = fields.url("event_url")
    method = fields.choice("event_method", METHODS) or "POST"
    return None if url is None else Webhook(url=url, method=method)


def read_ncco_event_url(fields: Fields, *, required: bool = False) -> Webhook | None:
    """Return the webhook that ``eventUrl`` and ``eventMethod`` describe, or None if there is no URL.

    Unless the URL is required, an empty array is accepted, because the platform's Node client sends such an
    array if there is no URL.
    """
    is_empty = fields.raw.get("eventUrl") == [] and not required
    url = None if is_empty else fields.url("eventUrl", required=required)
    method = fields.choice("eventMethod", METHODS) or "POST"
    return None if url is None else Webhook(url=url, method=method)


def read_tone(fields: Fields, name: str = "ringbackTone") -> str | None:
    """Return the URL of the tone in the field *name*, or None if the field is absent.

    The documented type is a string. An array is also accepted, because the platform's Python client sends one.
    """
    return fields.url(name) if isinstance(fields.raw.get(name), list) else fields.link(name)


def read_caller(fields: Fields, callee: dict[str, Any]) -> str | None:
    """Return the caller id in the ``from`` option of a ``connect`` to *callee*, or None if it is absent.

    A caller id that is not a phone number is kept unless the callee is a phone. A phone shows an unknown caller.
    """
    text = fields.text("from")
    if text is None:
        return None
    try:
        return endpoint.number(text)
    except InputError:
        return UNKNOWN if callee.get("type") == "phone" else text


def _sip(fields: Fields, standard_headers: str) -> dict[str, Any]:
    headers = fields.inside("headers") or Fields({})
    for name in headers.raw:
        headers.text(name)
    standard = fields.inside(standard_headers) or Fields({})
    if len(standard.text("User-to-User") or "") > MAX_USER_TO_USER:
        standard.refuse("User-to-User", f"Must be at most {MAX_USER_TO_USER} characters long")
    if "user" in fields.raw or "domain" in fields.raw:
        if "uri" in fields.raw:
            fields.refuse("uri", "Is not supported together with user and domain")
        return {"user": fields.text("user", required=True), "domain": fields.text("domain", required=True)}
    uri = fields.text("uri", required=True)
    if uri is not None and not _SIP.fullmatch(uri):
        fields.refuse(
            "uri", "Must be sip: or sips:, followed by USER@HOST or HOST, in visible ASCII characters"
        )
    return {"uri": uri}


def _websocket(fields: Fields) -> dict[str, Any]:
    headers = fields.inside("headers")
    read = {
        "uri": fields.link("uri", "ws", "wss", required=True),
        "content-type": fields.choice("content-type", _CONTENT_TYPES, required=True),
        "headers": {} if headers is None else headers.sent,
    }
    authorization = fields.inside("authorization")
    return read if authorization is None else read | {"authorization": _authorization(authorization)}


def _authorization(fields: Fields) -> dict[str, str]:
    kind = fields.choice("type", ("vonage", "custom")) or "vonage"
    value = fields.text("value")
    if value is not None and not _HEADER_VALUE.fullmatch(value):
        fields.refuse("value", "Must be a value that an HTTP header can hold")
    if kind == "vonage":
        return {"type": kind}
    if "value" not in fields.raw:
        fields.refuse("value", "Is required with the type custom")
    return {"type": kind, "value": value or ""}
