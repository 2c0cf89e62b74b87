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
)
from voicectl.voice.ncco.shapes import Array, Choice, Free, Number, Option, Record, Rule, Text, Variant

DTMF_TIMEOUT = Number(least=0, most=10)
DTMF_DIGITS = Number(least=1, most=20)

TALK = Record(
    name="talk",
    about="Say a text.",
    options={
        "text": Option(
            shape=WORD, required=True, about="At most 1,500 characters without tags; plain, or one <speak>."
        ),
        "bargeIn": BARGE_IN,
        "loop": LOOP,
        "level": Option(shape=LEVEL, default=0, about="Loudness."),
        "language": Option(shape=SPOKEN, default=languages.DEFAULT, about="The language spoken."),
        "style": Option(shape=Number(least=0), default=0, about="The voice, numbered per language."),
        "premium": Option(shape=FLAG, default=False, about="Use a premium voice, which is charged."),
        "voiceName": Option(
            shape=TEXT, about="Older way to choose a voice.", deprecated="Use language and style."
        ),
        "provider": Option(
            shape=TEXT, about="ElevenLabs, Google or Polly.", newer="only the .NET SDK of 2026 has it"
        ),
        "providerOptions": Option(
            shape=Free(), about="Settings of the provider.", newer="only the .NET SDK of 2026 has it"
        ),
        **WEBHOOK,
    },
)

STREAM = Record(
    name="stream",
    about="Play an audio file, MP3 or 16-bit WAV.",
    options={
        "streamUrl": Option(shape=ONE_URL, required=True, about="Where the file is."),
        "level": Option(shape=Number(whole=False, least=-1, most=1, step=0.1), default=0, about="Loudness."),
        "bargeIn": BARGE_IN,
        "loop": LOOP,
        **WEBHOOK,
    },
)

RECORD = Record(
    name="record",
    about="Record what follows; with endOnSilence or endOnKey, now.",
    options={
        "format": Option(shape=Choice(("mp3", "wav", "ogg")), default="mp3", about="The file's format."),
        "split": Option(shape=Choice(("conversation",)), about="One channel for each side."),
        "channels": Option(shape=Number(least=1, most=32), about="How many channels; needs split."),
        "endOnSilence": Option(
            shape=Number(least=3, most=10), about="Stop after so many seconds of silence."
        ),
        "endOnKey": Option(
            shape=Text(right="one key, as text: 0-9, * or #", pattern=r"[0-9*#]"), about="Stop on this key."
        ),
        "timeOut": Option(shape=Number(least=3, most=7200), about="The most seconds recorded."),
        "beepStart": Option(shape=FLAG, default=False, about="Beep first."),
        **WEBHOOK,
        "transcription": Option(shape=TRANSCRIPTION, about="Write down what was said; {} is on."),
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
        "name": Option(shape=WORD, required=True, about="The room; the first to use a name makes it."),
        "musicOnHoldUrl": Option(shape=ONE_URL, about="Played until the conversation starts."),
        "startOnEnter": Option(shape=FLAG, default=True, about="False for those who wait for a moderator."),
        "endOnExit": Option(shape=FLAG, default=False, about="End it for all when this leg leaves."),
        "record": Option(shape=FLAG, default=False, about="Record it, as mp3."),
        **WEBHOOK,
        **AUDIENCE,
        "transcription": Option(shape=TRANSCRIPTION, about="Write down what was said; needs record."),
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
            shape=Array(
                item=ENDPOINT,
                least=1,
                most=1,
                right='an array of exactly one endpoint, such as [{"type": "phone", "number": "447700900001"}]',
            ),
            required=True,
            about="Whom to dial: one endpoint. Several connects dial several.",
        ),
        "from": Option(shape=E164, about="One of your numbers, as text. Left out for app users."),
        "randomFromNumber": Option(
            shape=FLAG, default=False, about="Call from any number of the application."
        ),
        "eventType": Option(
            shape=Choice(("synchronous",)), about="The reply to an event may hold the NCCO to fall back to."
        ),
        "timeout": Option(shape=Number(least=1, most=120), default=60, about="Seconds that it rings."),
        "limit": Option(shape=Number(least=1, most=7200), default=7200, about="Seconds that they talk."),
        "machineDetection": Option(shape=Choice(("continue", "hangup")), about="What to do about a machine."),
        "advancedMachineDetection": Option(shape=DETECTION, about="The better detection, which is charged."),
        "advanced_machine_detection": Option(shape=DETECTION, alias_of="advancedMachineDetection"),
        **WEBHOOK,
        "ringbackTone": Option(shape=URL, about="Played to the caller until connected: a URL, no array."),
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
        "timeOut": Option(shape=DTMF_TIMEOUT, default=3, about="Seconds after the last key."),
        "maxDigits": Option(shape=DTMF_DIGITS, default=4, about="How many keys end it."),
        "submitOnHash": Option(shape=FLAG, default=False, about="# ends it."),
    },
)

