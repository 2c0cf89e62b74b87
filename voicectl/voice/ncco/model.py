"""Descriptions of NCCO actions and their options, for the linter and the JSON Schema.

Source: NCCO reference.
"""

from __future__ import annotations

from voicectl.voice.ncco import languages
from voicectl.voice.ncco.endpoints import ENDPOINT
from voicectl.voice.ncco.parts import (
    AUDIENCE,
    BARGE_IN,
    CALLER,
    CONVERSATION_ID,
    DETECTION,
    FLAG,
    HEARD,
    LEG,
    LEVEL,
    LOOP,
    METHOD,
    ONE_URL,
    SPOKEN,
    TEXT,
    TONE,
    TRANSCRIPTION,
    WEBHOOK,
    WORD,
    provider,
)
from voicectl.voice.ncco.shapes import Array, Choice, Free, Number, Option, Record, Rule, Text, Variant
from voicectl.voice.ncco.verdicts import Fault

DTMF_TIMEOUT = Number(least=0, most=10)
DTMF_DIGITS = Number(least=1, most=20)

TALK = Record(
    name="talk",
    about="Speak text with text-to-speech.",
    options={
        "text": Option(
            WORD,
            "The text to speak: plain, or one <speak> document; at most 1,500 characters, not counting tags.",
            required=True,
        ),
        "bargeIn": BARGE_IN,
        "loop": LOOP,
        "level": Option(LEVEL, "Volume, from -1 to 1.", default=0),
        "language": Option(SPOKEN, "Language of the voice.", default=languages.DEFAULT),
        "style": Option(Number(least=0), "Number of the voice; each language has its own.", default=0),
        "premium": Option(FLAG, "Use a premium voice (charged).", default=False),
        "voiceName": Option(TEXT, "Older way to choose a voice.", deprecated="Use language and style."),
        **provider("Text-to-speech provider, such as google."),
        **WEBHOOK,
    },
)

STREAM = Record(
    name="stream",
    about="Play an audio file (MP3 or 16-bit WAV).",
    options={
        "streamUrl": Option(ONE_URL, "URL of the audio file.", required=True),
        "level": Option(Number(whole=False, least=-1, most=1, step=0.1), "Volume, from -1 to 1.", default=0),
        "bargeIn": BARGE_IN,
        "loop": LOOP,
        **WEBHOOK,
    },
)

RECORD = Record(
    name="record",
    about="Record while the following actions run; with endOnSilence or endOnKey, finish recording before the"
    " next action runs.",
    options={
        "format": Option(Choice(("mp3", "wav", "ogg")), "Format of the file.", default="mp3"),
        "split": Option(Choice(("conversation",)), "Record each side on a channel of its own."),
        "channels": Option(Number(least=1, most=32), "Number of channels; requires split."),
        "endOnSilence": Option(Number(least=3, most=10), "Stop after this many seconds of silence."),
        "endOnKey": Option(
            Text(right="one key, as a string: 0-9, * or #", pattern=r"[0-9*#]"),
            "Stop when this key is pressed.",
        ),
        "timeOut": Option(Number(least=3, most=7200), "Longest recording, in seconds."),
        "beepStart": Option(FLAG, "Play a beep before recording.", default=False),
        **WEBHOOK,
        "transcription": Option(TRANSCRIPTION, "Transcribe the recording; {} uses the defaults."),
    },
    rules=(
        Rule(
            option="channels",
            other="split",
            message="channels has no effect without split.",
            hint='Add "split": "conversation", or remove channels.',
        ),
    ),
)

MUTE_RULE = Rule(
    option="mute",
    value=True,
    other="canSpeak",
    forbids=True,
    message="mute and canSpeak cannot be used together.",
    hint='Use one of them; "canSpeak": [] also means that no one hears the leg.',
)

CONVERSATION = Record(
    name="conversation",
    about="Join a room (a named conversation).",
    options={
        "name": Option(WORD, "Name of the room; the first leg to use a name creates it.", required=True),
        "musicOnHoldUrl": Option(ONE_URL, "Audio to play until the conversation starts."),
        "startOnEnter": Option(
            FLAG, "Start the conversation when this leg joins; false to wait for a moderator.", default=True
        ),
        "endOnExit": Option(FLAG, "End the conversation for everyone when this leg leaves.", default=False),
        "record": Option(FLAG, "Record the conversation as MP3.", default=False),
        **WEBHOOK,
        **AUDIENCE,
        "transcription": Option(TRANSCRIPTION, "Transcribe the recording; requires record."),
    },
    rules=(
        MUTE_RULE,
        Rule(
            option="transcription",
            other="record",
            other_value=True,
            message="There is nothing to transcribe: the conversation is not recorded.",
            hint='Add "record": true, or remove transcription.',
        ),
    ),
)

