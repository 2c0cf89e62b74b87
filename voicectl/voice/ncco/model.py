"""Every action of an NCCO and every option of it, as data: what the linter checks and the JSON Schema says.

Source: NCCO reference.
"""

from __future__ import annotations

from voicectl.voice.ncco import languages
from voicectl.voice.ncco.endpoints import ENDPOINT
from voicectl.voice.ncco.parts import (
    AUDIENCE,
    BARGE_IN,
    DETECTION,
    E164,
    FLAG,
    HEARD,
    LEG,
    LEVEL,
    LOOP,
    METHOD,
    ONE_URL,
    SPOKEN,
    TEXT,
    TRANSCRIPTION,
    URL,
    WEBHOOK,
    WORD,
    provider,
)
from voicectl.voice.ncco.shapes import Array, Choice, Free, Number, Option, Record, Rule, Text, Variant

DTMF_TIMEOUT = Number(least=0, most=10)
DTMF_DIGITS = Number(least=1, most=20)

TALK = Record(
    name="talk",
    about="Say a text.",
    options={
        "text": Option(WORD, "At most 1,500 characters without tags; plain, or one <speak>.", required=True),
        "bargeIn": BARGE_IN,
        "loop": LOOP,
        "level": Option(LEVEL, "Loudness.", default=0),
        "language": Option(SPOKEN, "The language spoken.", default=languages.DEFAULT),
        "style": Option(Number(least=0), "The voice, numbered per language.", default=0),
        "premium": Option(FLAG, "Use a premium voice, which is charged.", default=False),
        "voiceName": Option(TEXT, "Older way to choose a voice.", deprecated="Use language and style."),
        **provider("ElevenLabs, Google or Polly."),
        **WEBHOOK,
    },
)

STREAM = Record(
    name="stream",
    about="Play an audio file, MP3 or 16-bit WAV.",
    options={
        "streamUrl": Option(ONE_URL, "Where the file is.", required=True),
        "level": Option(Number(whole=False, least=-1, most=1, step=0.1), "Loudness.", default=0),
        "bargeIn": BARGE_IN,
        "loop": LOOP,
        **WEBHOOK,
    },
)

RECORD = Record(
    name="record",
    about="Record what follows; with endOnSilence or endOnKey, now.",
    options={
        "format": Option(Choice(("mp3", "wav", "ogg")), "The file's format.", default="mp3"),
        "split": Option(Choice(("conversation",)), "One channel for each side."),
        "channels": Option(Number(least=1, most=32), "How many channels; needs split."),
        "endOnSilence": Option(Number(least=3, most=10), "Stop after so many seconds of silence."),
        "endOnKey": Option(
            Text(right="one key, as text: 0-9, * or #", pattern=r"[0-9*#]"), "Stop on this key."
        ),
        "timeOut": Option(Number(least=3, most=7200), "The most seconds recorded."),
        "beepStart": Option(FLAG, "Beep first.", default=False),
        **WEBHOOK,
        "transcription": Option(TRANSCRIPTION, "Write down what was said; {} is on."),
    },
    rules=(
        Rule(
            option="channels",
            other="split",
            message="channels has no effect without split.",
            hint='Add "split": "conversation", or drop channels.',
        ),
    ),
)

MUTE_RULE = Rule(
    option="mute",
    value=True,
    other="canSpeak",
    forbids=True,
    message="mute and canSpeak contradict each other.",
    hint='Give one of them; "canSpeak": [] also keeps everybody from hearing the leg.',
)

CONVERSATION = Record(
    name="conversation",
    about="Join a room.",
    options={
        "name": Option(WORD, "The room; the first to use a name makes it.", required=True),
        "musicOnHoldUrl": Option(ONE_URL, "Played until the conversation starts."),
        "startOnEnter": Option(FLAG, "False for those who wait for a moderator.", default=True),
        "endOnExit": Option(FLAG, "End it for all when this leg leaves.", default=False),
        "record": Option(FLAG, "Record it, as mp3.", default=False),
        **WEBHOOK,
        **AUDIENCE,
        "transcription": Option(TRANSCRIPTION, "Write down what was said; needs record."),
    },
    rules=(
        MUTE_RULE,
        Rule(
            option="transcription",
            other="record",
            other_value=True,
            message="There is nothing to transcribe: the conversation is not recorded.",
            hint='Add "record": true, or drop transcription.',
        ),
    ),
)

CONNECT = Record(
    name="connect",
    about="Dial somebody into the conversation.",
    options={
        "endpoint": Option(
            Array(
                item=ENDPOINT,
                least=1,
                most=1,
                right='an array of exactly one endpoint, such as [{"type": "phone", "number": "447700900001"}]',
            ),
            "Whom to dial: one endpoint. Several connects dial several.",
            required=True,
        ),
        "from": Option(E164, "One of your numbers, as text. Left out for app users."),
        "randomFromNumber": Option(FLAG, "Call from any number of the application.", default=False),
        "eventType": Option(
            Choice(("synchronous",)), "The reply to an event may hold the NCCO to fall back to."
        ),
        "timeout": Option(Number(least=1, most=120), "Seconds that it rings.", default=60),
        "limit": Option(Number(least=1, most=7200), "Seconds that they talk.", default=7200),
        "machineDetection": Option(Choice(("continue", "hangup")), "What to do about a machine."),
        "advancedMachineDetection": Option(DETECTION, "The better detection, which is charged."),
        "advanced_machine_detection": Option(DETECTION, alias_of="advancedMachineDetection"),
        **WEBHOOK,
        "ringbackTone": Option(URL, "Played to the caller until connected: a URL, no array."),
    },
    rules=(
        Rule(
            option="randomFromNumber",
            value=True,
            other="from",
            forbids=True,
            message="from and randomFromNumber contradict each other.",
            hint="Give one of them.",
        ),
        Rule(
            option="advancedMachineDetection",
            other="machineDetection",
            forbids=True,
            is_doubt=True,
            message="machineDetection has no effect beside advancedMachineDetection.",
            hint="Give one of them.",
        ),
    ),
)