SPEECH = Record(
    name="speech",
    options={
        "uuid": Option(
            shape=Array(item=LEG, least=1, most=1, right="an array with the id of one leg"),
            about="The leg to listen to; left out, the first that joined.",
        ),
        "endOnSilence": Option(
            shape=Number(whole=False, least=0.4, most=10), default=2, about="Seconds of silence that end it."
        ),
        "language": Option(shape=HEARD, default=languages.DEFAULT, about="The language that is spoken."),
        "context": Option(
            shape=Array(item=TEXT, right="an array of texts"), about="Words that are likely to be said."
        ),
        "startTimeout": Option(
            shape=Number(least=1, most=60), default=10, about="Seconds to wait for the first word."
        ),
        "maxDuration": Option(shape=Number(least=1, most=60), default=60, about="The most seconds heard."),
        "saveAudio": Option(shape=FLAG, default=False, about="Keep the audio."),
        "sensitivity": Option(shape=Number(least=10, most=100), default=90, about="How soft speech may be."),
        "provider": Option(shape=TEXT, about="Deepgram or Google.", newer="only the .NET SDK of 2026 has it"),
        "providerOptions": Option(
            shape=Free(), about="Settings of the provider.", newer="only the .NET SDK of 2026 has it"
        ),
    },
)

INPUT = Record(
    name="input",
    about="Collect keys or speech.",
    options={
        "type": Option(
            shape=Array(
                item=Choice(("dtmf", "speech")), least=1, right='an array of "dtmf", "speech" or both'
            ),
            required=True,
            unless=("timeOut", "maxDigits", "submitOnHash"),
            about="What is collected.",
        ),
        "mode": Option(
            shape=Choice(("synchronous", "asynchronous")),
            default="synchronous",
            about="Asynchronous: keys are sent one by one, at once; dtmf must be absent.",
        ),
        "dtmf": Option(shape=DTMF, about="Settings for keys."),
        "speech": Option(shape=SPEECH, about="Settings for speech."),
        **WEBHOOK,
        **{
            name: Option(shape=option.shape, about="Older form.", deprecated="Put it into dtmf.")
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
        "payload": Option(shape=Free(), required=True, about="What is sent."),
        "eventUrl": Option(shape=ONE_URL, required=True, about="Where to."),
        "eventMethod": METHOD,
    },
)

WAIT = Record(
    name="wait",
    about="Do nothing for a while.",
    options={
        "timeout": Option(
            shape=Number(whole=False, least=0.1, most=7200, is_clamped=True),
            default=10,
            about="Seconds, from 0.1 to 7200.",
        )
    },
)

TRANSFER = Record(
    name="transfer",
    about="Move all legs of this conversation into another one; nothing follows it.",
    options={
        "conversationId": Option(
            shape=Text(
                right="the id of a conversation, such as CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0",
                pattern=r"CON-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
            ),
            required=True,
            unless=("conversation_id",),
            about="Which one.",
        ),
        "conversation_id": Option(shape=TEXT, alias_of="conversationId"),
        **AUDIENCE,
    },
    rules=(MUTE_RULE,),
)

PROMPT = Record(
    name="prompt",
    options={
        "type": Option(
            shape=Choice(("CardNumber", "ExpirationDate", "SecurityCode")), about="What is asked for."
        ),
        "text": Option(shape=TEXT, about="What is said."),
        "errors": Option(shape=Free(), about="What is said when it goes wrong."),
    },
)

PAY = Record(
    name="pay",
    about="Take a payment.",
    deprecated="It is gone from the platform's documents.",
    options={
        "amount": Option(shape=Number(whole=False, least=0), about="How much."),
        "currency": Option(shape=TEXT, about="Of what."),
        "eventUrl": Option(shape=ONE_URL, about="Where its events go."),
        "prompts": Option(shape=Array(item=PROMPT, right="an array of prompts"), about="What is asked."),
        "voice": Option(
            shape=Record(
                name="voice",
                options={name: TALK.options[name] for name in ("language", "style")},
            ),
            about="How it is said.",
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
