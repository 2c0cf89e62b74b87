"""The endpoints that ``connect`` dials, as data.

Source: Voice API reference, "endpoint objects"; NCCO reference, "connect".
"""

from __future__ import annotations

from voicectl.voice.ncco.parts import E164, TEXT, URL, WORD
from voicectl.voice.ncco.shapes import GIVEN, Choice, Free, Option, Record, Rule, Text, Variant

HEADER_BYTES = 512

ON_ANSWER = Record(
    name="onAnswer",
    options={
        "url": Option(URL, "Its NCCO is run to the callee alone, before they join.", required=True),
        "ringbackTone": Option(URL, "Played to the caller meanwhile."),
        "ringback": Option(URL, "Older name of ringbackTone.", deprecated="Its name is ringbackTone now."),
    },
)

PHONE = Record(
    name="phone endpoint",
    about="A telephone.",
    options={
        "number": Option(E164, "E.164, without a +.", required=True),
        "dtmfAnswer": Option(
            Text(right="keys: 0-9, *, # and p, a pause of half a second", pattern=r"[0-9*#p]+"),
            "Keys pressed on answer; p is a pause of half a second.",
        ),
        "shaken": Option(TEXT, "The value of a STIR/SHAKEN Identity header."),
        "onAnswer": Option(ON_ANSWER, "What the callee hears first."),
    },
)

SIP = Record(
    name="sip endpoint",
    about="A SIP address, or a user of a SIP trunk.",
    options={
        "uri": Option(
            Text(
                right="a SIP URI of at most 50 characters, such as sip:desk@sip.example.org",
                pattern=r"[sS][iI][pP][sS]?:\S+",
                most=50,
            ),
            "The address.",
            required=True,
            unless=("user", "domain"),
        ),
        "user": Option(WORD, "In place of uri, with domain: a user of a trunk."),
        "domain": Option(WORD, "The name of a trunk of the account."),
        "headers": Option(Free(values=TEXT), "Sent as X-NAME: VALUE."),
        "standardHeaders": Option(
            Record(
                name="standardHeaders",
                options={
                    "User-to-User": Option(
                        Text(right="a text of at most 256 characters", most=256), "RFC 7433."
                    )
                },
            ),
            "Sent without X-.",
        ),
    },
    rules=tuple(
        Rule(
            option="uri",
            other=other,
            forbids=True,
            message=f"uri and {other} are two ways to name the same.",
            hint="Give uri, or user with domain.",
        )
        for other in ("user", "domain")
    )
    + tuple(
        Rule(
            option=option,
            other=other,
            message=f"{option} is given without {other}.",
            hint="Give both, or a uri in their place.",
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
                pattern=r"[wW][sS][sS]?://[^\s/?#]\S*",
            ),
            "Its address.",
            required=True,
        ),
        "content-type": Option(
            Choice(tuple(f"audio/l16;rate={rate}" for rate in (8000, 16000, 24000))),
            "The audio format.",
            required=True,
        ),
        "headers": Option(Free(most_bytes=HEADER_BYTES), f"Any JSON, at most {HEADER_BYTES} bytes."),
        "authorization": Option(
            Record(
                name="authorization",
                options={
                    "type": Option(Choice(("vonage", "custom")), "Whose value it is.", default="vonage"),
                    "value": Option(TEXT, "The value of the Authorization header."),
                },
                rules=(
                    Rule(
                        option="type",
                        value="custom",
                        other="value",
                        other_value=GIVEN,
                        message="A custom authorization has no value.",
                        hint='Add "value", what the Authorization header holds.',
                    ),
                ),
            ),
            "What the handshake carries.",
        ),
    },
)

APP = Record(
    name="app endpoint",
    about="A user of the application.",
    options={"user": Option(WORD, "The name of the user.", required=True)},
)

VBC = Record(
    name="vbc endpoint",
    about="An extension of Vonage Business Cloud.",
    options={"extension": Option(WORD, "The extension, as text.", required=True)},
)

ENDPOINT = Variant(
    tag="type",
    what="endpoint",
    records={"phone": PHONE, "app": APP, "websocket": WEBSOCKET, "sip": SIP, "vbc": VBC},
    right="an endpoint, an object with a type: phone, app, websocket, sip or vbc",
)