CONNECT = Record(
    name="connect",
    about="Dial another party into the conversation.",
    options={
        "endpoint": Option(
            Array(
                item=ENDPOINT,
                least=1,
                most=1,
                right='an array of exactly one endpoint, such as [{"type": "phone", "number": "447700900001"}]',
            ),
            "The endpoint to dial, exactly one; use several connect actions to dial several.",
            required=True,
        ),
        "from": Option(CALLER, "One of your numbers, as a string; omit it for app users."),
        "randomFromNumber": Option(FLAG, "Call from a random number of the application.", default=False),
        "eventType": Option(
            Choice(("synchronous",)), "Let the response to an event contain a fallback NCCO."
        ),
        "timeout": Option(Number(least=1, most=120), "Seconds to ring before giving up.", default=60),
        "limit": Option(Number(least=1, most=7200), "Longest conversation, in seconds.", default=7200),
        "machineDetection": Option(Choice(("continue", "hangup")), "What to do if a machine answers."),
        "advancedMachineDetection": Option(DETECTION, "Advanced machine detection (charged)."),
        "advanced_machine_detection": Option(DETECTION, alias_of="advancedMachineDetection"),
        **WEBHOOK,
        "ringbackTone": Option(TONE, "Audio to play to the caller until connected: a URL, not an array."),
    },
    rules=(
        Rule(
            option="randomFromNumber",
            value=True,
            other="from",
            forbids=True,
            message="from and randomFromNumber cannot be used together.",
            hint="Use one of them.",
        ),
        Rule(
            option="advancedMachineDetection",
            other="machineDetection",
            forbids=True,
            fault=Fault.NO_EFFECT,
            message="machineDetection has no effect together with advancedMachineDetection.",
            hint="Use one of them.",
        ),
    ),
)

DTMF = Record(
    name="dtmf",
    options={
        "timeOut": Option(DTMF_TIMEOUT, "Seconds to wait after the last key.", default=3),
        "maxDigits": Option(DTMF_DIGITS, "Number of keys to collect.", default=4),
        "submitOnHash": Option(FLAG, "End the input when # is pressed.", default=False),
    },
)

SPEECH = Record(
    name="speech",
    options={
        "uuid": Option(
            Array(item=LEG, least=1, most=1, right="an array with the id of one leg"),
            "The leg to listen to; by default the first that joined.",
        ),
        "endOnSilence": Option(
            Number(whole=False, least=0.4, most=10), "Seconds of silence that end the input.", default=2
        ),
        "language": Option(HEARD, "Language of the speech.", default=languages.DEFAULT),
        "context": Option(
            Array(item=TEXT, right="an array of strings"), "Words that the caller is likely to say."
        ),
        "startTimeout": Option(Number(least=1, most=60), "Seconds to wait for the first word.", default=10),
        "maxDuration": Option(Number(least=1, most=60), "Longest speech, in seconds.", default=60),
        "saveAudio": Option(FLAG, "Save the audio.", default=False),
        "sensitivity": Option(
            Number(least=10, most=100), "Sensitivity to quiet speech, from 10 to 100.", default=90
        ),
        **provider("Speech recognition provider, such as google or deepgram."),
    },
)

INPUT = Record(
    name="input",
    about="Collect keys or speech.",
    options={
        "type": Option(
            Array(item=Choice(("dtmf", "speech")), least=1, right='an array of "dtmf", "speech" or both'),
            "What to collect. Documented as required; if it is missing, the platform assumes a type.",
        ),
        "mode": Option(
            Choice(("synchronous", "asynchronous")),
            "In asynchronous mode, each key is sent as soon as it is pressed, and dtmf must be absent.",
            default="synchronous",
        ),
        "dtmf": Option(DTMF, "Settings for keys."),
        "speech": Option(SPEECH, "Settings for speech."),
        **WEBHOOK,
        **{
            name: Option(option.shape, "Older form.", deprecated="Move it into dtmf.")
            for name, option in DTMF.options.items()
        },
    },
    rules=(
        Rule(
            option="mode",
            value="asynchronous",
            other="dtmf",
            forbids=True,
            but_empty=True,
            message="dtmf cannot be set in asynchronous mode, which sends each key as soon as it is pressed.",
            hint="Remove dtmf, or remove mode.",
        ),
    ),
)

