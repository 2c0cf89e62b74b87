"""Options and shapes that several actions use: URLs, numbers, leg ids, webhooks, transcription, machine detection."""

from __future__ import annotations

from dataclasses import replace

from voicectl.voice import amd
from voicectl.voice.ncco import languages
from voicectl.voice.ncco.shapes import Array, Choice, Flag, Free, Number, Option, Record, Text
from voicectl.voice.ncco.verdicts import Fault
from voicectl.voice.url import WEB

FLAG = Flag()
TEXT = Text()
WORD = Text(right="a string that is not blank", pattern=r"[\s\S]*\S[\s\S]*")
URL = Text(
    right="an http or https URL in ASCII, such as https://app.example.org/event",
    pattern=r"[hH][tT][tT][pP][sS]?://[!-~]+",
    schemes=WEB,
)
TONE = replace(URL, may_be_in_array=True)
"""The URL of a ringback tone. An array of one URL is tolerated, since the platform's Python SDK declares an array."""

ONE_URL = Array(
    item=URL, least=1, most=1, right='an array of one URL, such as ["https://app.example.org/event"]'
)
EVENT_URL = replace(ONE_URL, may_be_empty=True)
"""The ``eventUrl`` option. The platform's Node SDK sends an empty array if there is no URL."""

_NUMBER = r"\+?[1-9][0-9]{6,14}"
E164 = Text(
    right="a number in E.164, as a string: country code and number, 7 to 15 digits, such as 447700900001",
    pattern=_NUMBER,
    tolerated="+",
)
CALLER = Text(
    right="one of your numbers in E.164, such as 447700900001",
    usual=_NUMBER,
    doubt=Fault.UNKNOWN_CALLER,
    effect=", which is not a phone number: a phone shows the caller as unknown; a WebSocket accepts any text",
    tolerated="+",
)
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
LEG = Text(
    right="the id of a leg, such as 6e0b9a4c-1f2d-4c3b-8a59-0c1d2e3f4a5b",
    usual=rf"[0-9a-fA-F]{{32}}|{_UUID}",
    effect=", which does not look like the id of a leg",
)
CONVERSATION_ID = Text(
    right="the id of a conversation, such as CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0",
    pattern=WORD.pattern,
    usual=rf"CON-{_UUID}",
    effect=", which does not look like the id of a conversation",
)
LEGS = Array(item=LEG, right="an array of leg ids; [] means no legs")
LOOP = Option(Number(least=0), "Number of times to play; 0 repeats until stopped.", default=1)
LEVEL = Number(whole=False, least=-1, most=1)

SPOKEN = Text(right="a language code, such as en-GB", known=languages.SPOKEN)
HEARD = Text(right="a language code, such as en-GB", known=languages.HEARD)

BARGE_IN = Option(
    FLAG, "Let keys or speech interrupt this action; an input action must follow.", default=False
)
METHOD = Option(Choice(("POST", "GET")), "HTTP method for eventUrl.", default="POST")
WEBHOOK = {
    "eventUrl": Option(EVENT_URL, "URL for the resulting events; by default the call's event_url."),
    "eventMethod": METHOD,
}

AUDIENCE = {
    "canHear": Option(LEGS, "The legs that this leg hears: by default all; [] for none."),
    "canSpeak": Option(LEGS, "The legs that hear this leg: by default all; [] for none."),
    "mute": Option(FLAG, "Mute this leg. Cannot be combined with canSpeak.", default=False),
}


def provider(names: str) -> dict[str, Option]:
    """Return the options that select a speech provider. *names* describes the values of the option ``provider``."""
    return {
        "provider": Option(TEXT, names),
        "providerOptions": Option(Free(), "Settings of the provider."),
    }


TRANSCRIPTION = Record(
    name="transcription",
    right="an object; {} turns transcription on with the defaults",
    options={
        "language": Option(HEARD, "Language of the speech.", default=languages.DEFAULT),
        **WEBHOOK,
        "sentimentAnalysis": Option(FLAG, "Rate the sentiment of each segment from -1 to 1.", default=False),
    },
)

DETECTION = Record(
    name="advancedMachineDetection",
    options={
        "behavior": Option(Choice(amd.BEHAVIORS), "What to do if a machine answers."),
        "mode": Option(Choice(amd.MODES), "Detection mode.", default="detect"),
        "beep_timeout": Option(
            Number(least=amd.MIN_BEEP_SECONDS, most=amd.MAX_BEEP_SECONDS), "Seconds to wait for the beep."
        ),
    },
)
