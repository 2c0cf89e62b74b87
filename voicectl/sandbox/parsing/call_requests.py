"""Readers for Voice API requests. Each reader checks the whole body, and reports all errors together.

Source: Voice API reference, the section on each operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.errors import InputError
from voicectl.sandbox.parsing.endpoints import read_endpoint, read_event_url
from voicectl.sandbox.parsing.fields import METHODS, Fields
from voicectl.sandbox.parsing.ncco import read_detection, read_ncco, read_stream, read_talk
from voicectl.sandbox.telephony.actions import LENGTH_TIMER, RINGING_TIMER, Flow, Order, Webhook
from voicectl.sandbox.telephony.sounds import Prompt
from voicectl.voice import endpoint

MAX_LENGTH_TIMER = 86_400


class Verb(StrEnum):
    """The values of ``action`` in the body of ``PUT /v1/calls/{uuid}``."""

    HANGUP = "hangup"
    MUTE = "mute"
    UNMUTE = "unmute"
    EARMUFF = "earmuff"
    UNEARMUFF = "unearmuff"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change that a ``PUT /v1/calls/{uuid}`` request describes. ``flow`` is set only for a transfer."""

    verb: Verb
    flow: Flow = ()


def read_create(body: object) -> Order:
    """Return the call that the body of a ``POST /v1/calls`` request describes.

    Raises:
        Invalid: A field of the body is missing or invalid.
    """
    with Fields(body) as fields:
        callee = fields.only("to")
        to, digits = read_endpoint(callee, "standard_headers") if callee is not None else ({}, None)
        return Order(
            to=to,
            dtmf_answer=digits,
            from_=_caller(fields),
            flow=_answer(fields),
            events=read_event_url(fields),
            detection=read_detection(fields, "machine_detection", "advanced_machine_detection"),
            ringing_timer=fields.integer("ringing_timer", 1, 120, default=RINGING_TIMER),
            length_timer=fields.integer("length_timer", 1, MAX_LENGTH_TIMER, default=LENGTH_TIMER),
        )


def read_change(body: object) -> Change:
    """Return the change that the body of a ``PUT /v1/calls/{uuid}`` request describes.

    Raises:
        Invalid: A field of the body is missing or invalid.
    """
    with Fields(body) as fields:
        verb = fields.choice("action", Verb, required=True)
        destination = fields.inside("destination", required=True) if verb is Verb.TRANSFER else None
        flow = () if destination is None else _destination(destination)
        return Change(verb=verb or Verb.HANGUP, flow=flow)


def read_rest_talk(body: object) -> Prompt:
    """Return the speech that the body of a ``PUT /v1/calls/{uuid}/talk`` request describes.

    Raises:
        Invalid: A field of the body is missing or invalid.
    """
    with Fields(body, is_lenient=True) as fields:
        prompt = read_talk(fields)
        fields.text("voice_name")
    return prompt


def read_rest_stream(body: object) -> Prompt:
    """Return the audio that the body of a ``PUT /v1/calls/{uuid}/stream`` request describes.

    Raises:
        Invalid: A field of the body is missing or invalid.
    """
    with Fields(body, is_lenient=True) as fields:
        return read_stream(fields, "stream_url")


def read_rest_dtmf(body: object) -> str:
    """Return the digits, sent as a string or a number, from the body of a ``PUT /v1/calls/{uuid}/dtmf`` request.

    Raises:
        Invalid: A field of the body is missing or invalid.
    """
    with Fields(body) as fields:
        raw = fields.raw.get("digits")
        if isinstance(raw, int) and not isinstance(raw, bool):
            fields.raw = {"digits": str(raw)}
        return fields.keys("digits", required=True) or ""


def read_listener(body: object) -> str:
    """Return the ``event_url`` from the body of a ``PUT /v1/calls/{uuid}/input/dtmf`` request.

    Raises:
        Invalid: A field of the body is missing or invalid.
    """
    with Fields(body) as fields:
        return fields.url("event_url", required=True, or_text=True) or ""


def _caller(fields: Fields) -> dict[str, Any]:
    """Return the caller in the format of call records.

    If the request asks for a random number, return an empty dictionary.
    """
    if fields.flag("random_from_number"):
        if "from" in fields.raw:
            fields.refuse("from", "Is not supported together with random_from_number")
        return {}
    raw = fields.raw.get("from")
    if isinstance(raw, str) and raw.startswith(("sip:", "sips:")):
        return {"type": "sip", "uri": raw}
    caller = fields.inside("from", required=True)
    if caller is None:
        return {}
    if caller.text("type", required=True) not in ("phone", None):
        caller.refuse("type", "Must be phone")
    number = caller.text("number", required=True)
    try:
        return {} if number is None else {"type": "phone", "number": endpoint.caller(number)}
    except InputError:
        caller.refuse("number", "Must be a phone number in E.164 format, 7 to 15 digits, or a SIP URI")
        return {}


def _answer(fields: Fields) -> Flow:
    given = [name for name in ("ncco", "answer_url") if name in fields.raw]
    method = fields.choice("answer_method", METHODS) or "GET"
    match given:
        case ["ncco"]:
            return read_ncco(fields.raw["ncco"], fields.errors)
        case ["answer_url"]:
            return Webhook(url=fields.url("answer_url") or "", method=method)
        case _:
            fields.refuse("ncco", "Exactly one of ncco and answer_url must be given")
            return ()


def _destination(fields: Fields) -> Flow:
    fields.choice("type", ("ncco",), required=True)
    if ("ncco" in fields.raw) == ("url" in fields.raw):
        fields.refuse("ncco", "Exactly one of ncco and url must be given")
        return ()
    if "ncco" in fields.raw:
        return read_ncco(fields.raw["ncco"], fields.errors, "destination.ncco")
    return Webhook(url=fields.url("url") or "")
