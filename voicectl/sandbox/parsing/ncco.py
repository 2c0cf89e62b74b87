"""A reader that converts NCCOs to the actions in :mod:`voicectl.sandbox.telephony.actions`.

As on the platform, strings are accepted for numbers and Boolean values, and unknown options are ignored.

Source: NCCO reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from voicectl.sandbox.parsing.endpoints import (
    read_caller,
    read_endpoint,
    read_ncco_event_url,
    read_on_answer,
    read_tone,
)
from voicectl.sandbox.parsing.fields import WRONG_TYPE, Fields
from voicectl.sandbox.parsing.input_action import LANGUAGE, check_provider, read_input
from voicectl.sandbox.telephony.actions import (
    LENGTH_TIMER,
    LONGEST_RECORDING,
    RINGING_TIMER,
    Action,
    Actions,
    Dial,
    Format,
    Input,
    Join,
    MoveAll,
    Notify,
    Order,
    Play,
    Record,
    Transcription,
    Wait,
    Webhook,
)
from voicectl.sandbox.telephony.detection import BEEP_TIMEOUT, Behavior, Detection, Mode
from voicectl.sandbox.telephony.sounds import Prompt, audio, speech
from voicectl.voice import ssml
from voicectl.voice.speech import MAX_CHARACTERS, characters

MAX_LOOP = 1_000_000
"""The maximum value of ``loop``. Greater values are reduced to this one. No call lasts for this many repetitions."""

_SPEECH_OPTIONS = ("language", "style", "premium", "loop", "level", "voice_name", "voiceName")
_AUDIO_OPTIONS = ("loop", "level")

SPLITS = ("conversation",)
"""The allowed values of the ``split`` option of a recording."""


def read_ncco(
    raw: object, errors: list[dict[str, str]], at: str = "ncco", *, may_be_empty: bool = False
) -> Actions:
    """Return the actions of a whole NCCO. Each error names the path of the invalid value.

    Args:
        raw: The NCCO, as parsed from JSON.
        errors: The list to which errors are added.
        at: The path of the NCCO in the body. The ``name`` of each error begins with this path.
        may_be_empty: True to accept an array without actions.

    Returns:
        The actions, which are valid only if no error was added.
    """
    if not isinstance(raw, list):
        errors.append({"name": at, "reason": WRONG_TYPE + _mix_up(raw)})
        return ()
    if not raw and not may_be_empty:
        errors.append({"name": at, "reason": "Must hold at least one action"})
    read = []
    for i, each in enumerate(raw):
        fields = Fields(each, f"{at}[{i}]", errors, is_lenient=True)
        read.append((fields, _action(fields)))
    _check_barge_in(read)
    return tuple(action for _, action in read if action is not None)


def _mix_up(raw: object) -> str:
    """Say what *raw*, which is not an NCCO, seems to be.

    Returns:
        The end of a sentence for an error message. If *raw* is not recognized, an empty string.
    """
    match raw:
        case {"ncco": _} | {"destination": _} | {"to": _} | {"answer_url": _}:
            return ": this is the body of a request; an NCCO is an array of actions"
        case {"action": "hangup" | "mute" | "unmute" | "earmuff" | "unearmuff"}:
            return ": this is the body of a request; an NCCO is an array of actions"
        case {"action": str()}:
            return ": this is a single action; an NCCO is an array of actions"
    return ""


def _check_barge_in(read: list[tuple[Fields, Action | None]]) -> None:
    """Refuse ``bargeIn`` in a prompt if no ``input`` action follows, since nothing could interrupt the prompt."""
    has_input = False
    for fields, action in reversed(read):
        if not isinstance(action, Play):
            has_input = isinstance(action, Input)
        elif action.barge_in and not has_input:
            fields.refuse("bargeIn", "Needs an input action after the prompts")


def read_talk(fields: Fields) -> Prompt:
    """Return the speech that the options of ``talk`` in *fields* describe, from an NCCO or the REST API."""
    text = fields.text("text", required=True) or ""
    if characters(text) > MAX_CHARACTERS:
        fields.refuse("text", f"Must be at most {MAX_CHARACTERS} characters long")
    try:
        ssml.check(text)
    except ssml.BadSsml as exc:
        fields.refuse("text", f"Must be well-formed SSML: {exc}")
    fields.text("language")
    fields.integer("style", 0, default=0)
    fields.flag("premium")
    fields.level()
    return speech(text, loop=_loop(fields), options=fields.given(*_SPEECH_OPTIONS))


def read_stream(fields: Fields, url: str) -> Prompt:
    """Return the audio that the options of ``stream`` in *fields* describe. *url* is the name of the URL field."""
    source = fields.url(url, required=True) or ""
    fields.level()
    return audio(source, loop=_loop(fields), options=fields.given(*_AUDIO_OPTIONS))


def read_detection(fields: Fields, standard: str, *advanced: str) -> Detection | None:
    """Return the settings for machine detection.

    Args:
        fields: The object that contains the options.
        standard: The name of the field for standard detection.
        advanced: The possible names of the field for advanced detection, which overrides standard detection.

    Returns:
        The settings, or None if no detection is requested.
    """
    behavior = fields.choice(standard, Behavior)
    given = [_advanced(options) for name in advanced if (options := fields.inside(name)) is not None]
    if given:
        return given[0]
    return None if behavior is None else Detection(behavior=behavior)


def _advanced(options: Fields) -> Detection:
    return Detection(
        behavior=options.choice("behavior", Behavior) or Behavior.CONTINUE,
        mode=options.choice("mode", Mode) or Mode.DETECT,
        beep_timeout=options.integer("beep_timeout", 30, 120, default=BEEP_TIMEOUT),
    )


def read_transcription(
    fields: Fields, sentiment: str, read_events: Callable[[Fields], Webhook | None]
) -> Transcription | None:
    """Return the settings in the ``transcription`` option of a recording, or None if the option is absent.

    Args:
        fields: The object that contains the option.
        sentiment: The name of the field for sentiment analysis: ``sentimentAnalysis`` in an NCCO, or
            ``sentiment_analysis`` in the REST API.
        read_events: A function that returns the webhook for ``transcribed`` events, given the fields of the option.
    """
    options = fields.inside("transcription")
    if options is None:
        return None
    return Transcription(
        language=options.text("language") or LANGUAGE,
        sentiment_analysis=options.flag(sentiment),
        events=read_events(options),
    )


def _action(fields: Fields) -> Action | None:
    name = fields.text("action", required=True)
    if name is None:
        return None
    read = _ACTIONS.get(name)
    if read is None:
        advice = _INSTEAD.get(name, f"it must be one of {', '.join(_ACTIONS)}")
        fields.refuse("action", f'"{name}" is not an action: {advice}')
        return None
    return read(fields)


def _talk(fields: Fields) -> Action:
    read_ncco_event_url(fields)
    fields.text("voiceName")
    check_provider(fields)
    return Play(prompt=read_talk(fields), barge_in=fields.flag("bargeIn"))


def _stream(fields: Fields) -> Action:
    read_ncco_event_url(fields)
    return Play(prompt=read_stream(fields, "streamUrl"), barge_in=fields.flag("bargeIn"))


def _record(fields: Fields) -> Action:
    is_split = fields.choice("split", SPLITS) is not None
    if "channels" in fields.raw and "split" not in fields.raw:
        fields.refuse("channels", "Needs split")
    channels = max(2, fields.integer("channels", 1, 32, default=2)) if is_split else 1
    form = fields.choice("format", Format) or Format.MP3
    key = fields.text("endOnKey")
    if key is not None and (len(key) != 1 or key not in "0123456789*#"):
        fields.refuse("endOnKey", "Must be one of 0-9, * and #")
    return Record(
        # An MP3 file has at most two channels.
        format=Format.WAV if form is Format.MP3 and channels > 2 else form,
        is_split=is_split,
        channels=channels,
        end_on_silence=fields.integer("endOnSilence", 3, 10, default=None),
        end_on_key=key,
        time_out=fields.integer("timeOut", 3, LONGEST_RECORDING, default=LONGEST_RECORDING),
        beep_start=fields.flag("beepStart"),
        transcription=read_transcription(fields, "sentimentAnalysis", read_ncco_event_url),
        events=read_ncco_event_url(fields),
    )


def _conversation(fields: Fields) -> Action:
    is_recorded = fields.flag("record")
    transcription = read_transcription(fields, "sentimentAnalysis", read_ncco_event_url)
    events = read_ncco_event_url(fields)
    if "transcription" in fields.raw and not is_recorded:
        fields.refuse("transcription", "Needs record: true")
    return Join(
        name=fields.text("name", required=True) or "",
        starts=fields.flag("startOnEnter", default=True),
        ends=fields.flag("endOnExit"),
        music=fields.url("musicOnHoldUrl"),
        record=Record(transcription=transcription, events=events) if is_recorded else None,
        **_audience(fields),
    )


def _audience(fields: Fields) -> dict[str, Any]:
    """Return the options ``mute``, ``canHear`` and ``canSpeak`` as keyword arguments for an action."""
    mute = fields.flag("mute")
    if mute and "canSpeak" in fields.raw:
        fields.refuse("mute", "Is not supported together with canSpeak")
    can_hear, can_speak = fields.texts("canHear"), fields.texts("canSpeak")
    return {
        "mute": mute,
        "can_hear": None if can_hear is None else frozenset(can_hear),
        "can_speak": None if can_speak is None else frozenset(can_speak),
    }


def _connect(fields: Fields) -> Action:
    if fields.flag("randomFromNumber") and "from" in fields.raw:
        fields.refuse("from", "Is not supported together with randomFromNumber")
    callee = fields.only("endpoint")
    endpoint, digits = ({}, None) if callee is None else read_endpoint(callee, "standardHeaders")
    on_answer, tone = (None, None) if callee is None else read_on_answer(callee)
    # Errors are listed in the order in which the fields are read.
    caller = read_caller(fields, endpoint)
    ringing_timer = fields.integer("timeout", 1, 120, default=RINGING_TIMER)
    length_timer = fields.integer("limit", 1, LENGTH_TIMER, default=LENGTH_TIMER)
    detection = read_detection(
        fields, "machineDetection", "advancedMachineDetection", "advanced_machine_detection"
    )
    ringback = read_tone(fields) or tone
    order = Order(
        to=endpoint,
        detection=detection,
        dtmf_answer=digits,
        ringing_timer=ringing_timer,
        length_timer=length_timer,
        is_synchronous=fields.choice("eventType", ("synchronous",)) is not None,
        on_answer=on_answer,
        events=read_ncco_event_url(fields),
    )
    return Dial(order=order, caller=caller, ringback=ringback)


def _input(fields: Fields) -> Action:
    return read_input(fields, read_ncco_event_url(fields))


def _notify(fields: Fields) -> Action:
    payload = fields.inside("payload", required=True)
    events = read_ncco_event_url(fields, required=True)
    return Notify(payload={} if payload is None else payload.sent, events=events or Webhook(url=""))


def _wait(fields: Fields) -> Action:
    seconds = fields.amount("timeout", low=0.1, high=7200, is_clamped=True)
    return Wait() if seconds is None else Wait(seconds=seconds)


def _transfer(fields: Fields) -> Action:
    # The reference spells the option conversation_id in its table, and conversationId in its example.
    names = [name for name in ("conversationId", "conversation_id") if name in fields.raw]
    given = [fields.text(name, required=True) or "" for name in names or ["conversationId"]]
    return MoveAll(conversation_uuid=given[0], **_audience(fields))


def _pay(fields: Fields) -> None:
    """Check a ``pay`` action.

    The platform's documentation no longer describes this action, and the sandbox skips it.
    """
    fields.url("eventUrl")
    fields.amount("amount", high=math.inf)
    fields.text("currency")
    voice = fields.inside("voice") or Fields({})
    voice.text("language")
    voice.integer("style", 0, default=0)
    prompts = fields.raw.get("prompts", [])
    if not isinstance(prompts, list):
        fields.refuse("prompts", WRONG_TYPE)
        return
    for i, each in enumerate(prompts):
        prompt = fields.at_path(f"prompts[{i}]", each)
        prompt.choice("type", ("CardNumber", "ExpirationDate", "SecurityCode"))
        prompt.text("text")
        prompt.inside("errors")


def _loop(fields: Fields) -> int:
    return min(fields.integer("loop", 0, default=1), MAX_LOOP)


_INSTEAD = {
    "hangup": "leave it out: the call ends when its flow ends",
    **dict.fromkeys(
        ("phone", "sip", "app", "vbc", "websocket"), 'write "connect" with an endpoint of this type'
    ),
}
"""Advice on what to write instead of a name that is often mistaken for the name of an action, keyed by the name."""

_ACTIONS: dict[str, Callable[[Fields], Action | None]] = {
    "talk": _talk,
    "stream": _stream,
    "record": _record,
    "conversation": _conversation,
    "connect": _connect,
    "input": _input,
    "notify": _notify,
    "wait": _wait,
    "transfer": _transfer,
    "pay": _pay,
}
