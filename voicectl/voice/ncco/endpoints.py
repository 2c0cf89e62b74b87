"""Descriptions of the endpoints that ``connect`` can dial.

Source: Voice API reference, "endpoint objects"; NCCO reference, "connect".
"""

from __future__ import annotations

from voicectl.voice.ncco.parts import E164, TEXT, TONE, URL, WORD
from voicectl.voice.ncco.shapes import GIVEN, Choice, Free, Option, Record, Rule, Text, Variant
from voicectl.voice.ncco.verdicts import Fault
from voicectl.voice.url import SOCKET

HEADER_BYTES = 512
SIP_CHARACTERS = 256

ON_ANSWER = Record(
    name="onAnswer",
    options={
        "url": Option(URL, "URL of an NCCO to run for the callee alone, before they join.", required=True),
        "ringbackTone": Option(TONE, "Audio to play to the caller while the callee hears this NCCO."),
        "ringback": Option(TONE, "Older name of ringbackTone.", deprecated="Use ringbackTone."),
    },
)

PHONE = Record(
    name="phone endpoint",
    about="A phone number.",
    options={
        "number": Option(E164, "The number in E.164 format, without a +.", required=True),
        "dtmfAnswer": Option(
            Text(right="keys: 0-9, *, # and p (a pause of half a second)", pattern=r"[0-9*#p]+"),
            "Keys to press on answer; p pauses for half a second.",
        ),
        "shaken": Option(TEXT, "Value of the STIR/SHAKEN Identity header."),
        "onAnswer": Option(ON_ANSWER, "NCCO that the callee hears before joining."),
    },
)

SIP = Record(
    name="sip endpoint",
    about="A SIP address, or a user of a SIP trunk.",
    options={
        "uri": Option(
            Text(
                right="a SIP URI in ASCII, such as sip:desk@sip.example.org",
                pattern=r"[sS][iI][pP][sS]?:([!-~]+@)?[!-?A-~]+",
                most=SIP_CHARACTERS,
                too_long=Fault.LONG_URI,
                usual=r".+:.+@.+",
                doubt=Fault.NO_SIP_USER,
                effect=", which names no user",
            ),
            "The SIP URI to dial.",
            required=True,
            unless=("user", "domain"),
        ),
        "user": Option(WORD, "User of a SIP trunk; use it with domain, instead of uri."),
        "domain": Option(WORD, "Name of a SIP trunk of the account."),
        "headers": Option(Free(values=TEXT), "Custom headers, sent as X-NAME: VALUE."),
        "standardHeaders": Option(
            Record(
                name="standardHeaders",
                options={
                    "User-to-User": Option(
                        Text(most=256),
                        "The User-to-User header (RFC 7433).",
                    )
                },
            ),
            "Headers sent without the X- prefix.",
        ),
    },
    rules=tuple(
        Rule(
            option="uri",
            other=other,
            forbids=True,
            message=f"uri and {other} cannot be used together.",
            hint="Use uri, or user with domain.",
        )
        for other in ("user", "domain")
    )
    + tuple(
        Rule(
            option=option,
            other=other,
            message=f"{option} requires {other}.",
            hint=f"Add {other}, or use uri instead.",
        )
        for option, other in (("user", "domain"), ("domain", "user"))
    ),
)

WEBSOCKET = Record(
    name="websocket endpoint",
    about="A WebSocket server.",
    options={
        "uri": Option(
            Text(
                right="a WebSocket URI, such as wss://app.example.org/socket",
                pattern=r"[wW][sS][sS]?://[!-~]+",
                schemes=SOCKET,
            ),
            "Address of the server.",
            required=True,
        ),
        "content-type": Option(
            Choice(tuple(f"audio/l16;rate={rate}" for rate in (8000, 16000, 24000))),
            "The audio format.",
            required=True,
        ),
        "headers": Option(
            Free(most_bytes=HEADER_BYTES),
            f"JSON object to send to the server; the documented limit is {HEADER_BYTES} bytes.",
        ),
        "authorization": Option(
            Record(
                name="authorization",
                options={
                    "type": Option(
                        Choice(("vonage", "custom")),
                        '"vonage" sends a token signed by the platform, "custom" sends the text in "value".',
                        default="vonage",
                    ),
                    "value": Option(
                        Text(right="an ASCII string without control characters", pattern=r"[ -~]*"),
                        "Value of the Authorization header.",
                    ),
                },
                rules=(
                    Rule(
                        option="type",
                        value="custom",
                        other="value",
                        other_value=GIVEN,
                        message="A custom authorization requires a value.",
                        hint='Add "value", the content of the Authorization header.',
                    ),
                ),
            ),
            "Authorization of the WebSocket handshake.",
        ),
    },
)

APP = Record(
    name="app endpoint",
    about="A user of the application.",
    options={"user": Option(WORD, "Name of the user.", required=True)},
)

VBC = Record(
    name="vbc endpoint",
    about="An extension of Vonage Business Cloud.",
    options={"extension": Option(WORD, "The extension, as a string.", required=True)},
)

ENDPOINT = Variant(
    tag="type",
    what="endpoint",
    records={"phone": PHONE, "app": APP, "websocket": WEBSOCKET, "sip": SIP, "vbc": VBC},
    right="an endpoint: an object with a type (phone, app, websocket, sip or vbc)",
)