DTMF = Record(
    name="dtmf",
    options={
        "timeOut": Option(DTMF_TIMEOUT, "Seconds after the last key.", default=3),
        "maxDigits": Option(DTMF_DIGITS, "How many keys end it.", default=4),
        "submitOnHash": Option(FLAG, "# ends it.", default=False),
    },
)

SPEECH = Record(
    name="speech",
    options={
        "uuid": Option(
            Array(item=LEG, least=1, most=1, right="an array with the id of one leg"),
            "The leg to listen to; left out, the first that joined.",
        ),
        "endOnSilence": Option(
            Number(whole=False, least=0.4, most=10), "Seconds of silence that end it.", default=2
        ),
        "language": Option(HEARD, "The language that is spoken.", default=languages.DEFAULT),
        "context": Option(Array(item=TEXT, right="an array of texts"), "Words that are likely to be said."),
        "startTimeout": Option(Number(least=1, most=60), "Seconds to wait for the first word.", default=10),
        "maxDuration": Option(Number(least=1, most=60), "The most seconds heard.", default=60),
        "saveAudio": Option(FLAG, "Keep the audio.", default=False),
        "sensitivity": Option(Number(least=10, most=100), "How soft speech may be.", default=90),
        **provider("Deepgram or Google."),
    },
)

INPUT = Record(
    name="input",
    about="Collect keys or speech.",
    options={
        "type": Option(
            Array(item=Choice(("dtmf", "speech")), least=1, right='an array of "dtmf", "speech" or both'),
            "What is collected.",
            required=True,
            unless=("timeOut", "maxDigits", "submitOnHash"),
        ),
        "mode": Option(
            Choice(("synchronous", "asynchronous")),
            "Asynchronous: keys are sent one by one, at once; dtmf must be absent.",
            default="synchronous",
        ),
        "dtmf": Option(DTMF, "Settings for keys."),
        "speech": Option(SPEECH, "Settings for speech."),
        **WEBHOOK,
        **{
            name: Option(option.shape, "Older form.", deprecated="Put it into dtmf.")
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
            message="In asynchronous mode every key is sent at once, so dtmf has nothing to set.",
            hint="Drop dtmf, or the mode.",
        ),
    ),
)

NOTIFY = Record(
    name="notify",
    about="Send a payload to your application; an NCCO in the reply replaces this one.",
    options={
        "payload": Option(Free(), "What is sent.", required=True),
        "eventUrl": Option(ONE_URL, "Where to.", required=True),
        "eventMethod": METHOD,
    },
)

WAIT = Record(
    name="wait",
    about="Do nothing for a while.",
    options={
        "timeout": Option(
            Number(whole=False, least=0.1, most=7200, is_clamped=True),
            "Seconds, from 0.1 to 7200.",
            default=10,
        )
    },
)

TRANSFER = Record(
    name="transfer",
    about="Move all legs of this conversation into another one; nothing follows it.",
    options={
        "conversationId": Option(
            Text(
                right="the id of a conversation, such as CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0",
                pattern=r"CON-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
            ),
            "Which one.",
            required=True,
            unless=("conversation_id",),
        ),
        "conversation_id": Option(TEXT, alias_of="conversationId"),
        **AUDIENCE,
    },
    rules=(MUTE_RULE,),
)

PROMPT = Record(
    name="prompt",
    options={
        "type": Option(Choice(("CardNumber", "ExpirationDate", "SecurityCode")), "What is asked for."),
        "text": Option(TEXT, "What is said."),
        "errors": Option(Free(), "What is said when it goes wrong."),
    },
)

PAY = Record(
    name="pay",
    about="Take a payment.",
    deprecated="It is gone from the platform's documents.",
    options={
        "amount": Option(Number(whole=False, least=0), "How much."),
        "currency": Option(TEXT, "Of what."),
        "eventUrl": Option(ONE_URL, "Where its events go."),
        "prompts": Option(Array(item=PROMPT, right="an array of prompts"), "What is asked."),
        "voice": Option(
            Record(
                name="voice",
                options={name: TALK.options[name] for name in ("language", "style")},
            ),
            "How it is said.",
        ),
    },
)

ACTION = Variant(
    tag="action",
    what="action",
    records={
        record.name: record
        for record in (TALK, STREAM, RECORD, CONVERSATION, CONNECT, INPUT, NOTIFY, WAIT, TRANSFER, PAY)
    },
    right='an action, such as {"action": "talk", "text": "Hello"}',
)

NCCO = Array(item=ACTION, least=1, right='an array of actions, such as [{"action": "talk", "text": "Hello"}]')
