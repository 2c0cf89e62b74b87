"""Reading an NCCO: ``talk``, ``stream``, ``conversation`` and ``connect`` to a phone; everything else is refused.

Option names that no document knows are ignored, as the platform does.

Source: NCCO reference.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from voicectl.errors import InputError
from voicectl.sandbox.checks import WRONG_TYPE, Fields
from voicectl.sandbox.telephony.detection import BEEP_TIMEOUT, Behavior, Detection, Mode
from voicectl.sandbox.telephony.flow import LENGTH_TIMER, RINGING_TIMER, Action, Actions, Dial, Join, Play
from voicectl.sandbox.telephony.hearing import audio, speech
from voicectl.voice import dtmf
from voicectl.voice.speech import MAX_CHARACTERS, characters

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.hearing import Prompt

MAX_LOOP = 1_000_000
"""A bound of our own, for arithmetic's sake; it is beyond the longest call."""

_SPEECH_OPTIONS = ("language", "style", "premium", "loop", "level", "voice_name", "voiceName")
_AUDIO_OPTIONS = ("loop", "level")


class Method(StrEnum):
    """How a webhook is called."""

    GET = "GET"
    POST = "POST"


class EventType(StrEnum):
    """``eventType`` of ``connect``."""

    SYNCHRONOUS = "synchronous"


def read_ncco(raw: object, wrongs: list[dict[str, str]], at: str = "ncco") -> Actions:
    """Read a whole NCCO, noting in *wrongs* what is wrong with it and where.

    Returns:
        The actions; of no use if anything was noted.
    """
    if not isinstance(raw, list):
        wrongs.append({"name": at, "reason": WRONG_TYPE})
        return ()
    if not raw:
        wrongs.append({"name": at, "reason": "Must hold at least one action"})
    actions = (_action(Fields(each, f"{at}[{i}]", wrongs)) for i, each in enumerate(raw))
    return tuple(action for action in actions if action is not None)


def read_talk(fields: Fields) -> Prompt:
    """The options of a ``talk``, whether of an NCCO or of REST."""
    text = fields.text("text", required=True) or ""
    if characters(text) > MAX_CHARACTERS:
        fields.refuse("text", f"Must be at most {MAX_CHARACTERS} characters long")
    fields.text("language")
    fields.integer("style", 0, default=0)
    fields.flag("premium")
    fields.level()
    loop = fields.integer("loop", 0, MAX_LOOP, default=1)
    return speech(text, loop=loop, options=_given(fields, _SPEECH_OPTIONS))


def read_stream(fields: Fields, url: str) -> Prompt:
    """The options of a ``stream``; *url* names the field of its URL: ``streamUrl``, in REST ``stream_url``."""
    source = fields.url(url, required=True) or ""
    fields.level()
    loop = fields.integer("loop", 0, MAX_LOOP, default=1)
    return audio(source, loop=loop, options=_given(fields, _AUDIO_OPTIONS))


def read_detection(fields: Fields, standard: str, advanced: str) -> Detection | None:
    """Machine detection by its two field names; the advanced one wins if both are given."""
    behavior = fields.choice(standard, Behavior)
    options = fields.inside(advanced)
    if options is None:
        return None if behavior is None else Detection(behavior=behavior)
    return Detection(
        behavior=options.choice("behavior", Behavior) or Behavior.CONTINUE,
        mode=options.choice("mode", Mode) or Mode.DETECT,
        beep_timeout=options.integer("beep_timeout", 30, 120, default=BEEP_TIMEOUT),
    )


def read_digits(fields: Fields, name: str, *, required: bool = False) -> str | None:
    """Digits to be sent; what is wrong with them is told without repeating them."""
    digits = fields.text(name, required=required)
    try:
        return None if digits is None else dtmf.check(digits)
    except InputError as exc:
        fields.refuse(name, exc.message)
        return None


def _action(fields: Fields) -> Action | None:
    name = fields.text("action", required=True)
    if name is None:
        return None
    read = _ACTIONS.get(name)
    if read is None:
        fields.refuse("action", f'"{name}" is not served here: only {", ".join(_ACTIONS)} are')
        return None
    fields.url("eventUrl")
    fields.choice("eventMethod", Method)
    return read(fields)


def _talk(fields: Fields) -> Action:
    _refuse_barge_in(fields)
    return Play(prompt=read_talk(fields))


def _stream(fields: Fields) -> Action:
    _refuse_barge_in(fields)
    return Play(prompt=read_stream(fields, "streamUrl"))


def _conversation(fields: Fields) -> Action:
    if fields.flag("mute") and "canSpeak" in fields.raw:
        fields.refuse("mute", "Is not supported together with canSpeak")
    records = fields.flag("record")
    if fields.inside("transcription") is not None and not records:
        fields.refuse("transcription", "Needs record: true")
    return Join(
        name=fields.text("name", required=True) or "",
        starts=fields.flag("startOnEnter", default=True),
        ends=fields.flag("endOnExit"),
        mute=fields.raw.get("mute") is True,
        can_hear=fields.texts("canHear"),
        can_speak=fields.texts("canSpeak"),
        music=fields.url("musicOnHoldUrl"),
    )


def _connect(fields: Fields) -> Action:
    if fields.choice("eventType", EventType) is not None:
        fields.refuse("eventType", "Needs a reply to an event, and no events are sent here")
    if fields.flag("randomFromNumber") and "from" in fields.raw:
        fields.refuse("from", "Is not supported together with randomFromNumber")
    callee = fields.only("endpoint")
    number, digits = _phone(callee) if callee is not None else (None, None)
    return Dial(
        endpoint={"type": "phone", "number": number or ""},
        caller=fields.number("from"),
        timeout=fields.integer("timeout", 1, 120, default=RINGING_TIMER),
        limit=fields.integer("limit", 1, LENGTH_TIMER, default=LENGTH_TIMER),
        detection=read_detection(fields, "machineDetection", "advancedMachineDetection"),
        dtmf_answer=digits,
        ringback=fields.text("ringbackTone"),
    )


def _phone(callee: Fields) -> tuple[str | None, str | None]:
    kind = callee.text("type", required=True)
    if kind is None:
        return None, None
    if kind != "phone":
        callee.refuse("type", f'"{kind}" is not served here: connect dials phones only')
        return None, None
    if "onAnswer" in callee.raw:
        callee.refuse("onAnswer", "Is not served here")
    return callee.number("number", required=True), read_digits(callee, "dtmfAnswer")


def _refuse_barge_in(fields: Fields) -> None:
    if fields.flag("bargeIn"):
        fields.refuse("bargeIn", "Needs an input after it, which is not served here")


def _given(fields: Fields, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields.raw[name] for name in names if name in fields.raw}


_ACTIONS: dict[str, Callable[[Fields], Action]] = {
    "talk": _talk,
    "stream": _stream,
    "conversation": _conversation,
    "connect": _connect,
}