NOTIFY = Record(
    name="notify",
    about="Send a payload to your server; an NCCO in the response replaces this one.",
    options={
        "payload": Option(Free(), "The data to send.", required=True),
        "eventUrl": Option(ONE_URL, "URL to send the data to.", required=True),
        "eventMethod": METHOD,
    },
)

WAIT = Record(
    name="wait",
    about="Pause before the next action.",
    options={
        "timeout": Option(
            Number(whole=False, least=0.1, most=7200, is_clamped=True),
            "Seconds to wait, from 0.1 to 7200.",
            default=10,
        )
    },
)

TRANSFER = Record(
    name="transfer",
    about="Move all legs of this conversation into another one; no later action runs.",
    options={
        "conversationId": Option(
            CONVERSATION_ID,
            "The conversation to move the legs to.",
            required=True,
            unless=("conversation_id",),
        ),
        "conversation_id": Option(CONVERSATION_ID, alias_of="conversationId"),
        **AUDIENCE,
    },
    rules=(MUTE_RULE,),
)

PROMPT = Record(
    name="prompt",
    options={
        "type": Option(Choice(("CardNumber", "ExpirationDate", "SecurityCode")), "The detail to ask for."),
        "text": Option(TEXT, "Text to speak."),
        "errors": Option(Free(), "Texts to speak after an error."),
    },
)

PAY = Record(
    name="pay",
    about="Take a payment.",
    deprecated="The platform's documentation no longer describes it.",
    options={
        "amount": Option(Number(whole=False, least=0), "Amount to charge."),
        "currency": Option(TEXT, "Currency of the amount."),
        "eventUrl": Option(ONE_URL, "URL for the events of the payment."),
        "prompts": Option(Array(item=PROMPT, right="an array of prompts"), "Prompts for the card details."),
        "voice": Option(
            Record(
                name="voice",
                options={name: TALK.options[name] for name in ("language", "style")},
            ),
            "Voice of the prompts.",
        ),
    },
)

_LEAVE_OUT = "Leave it out: the call ends when the last action is done."
_COLLECT = 'Write {"action": "input", "type": ["dtmf"]}.'
_VERB = "Only a request to the API can do this, not an NCCO"
INSTEAD = {
    **dict.fromkeys(("hangup", "end", "disconnect", "reject"), _LEAVE_OUT),
    **{
        kind: f'Write {{"action": "connect", "endpoint": [{{"type": "{kind}", ...}}]}}.'
        for kind in ENDPOINT.records
    },
    **dict.fromkeys(("dial", "call", "forward"), 'Write {"action": "connect", "endpoint": [...]}.'),
    **dict.fromkeys(("say", "speak", "tts"), 'Write {"action": "talk", "text": "..."}.'),
    **dict.fromkeys(("play", "playback", "audio"), 'Write {"action": "stream", "streamUrl": ["..."]}.'),
    **dict.fromkeys(("dtmf", "gather", "speech", "asr"), _COLLECT),
    **dict.fromkeys(("pause", "sleep"), 'Write {"action": "wait", "timeout": SECONDS}.'),
    **dict.fromkeys(("join", "conference", "room"), 'Write {"action": "conversation", "name": "..."}.'),
    "mute": f'{_VERB}. To join a room muted, add "mute": true to the conversation action.',
    **dict.fromkeys(
        ("unmute", "earmuff", "unearmuff"), f"{_VERB}. Use voicectl mute, unmute, earmuff or unearmuff."
    ),
}
"""Advice on what to write instead of a word that is often mistaken for the name of an action, keyed by the word."""

ACTION = Variant(
    tag="action",
    what="action",
    records={
        record.name: record
        for record in (TALK, STREAM, RECORD, CONVERSATION, CONNECT, INPUT, NOTIFY, WAIT, TRANSFER, PAY)
    },
    right='an action, such as {"action": "talk", "text": "Hello"}',
    advice=INSTEAD,
)

NCCO = Array(item=ACTION, least=1, right='an array of actions, such as [{"action": "talk", "text": "Hello"}]')
