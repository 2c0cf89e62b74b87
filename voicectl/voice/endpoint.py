"""Parsing, labelling and comparing endpoints. A leg connects to an endpoint, such as a phone number.

Source: Voice API reference, "endpoint objects".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.errors import InputError
from voicectl.voice.url import SOCKET, is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.voice.call import Call

LEAST_DIGITS = 7
WEBSOCKET_CONTENT_TYPE = "audio/l16;rate=16000"


class EndpointOption(NamedTuple):
    """An endpoint option: the name of the API field, and the endpoint types that support the option."""

    field: str
    types: tuple[str, ...]


OPTIONS = {
    "dtmf-answer": EndpointOption("dtmfAnswer", ("phone",)),
    "header": EndpointOption("headers", ("sip", "websocket")),
    "content-type": EndpointOption("content-type", ("websocket",)),
    "authorization": EndpointOption("authorization", ("websocket",)),
    "user-to-user": EndpointOption("standard_headers", ("sip",)),
    "shaken": EndpointOption("shaken", ("phone",)),
}

_IN_NCCO = {"standard_headers": "standardHeaders"}
_DIALLED = {"phone": "number", "sip": "uri", "websocket": "uri", "app": "user", "vbc": "extension"}
_ADDRESSES = ("number", "uri", "user", "extension")
_NUMBER = re.compile(r"\+?([1-9][0-9]{6,14})")
_SEPARATORS = r"[ \t\u00a0\u2000-\u200a\u202f\u3000.()\-\u2010-\u2015\u2212]"
_TYPED = rf"\(?(?:\+[ (]{{0,2}})?[0-9](?:{_SEPARATORS}{{0,3}}[0-9])*"
_DECIMAL = r"[0-9]+\.[0-9]{1,2}"
"""Matches a phone number that a spreadsheet has changed to a decimal, such as 447700900001.0."""

_NATIONAL = rf"0.*|\([0-9].*|[2-9][0-9]{{2}}{_SEPARATORS}+[0-9]{{3}}{_SEPARATORS}+[0-9]{{4}}"
"""Matches numbers that lack a country code, such as 07700 900001, (415) 555-0100 and 415-555-0100."""

_SIP = re.compile(r"sips?:(?P<user>[\x21-\x7e]+@)?[\x21-\x3f\x41-\x7e]+", re.IGNORECASE)
"""Matches ``sip:USER@HOST``, and ``sip:HOST``, which names no user. The host cannot be absent."""

_EXTENSION = re.compile(r"[0-9]{1,20}")


def number(text: str) -> str:
    """Return a phone number in E.164 format without the optional ``+``: 7 to 15 ASCII digits, with no leading 0.

    Raises:
        InputError: *text* is not such a number. For example, separators, letters and a leading ``00`` are invalid.
    """
    found = _NUMBER.fullmatch(text)
    if not found:
        raise InputError(
            f"{text!r} is not a phone number.",
            hint="Write it in E.164 format: country code and number, 7 to 15 digits, such as 447700900001.",
        )
    return found[1]


def compact(text: str) -> str:
    """Remove the blanks, dots, dashes and brackets from a phone number, or from the beginning of a phone number.

    From any other text, only leading and trailing blanks are removed.

    Raises:
        InputError: *text* has a bracketed 0 that is not part of the number, as in ``+44 (0)7700 900001``.
    """
    text = text.strip()
    if text.isalnum() or not re.fullmatch(_TYPED, text) or re.fullmatch(_DECIMAL, text):
        return text
    if re.search("[()]", re.sub(r"\([^()]*\)", "", text)):  # a bracket that does not close
        return text
    if (without_zero := re.sub(r"(?<=.)\(\s*0", "(", text)) != text:
        raise InputError(
            f"{text!r} is not a phone number in E.164 format: a 0 in brackets is dialled only within the country.",
            hint=f"Write the number as it is dialled from abroad: {compact(without_zero)}",
        )
    return re.sub(_SEPARATORS, "", text)


def typed(text: str) -> str:
    """Convert a phone number as people write it, such as ``+44 7700 900001``, to E.164 format without the ``+``.

    Raises:
        InputError: *text* is not a phone number, or has no country code. The error contains a hint on how to write
            the number.
    """
    plain = compact(text)
    if plain.isdigit() and len(plain) >= LEAST_DIGITS:
        if plain.startswith("00"):
            raise InputError(
                f"{text!r} is not a phone number in E.164 format: it begins with 00.",
                hint=f"Write it as +{plain[2:]}",
            )
        if re.fullmatch(_NATIONAL, text.strip()):
            where = "in place of the 0" if plain.startswith("0") else "first"
            raise InputError(
                f"{text!r} is not a phone number in E.164 format: the country code is missing.",
                hint=f"Write + and the country code {where}: for example, +44 7700 900001.",
            )
    return number(plain)


def parse(text: str) -> dict[str, Any]:
    """Convert user input to an endpoint object for the API.

    Args:
        text: A phone number as people write it, ``sip:user@host``, ``sip:host``, ``ws://...``, ``wss://...``,
            ``app:NAME`` or ``vbc:EXTENSION``.

    Raises:
        InputError: *text* has none of these formats.
    """
    scheme, colon, rest = text.partition(":")
    match scheme.lower() if colon else "":
        case "sip" | "sips" if _SIP.fullmatch(text):
            return {"type": "sip", "uri": text}
        case "ws" | "wss" if is_url(text, SOCKET):
            return {"type": "websocket", "uri": text, "content-type": WEBSOCKET_CONTENT_TYPE}
        case "app" if rest and rest.isprintable():
            return {"type": "app", "user": rest}
        case "vbc" if _EXTENSION.fullmatch(rest):
            return {"type": "vbc", "extension": rest}
        case "":
            return {"type": "phone", "number": typed(text)}
    raise InputError(
        f"{text!r} is not an endpoint.",
        hint="Write a number such as 447700900001, sip:USER@HOST, wss://HOST/PATH, app:NAME or vbc:NUMBER.",
    )


def caller(text: str) -> str:
    """Convert a caller id, which is a SIP URI or a phone number, to the API's format.

    Raises:
        InputError: *text* is neither a SIP URI nor a phone number.
    """
    return text if _SIP.fullmatch(text) else number(text)


def typed_caller(text: str) -> str:
    """Convert a caller id as people write it, which is a SIP URI or a phone number, to the API's format.

    Raises:
        InputError: *text* is neither a SIP URI nor a phone number.
    """
    return text if _SIP.fullmatch(text) else typed(text)


def with_options(endpoint: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *endpoint* with *options* added.

    The keys of *options* are the same as in :data:`OPTIONS`. The endpoint's type must support each option.
    """
    return endpoint | {OPTIONS[name].field: value for name, value in options.items()}


