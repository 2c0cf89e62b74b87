"""Outside parties, whose behaviour depends on the last three digits of their phone numbers.

This rule applies only to the numbers from 447700900000 to 447700900999. They are reserved for fiction, so no phone
rings if a test calls one of them on the real network by mistake. At all other numbers, a person answers. A person
also answers if no behaviour is defined for the last three digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from voicectl.sandbox.telephony.sounds import Prompt, Sound
from voicectl.voice.call import CallStatus

RINGING_AFTER = 0.5
"""The time between the status ``started`` and the status ``ringing``, in seconds."""

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
"""The phrases that the parties at numbers ending in 700 to 709 say.

The parties at numbers ending in 710 or more say the same phrases again.
"""

_FICTION = "447700900"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The way in which a call fails before it is answered.

    Attributes:
        after: The time until the failure, in seconds. It is counted from the status ``ringing`` if ``rings`` is True,
            and from the status ``started`` if it is not.
        rings: True if the call rings before it fails.
        detail: The platform's name for the reason, or None if the platform reports no reason.
        sip_code: The carrier's SIP code for the reason, or None if the carrier reports no code.
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
        answers_after: The ringing time before the party answers, in seconds. None means that the party does not
            answer after a fixed time.
        refusal: The way in which a call to the party fails, or None if the party can answer.
        hangs_up_after: The time between the answer and the moment when the party hangs up, in seconds, or None if the
            party never hangs up.
        is_machine: True if voicemail answers.
        beeps_after: The time between the answer and the beep of the voicemail, in seconds, or None if there is no
            beep.
        keys: The keys that the party presses, in order. The party presses one key each time it is asked for a key.
        phrase: The phrase that the party says when it is asked to speak, or None if the party says nothing.
    """

    answers_after: float | None = 2
    refusal: Refusal | None = None
    hangs_up_after: float | None = None
    is_machine: bool = False
    beeps_after: float | None = None
    keys: str = ""
    phrase: str | None = None


PERSON = FarEnd()
"""A person who answers after 2 s, says nothing, and does not hang up."""

APPLICATION = FarEnd(answers_after=None)
"""An application whose number is called. Its call flow determines when it answers."""

DECLINED = Refusal(status=CallStatus.REJECTED, after=2, rings=True, detail="declined", sip_code=603)
"""The way in which a call fails if the called party declines it."""

UNKNOWN_USER = Refusal(status=CallStatus.UNANSWERED, after=1, detail="unavailable", sip_code=480)
"""The way in which a call to an app user fails if the user does not exist."""

GREETING = Prompt(
    sound=Sound.SPEECH,
    content={"text": "Nobody can take your call now. Please leave a message after the tone, and hang up."},
    once=6.0,
)
"""The greeting of the voicemail. If the voicemail beeps, the beep follows the greeting."""

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


_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})


def called(endpoint: dict[str, Any], like: Mapping[str, str] = _AS_THEY_ARE) -> FarEnd:
    """Return the behaviour of the party at *endpoint* when the party is called.

    The behaviour depends on the last three digits of the phone number, the user part of the SIP URI, or the
    extension. Characters other than digits are ignored. Every app user answers after 1 s. A WebSocket answers when
    its connection is open.

    Args:
        like: The digits that determine the behaviour at certain phone numbers, instead of their own.
    """
    match endpoint["type"]:
        case "phone":
            number = str(endpoint["number"])
            if number in like:
                return _by_digits(like[number])
            return _by_digits(number[-3:]) if _is_fiction(number) else PERSON
        case "app":
            return FarEnd(answers_after=1)
        case "sip":
            user = endpoint.get("user") or endpoint["uri"].partition(":")[2].rpartition("@")[0]
            return _by_digits(_last_digits(user))
        case "websocket":
            return FarEnd(answers_after=None)  # a WebSocket answers when it opens
        case _:
            return _by_digits(_last_digits(endpoint["extension"]))


def calling(number: str) -> FarEnd:
    """Return the behaviour of a party who calls from *number*. The behaviour applies after the call is answered."""
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
