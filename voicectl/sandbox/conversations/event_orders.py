"""Reading what is done by posting events, and by recording a whole conversation.

Each raises :class:`~voicectl.sandbox.parsing.fields.Invalid` if the body breaks the rules.

Source: Conversation API reference, "events" and "whole-conversation media".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.sandbox.conversations.log import EPHEMERAL
from voicectl.sandbox.parsing.endpoints import read_event_url
from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.parsing.input_action import LANGUAGE
from voicectl.sandbox.parsing.ncco import SPLITS
from voicectl.sandbox.telephony.actions import LONGEST_RECORDING, Format, Record, Transcription

LONGEST_RETENTION = 400
RETENTION_DAYS = 31

_FORMATS = {"mp3": Format.MP3, "wav": Format.WAV, "vorbis": Format.OGG}
"""Of a recording, as this API names them."""

_CUSTOM = re.compile(r"custom:[\w\-:]+", re.ASCII)
_MESSAGE = re.compile(r"message(:[a-z]+)?")


class Act(StrEnum):
    """The events that do something when they are posted."""

    PLAY = "audio:play"
    STOP_PLAY = "audio:play:stop"
    SAY = "audio:say"
    STOP_SAY = "audio:say:stop"
    DTMF = "audio:dtmf"
    RECORD = "audio:record"
    STOP_RECORD = "audio:record:stop"
    MUTE = "audio:mute:on"
    UNMUTE = "audio:mute:off"
    EARMUFF = "audio:earmuff:on"
    UNEARMUFF = "audio:earmuff:off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """The body of ``POST /v1/conversations/{id}/events``; ``from_`` is a member's id."""

    type: str
    from_: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """The body of ``PUT /v1/conversations/{id}/record``; ``order`` is None to stop."""

    order: Record | None
    retention_days: int


def is_message(type_: str) -> bool:
    """Whether events of this type are the application's own, to be told, kept and deleted."""
    return bool(_MESSAGE.fullmatch(type_) or _CUSTOM.fullmatch(type_))


def read_event(body: object) -> Posted:
    """The body of ``POST /v1/conversations/{id}/events``."""
    fields = Fields(body)
    type_ = fields.text("type", required=True) or ""
    is_known = type_ in list(Act) or type_ == EPHEMERAL or is_message(type_)
    if type_ and not is_known:
        fields.refuse("type", f"Must be custom:NAME, ephemeral, message or one of {', '.join(Act)}")
    inside = fields.inside("body")
    posted = Posted(type=type_, from_=fields.text("from"), body={} if inside is None else inside.raw)
    fields.done()
    return posted


def read_recorder(body: object) -> Recorder:
    """The body of ``PUT /v1/conversations/{id}/record``."""
    fields = Fields(body)
    action = fields.choice("action", ("start", "stop"), required=True)
    order = read_record(fields)
    days = fields.integer("retention_ttl", 1, LONGEST_RETENTION, default=RETENTION_DAYS)
    fields.done()
    return Recorder(order=None if action == "stop" else order, retention_days=days)


def read_record(fields: Fields) -> Record:
    """How to record, in the names of this API; what is wrong is noted in *fields*."""
    split = fields.choice("split", SPLITS)
    return Record(
        format=_FORMATS[fields.choice("format", _FORMATS) or "mp3"],
        is_split=split is not None,
        channels=1 if split is None else 2,
        time_out=fields.integer("timeout", 1, LONGEST_RECORDING, default=LONGEST_RECORDING),
        beep_start=fields.flag("beep_start"),
        transcription=_transcription(fields.inside("transcription")),
        events=read_event_url(fields),
    )


def _transcription(fields: Fields | None) -> Transcription | None:
    if fields is None:
        return None
    return Transcription(
        language=fields.text("language") or LANGUAGE,
        sentiment_analysis=fields.flag("sentiment_analysis"),
        events=read_event_url(fields),
    )
