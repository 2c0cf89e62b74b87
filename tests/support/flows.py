"""Call flows for tests: the composed examples of the NCCO reference, and JSON that resembles them.

Source: NCCO reference, "composed examples, smallest and full".
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

LEG = "6e0b9a4c-1f2d-4c3b-8a59-0c1d2e3f4a5b"
OTHER = "2b3c4d5e-6f70-4812-93a4-b5c6d7e8f901"
CON = "CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"
APP = "https://app.example.org"
CDN = "https://cdn.example.org"
PHONE = {"type": "phone", "number": "447700900123"}

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "talk": [{"action": "talk", "text": "Hello"}],
    "prompts in full": [
        {"action": "stream", "streamUrl": [f"{CDN}/intro.mp3"], "level": -0.2, "loop": 1, "bargeIn": True},
        {
            "action": "talk",
            "text": "<speak>Press <say-as interpret-as='digits'>1</say-as></speak>",
            "language": "en-GB",
            "style": 1,
            "premium": True,
            "level": 0.2,
            "loop": 2,
            "bargeIn": True,
        },
        {"action": "input", "type": ["dtmf"], "eventUrl": [f"{APP}/in"]},
    ],
    "record": [{"action": "record", "eventUrl": [f"{APP}/rec"]}, {"action": "connect", "endpoint": [PHONE]}],
    "voicemail": [
        {"action": "talk", "text": "Leave a message"},
        {
            "action": "record",
            "format": "wav",
            "split": "conversation",
            "channels": 2,
            "endOnSilence": 4,
            "endOnKey": "#",
            "timeOut": 120,
            "beepStart": True,
            "eventUrl": [f"{APP}/rec"],
            "eventMethod": "POST",
            "transcription": {
                "language": "en-GB",
                "eventUrl": [f"{APP}/tr"],
                "eventMethod": "POST",
                "sentimentAnalysis": True,
            },
        },
        {"action": "talk", "text": "Thank you"},
    ],
    "conversation": [{"action": "conversation", "name": "room-17"}],
    "supervisor": [
        {
            "action": "conversation",
            "name": "room-17",
            "startOnEnter": True,
            "endOnExit": False,
            "record": True,
            "eventUrl": [f"{APP}/rec"],
            "eventMethod": "POST",
            "musicOnHoldUrl": [f"{CDN}/hold.mp3"],
            "canHear": [LEG, OTHER],
            "canSpeak": [LEG],
            "transcription": {},
        }
    ],
    "connect": [{"action": "connect", "endpoint": [PHONE]}],
    "connect in full": [
        {
            "action": "connect",
            "from": "447700900456",
            "eventType": "synchronous",
            "timeout": 20,
            "limit": 3600,
            "advancedMachineDetection": {"behavior": "continue", "mode": "detect", "beep_timeout": 45},
            "eventUrl": [f"{APP}/ev"],
            "eventMethod": "POST",
            "ringbackTone": f"{CDN}/ring.mp3",
            "endpoint": [
                PHONE
                | {
                    "dtmfAnswer": "2p02p#",
                    "onAnswer": {"url": f"{APP}/whisper", "ringbackTone": f"{CDN}/ring.mp3"},
                }
            ],
        }
    ],
    "other endpoints": [
        {
            "action": "connect",
            "endpoint": [
                {
                    "type": "sip",
                    "uri": "sip:desk@sip.example.org;transport=tls",
                    "headers": {"queue": "gold"},
                    "standardHeaders": {"User-to-User": "0102ab;encoding=hex"},
                }
            ],
        },
        {
            "action": "connect",
            "endpoint": [
                {
                    "type": "websocket",
                    "uri": "wss://app.example.org/socket",
                    "content-type": "audio/l16;rate=16000",
                    "headers": {"caller": "447700900789"},
                    "authorization": {"type": "custom", "value": "Bearer abc"},
                }
            ],
        },
        {"action": "connect", "endpoint": [{"type": "app", "user": "alice"}]},
        {"action": "connect", "endpoint": [{"type": "vbc", "extension": "1234"}]},
        {"action": "connect", "endpoint": [{"type": "sip", "user": "desk", "domain": "trunk"}]},
    ],
    "input": [{"action": "input", "type": ["dtmf"]}],
    "input in full": [
        {
            "action": "input",
            "type": ["dtmf", "speech"],
            "mode": "synchronous",
            "dtmf": {"timeOut": 5, "maxDigits": 6, "submitOnHash": True},
            "speech": {
                "uuid": [LEG],
                "endOnSilence": 1.5,
                "language": "en-GB",
                "context": ["sales", "support"],
                "startTimeout": 10,
                "maxDuration": 30,
                "saveAudio": True,
                "sensitivity": 60,
            },
            "eventUrl": [f"{APP}/in"],
            "eventMethod": "POST",
        }
    ],
    "keys at once": [
        {"action": "input", "type": ["dtmf"], "mode": "asynchronous", "eventUrl": [f"{APP}/digits"]},
        {"action": "conversation", "name": "room-17"},
    ],
    "notify, wait, transfer": [
        {
            "action": "notify",
            "payload": {"step": "greeted"},
            "eventUrl": [f"{APP}/ev"],
            "eventMethod": "POST",
        },
        {"action": "wait", "timeout": 0.5},
        {"action": "transfer", "conversationId": CON, "canHear": [LEG], "canSpeak": [LEG]},
    ],
    "notify": [{"action": "notify", "payload": {}, "eventUrl": [f"{APP}/ev"]}],
    "wait": [{"action": "wait"}],
    "transfer": [{"action": "transfer", "conversationId": CON}],
    "attendee": [
        {
            "action": "conversation",
            "name": "r1",
            "startOnEnter": False,
            "musicOnHoldUrl": [f"{CDN}/hold.mp3"],
        }
    ],
    "moderator": [
        {"action": "conversation", "name": "r1", "startOnEnter": True, "endOnExit": True, "record": True}
    ],
}

NAMES = sorted(
    {
        name
        for flow in EXAMPLES.values()
        for action in flow
        for part in (action, *action.get("endpoint", []), action.get("dtmf", {}), action.get("speech", {}))
        for name in part
    }
    | {
        "mute",
        "randomFromNumber",
        "machineDetection",
        "event_url",
        "max_digits",
        "txet",
        "ringback",
        "voiceName",
    }
)
WORDS = [
    "talk",
    "input",
    "connect",
    "pay",
    "phone",
    "sip",
    "POST",
    "true",
    "45",
    "+447700900001",
    "en-gb",
    "<speak>",
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 130)
    | st.integers()
    | st.floats(-2, 12, width=16)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=12)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), inner, max_size=5)
    ),
    max_leaves=15,
)


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all values in *value*."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path] + [found for step, each in inner for found in paths(each, (*path, step))]


@st.composite
def altered(draw: st.DrawFn) -> Any:
    """A flow of the reference with some values replaced, dropped or added."""
    flow: Any = copy.deepcopy(draw(st.sampled_from(list(EXAMPLES.values()))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(paths(flow)))
        if not at:
            continue
        holder = flow
        for step in at[:-1]:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "drop", "add"])):
            case "replace":
                holder[at[-1]] = draw(JSON)
            case "drop":
                del holder[at[-1]]
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = draw(JSON)
            case _:
                holder.append(draw(JSON))
    return flow


FLOWS = (
    altered()
    | JSON
    | st.lists(st.fixed_dictionaries({"action": st.sampled_from(WORDS)}, optional={}), max_size=3)
)
