"""The outside party, whose behaviour follows from the last three digits of its number.

Numbers 447700900000-447700900999 are reserved for fiction, so dialling a rehearsal's number for real rings no phone.
A number outside them, and digits without a rule of their own, act like 000: a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from voicectl.sandbox.telephony.sounds import Prompt, Sound
from voicectl.voice.call import CallStatus

RINGING_AFTER = 0.5
"""Seconds from ``started`` to ``ringing``."""

PHRASES = (
    "yes",
    "no",
    "hello",
    "help",
    "operator",
    "sales",
    "support",
    "one two three four",
    "I would like to speak to somebody",
    "please call me back tomorrow",
)
"""The phrases of numbers that end in 700, 701 ..., repeated from 710 on."""

_FICTION = "447700900"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The failure of a call before it is answered.

    Attributes:
        after: Seconds from ``ringing``, or from ``started`` if it never rings.
        rings: True if the far end rings first.
        detail: The platform's word for the reason.
        sip_code: The carrier's code for the reason.
    """

    status: CallStatus
    after: float
    rings: bool = False
    detail: str | None = None
    sip_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FarEnd:
    """The behaviour of one outside party.

    Attributes:
        answers_after: Seconds of ringing; None: it does not answer by itself.
        refusal: The failure of a call to it; None: it can answer.
        hangs_up_after: Seconds from the answer; None: it stays until the flow ends.
        is_machine: True if voicemail picks up.
        beeps_after: Seconds from the answer; None: it never beeps.
        keys: The keys that it presses when asked, one each time, in turn; empty for none.
        phrase: The phrase that it says when asked to speak; None for none.
    """

    answers_after: float | None = 2
    refusal: Refusal | None = None
    hangs_up_after: float | None = None
    is_machine: bool = False
    beeps_after: float | None = None
    keys: str = ""
    phrase: str | None = None


PERSON = FarEnd()
"""A person: answers after 2 s, says nothing, stays."""

DECLINED = Refusal(status=CallStatus.REJECTED, after=2, rings=True, detail="declined", sip_code=603)
"""The failure of a call that its party declines."""

UNKNOWN_USER = Refusal(status=CallStatus.UNANSWERED, after=1, detail="unavailable", sip_code=480)
"""The failure of a call to an app user that does not exist."""

GREETING = Prompt(
    sound=Sound.SPEECH,
    content={"text": "Nobody can take your call now. Please leave a message after the tone, and hang up."},
    once=6.0,
)
"""The greeting of voicemail, before its beep if there is one."""

_BY_DIGITS = {
    "200": FarEnd(refusal=Refusal(status=CallStatus.BUSY, after=1, sip_code=486)),
    "201": FarEnd(refusal=DECLINED),
    "202": FarEnd(answers_after=None),
    "203": FarEnd(refusal=Refusal(status=CallStatus.FAILED, after=1, detail="cannot_route", sip_code=404)),
    "204": FarEnd(refusal=Refusal(status=CallStatus.UNANSWERED, after=5, detail="unavailable", sip_code=480)),
    "205": FarEnd(refusal=Refusal(status=CallStatus.REJECTED, after=0, detail="invalid_number")),
    "300": FarEnd(answers_after=3, is_machine=True, beeps_after=6, hangs_up_after=66),
    "301": FarEnd(answers_after=3, is_machine=True, hangs_up_after=150),
    "600": FarEnd(answers_after=None),
}


def called(endpoint: dict[str, Any]) -> FarEnd:
    """Return the behaviour of the party at *endpoint* when it is called.

    For SIP URIs and extensions it follows from the last three digits of the user part, wherever they stand. An app
    user of any name answers after 1 s; a WebSocket when it is connected.
    """
    match endpoint["type"]:
        case "phone":
            number = str(endpoint["number"])
            return _by_digits(number[-3:]) if _is_fiction(number) else PERSON
        case "app":
            return FarEnd(answers_after=1)
        case "sip":
            user = endpoint.get("user") or endpoint["uri"].partition(":")[2].partition("@")[0]
            return _by_digits(_last_digits(user))
        case "websocket":
            return FarEnd(answers_after=None)  # it answers when the connection opens
        case _:
            return _by_digits(_last_digits(endpoint["extension"]))


def calling(number: str) -> FarEnd:
    """Return the behaviour of the party at *number* once its own call is answered."""
    digits = number[-3:] if _is_fiction(number) else ""
    return _by_digits(digits) if digits[:1] in ("1", "5", "7") else PERSON


def _by_digits(digits: str) -> FarEnd:
    if digits in _BY_DIGITS:
        return _BY_DIGITS[digits]
    match digits[:1]:
        case "1":
            return FarEnd(keys=digits[1:])
        case "4":
            return FarEnd(answers_after=int(digits[1:]))
        case "5":
            return FarEnd(hangs_up_after=int(digits[1:]))
        case "7":
            return FarEnd(phrase=PHRASES[int(digits[1:]) % len(PHRASES)])
    return PERSON


def _is_fiction(number: str) -> bool:
    return len(number) == len(_FICTION) + 3 and number.startswith(_FICTION)


def _last_digits(text: str) -> str:
    return "".join(re.findall(r"[0-9]", text))[-3:].rjust(3, "0")