def names_no_user(endpoint: dict[str, Any]) -> bool:
    """Return True if *endpoint* is a SIP URI without a user, such as ``sip:pbx.example.org``."""
    found = _SIP.fullmatch(str(endpoint.get("uri"))) if endpoint.get("type") == "sip" else None
    return found is not None and found["user"] is None


def in_ncco(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Convert *endpoint* from the field names of the REST API to the field names of an NCCO."""
    return {_IN_NCCO.get(name, name): value for name, value in endpoint.items()}


def websocket_authorization(header: str | None) -> dict[str, str]:
    """Return the field ``authorization`` for a WebSocket endpoint.

    The field selects *header* as the Authorization header. If *header* is None, it selects a token from the platform.
    """
    return {"type": "vonage"} if header is None else {"type": "custom", "value": header}


def dialled(endpoint: dict[str, Any]) -> str | None:
    """Return the address that the platform dials for *endpoint*, or None if *endpoint* has no address."""
    field = _DIALLED.get(str(endpoint.get("type")))
    value = endpoint.get(field) if field else None
    return label(endpoint) if value in (None, "") else str(value)


def shown(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return *endpoint* as records show it: with its type and address, but without DTMF digits or authorization."""
    return {name: endpoint[name] for name in ("type", *_ADDRESSES) if name in endpoint}


def label(endpoint: dict[str, Any]) -> str | None:
    """Return a table label for *endpoint*: its number, URI, user or extension, or None if all of these are absent."""
    for field in _ADDRESSES:
        value = endpoint.get(field)
        if value not in (None, ""):
            return str(value)
    return None


def far_end(call: Call | None) -> str | None:
    """Return the caller of an inbound leg or the callee of an outbound leg, or None if it is not known."""
    return None if call is None else label(call.from_ if call.direction == "inbound" else call.to)


def is_same(shown: object, asked: str) -> bool:
    """Return True if *shown*, an address in a record, is the same as *asked*, ignoring a leading ``+``."""
    return isinstance(shown, str) and shown.removeprefix("+") == asked.removeprefix("+")
