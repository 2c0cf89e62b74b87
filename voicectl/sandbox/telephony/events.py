"""Functions that return the JSON fields of webhook events.

Source: webhook reference, "call status events" and "action events".
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.state import Direction, Leg
from voicectl.times import rfc3339
from voicectl.voice.call import CallStatus
from voicectl.voice.endpoint import label

RATE = Decimal("0.01270000")
"""The price of every call, in EUR per minute."""

NETWORK = "23410"
"""The mobile country code and mobile network code (MCCMNC) of all outside parties."""

BAD_NCCO = "Syntax error in NCCO. Invalid value type or action."
"""The ``reason`` of the ``error`` event for an NCCO that cannot be run."""

SIP_PREFIX = "SipHeader_"
"""The prefix of the names of SIP headers in the parameters of an answer webhook."""

_PENNY = Decimal("0.00000001")


def duration(leg: Leg) -> int:
    """Return the billed duration of *leg* in whole seconds, or 0 if it was not answered or has not ended."""
    if leg.answered_at is None or leg.ended_at is None:
        return 0
    return max(1, math.ceil((leg.ended_at - leg.answered_at) / 1000))


def price(seconds: int) -> str:
    """Return the price of a call that lasted *seconds*, in EUR."""
    return f"{(RATE * seconds / 60).quantize(_PENNY):f}"  # str() would write 0E-8


def parties(leg: Leg) -> dict[str, str]:
    """Return the ``from`` and ``to`` fields for webhook events about *leg*, as strings."""
    caller, callee = label(leg.from_), label(leg.to)
    return {"from": caller or "Unknown", "to": callee or "Unknown"}


def answer(leg: Leg) -> dict[str, str]:
    """Return the parameters of the request to the answer webhook for *leg*. The sender adds ``region_url``."""
    callers = (
        {"from_user": leg.from_["user"]} if leg.from_.get("type") == "app" else {"from": parties(leg)["from"]}
    )
    outside = leg.from_ if leg.direction is Direction.INBOUND else leg.to
    return {
        "to": parties(leg)["to"],
        **callers,
        "uuid": leg.uuid,
        "conversation_uuid": leg.conversation.uuid,
        "endpoint_type": str(outside.get("type", "phone")),
        **leg.order.sip_headers,
    }


def status(leg: Leg, at: int, **more: Any) -> dict[str, Any]:
    """Return the event that reports the current status of *leg*.

    Args:
        leg: The leg, whose status has already changed.
        at: The time of the event on the call clock, in milliseconds since 1970.
        more: The optional fields ``detail``, ``sip_code`` and ``disconnected_by``. Fields that are None are omitted.
    """
    fields: dict[str, Any] = {
        "headers": _headers(leg),
        **parties(leg),
        "uuid": leg.uuid,
        "conversation_uuid": leg.conversation.uuid,
        "status": leg.status,
        "direction": leg.direction,
        "timestamp": rfc3339(at),
    }
    if leg.status is CallStatus.ANSWERED:
        fields |= {"start_time": None, "rate": None, "network": None}
    elif leg.status is CallStatus.COMPLETED:
        seconds = duration(leg)
        fields |= {
            "start_time": rfc3339(leg.answered_at) if leg.answered_at is not None else None,
            "end_time": rfc3339(at),
            "duration": str(seconds),
            "rate": str(RATE),
            "price": price(seconds),
            "network": NETWORK,
        }
    return fields | _given(more)


def _headers(leg: Leg) -> dict[str, Any]:
    """Return the headers of the WebSocket that *leg* calls, or the SIP headers that its caller sent."""
    if leg.is_socket:
        return dict(leg.to.get("headers", {}))
    return {name.removeprefix(SIP_PREFIX): value for name, value in leg.order.sip_headers.items()}


def detection(leg: Leg, at: int, verdict: str, sub_state: str | None) -> dict[str, Any]:
    """Return an event that reports *verdict*, a result of answering machine detection on *leg*."""
    fields = {
        "call_uuid": leg.uuid,
        **parties(leg),
        "status": verdict,
        "conversation_uuid": leg.conversation.uuid,
        "timestamp": rfc3339(at),
    }
    return fields | _given({"sub_state": sub_state})


def disconnected(leg: Leg, at: int) -> dict[str, Any]:
    """Return the ``disconnected`` event for *leg*, whose WebSocket was closed by the application."""
    return {
        **parties(leg),
        "uuid": leg.uuid,
        "conversation_uuid": leg.conversation.uuid,
        "status": "disconnected",
        "headers": leg.to.get("headers", {}),
        "timestamp": rfc3339(at),
    }


def transfer(leg: Leg, at: int, left: str, entered: str) -> dict[str, Any]:
    """Return the ``transfer`` event for *leg*, which moved from conversation *left* to conversation *entered*."""
    return {
        "conversation_uuid_from": left,
        "conversation_uuid_to": entered,
        "uuid": leg.uuid,
        "type": "transfer",
        "timestamp": rfc3339(at),
    }


def taken(
    leg: Leg, at: int, dtmf: dict[str, Any], speech: dict[str, Any], *, is_old: bool = False
) -> dict[str, Any]:
    """Return an ``input`` event with *dtmf*, the result for key presses, and *speech*, the result for speech.

    If *is_old* is True, the event has its oldest form, which reports only key presses. In this form, the field
    ``dtmf`` is a string of digits.
    """
    result = {"speech": speech, "dtmf": dtmf}
    if is_old:
        result = {"dtmf": dtmf["digits"], "timed_out": dtmf["timed_out"]}
    return {
        **result,
        **parties(leg),
        "uuid": leg.uuid,
        "conversation_uuid": leg.conversation.uuid,
        "timestamp": rfc3339(at),
    }


def pressed(leg: Leg, at: int, digit: str, *, is_old: bool = False) -> dict[str, Any]:
    """Return an ``input`` event that reports a press of the key *digit*. For *is_old*, see :func:`taken`."""
    return taken(leg, at, {"digits": digit, "timed_out": False}, {"results": []}, is_old=is_old)


def notify(leg: Leg, at: int, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a ``notify`` event with *payload*, the payload in the ``notify`` action."""
    return {"payload": payload, "conversation_uuid": leg.conversation.uuid, "timestamp": rfc3339(at)}


def error(leg: Leg, at: int, reason: str) -> dict[str, Any]:
    """Return an ``error`` event with the given reason."""
    return {"reason": reason, "conversation_uuid": leg.conversation.uuid, "timestamp": rfc3339(at)}


def recorded(recording: Recording, at: int, url: str, size: int) -> dict[str, Any]:
    """Return a ``record`` event, which reports a finished recording.

    Args:
        recording: The recording, which has ended.
        at: The time of the event on the call clock, in milliseconds since 1970.
        url: The ``recording_url`` in the event.
        size: The size of the audio file, in bytes.
    """
    return {
        "start_time": rfc3339(recording.started),
        "end_time": rfc3339(recording.started if recording.ended is None else recording.ended),
        "recording_url": url,
        "recording_uuid": recording.uuid,
        "size": size,
        "conversation_uuid": recording.conversation_uuid,
        "timestamp": rfc3339(at),
    }


def transcribed(recording: Recording, url: str) -> dict[str, Any]:
    """Return a ``transcribed`` event for *recording*, whose transcription is at *url*. The event has no timestamp."""
    return {
        "conversation_uuid": recording.conversation_uuid,
        "type": "record",
        "recording_uuid": recording.uuid,
        "status": "transcribed",
        "transcription_url": url,
    }


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
