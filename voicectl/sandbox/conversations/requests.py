"""Functions that read request bodies of the Conversation API and the Users API.

Each function checks the whole body, and raises :class:`~voicectl.sandbox.parsing.fields.Invalid` if the body is
invalid.

Source: Conversation API reference, the section on each operation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.sandbox.conversations.conversation_log import MemberState
from voicectl.sandbox.conversations.log import EPHEMERAL
from voicectl.sandbox.parsing.endpoints import read_event_url
from voicectl.sandbox.parsing.fields import METHODS, Fields
from voicectl.sandbox.parsing.ncco import SPLITS, read_transcription
from voicectl.sandbox.telephony.actions import LONGEST_RECORDING, Format, Record

LONGEST_NAME = 100
LONGEST_DISPLAY_NAME = 50
LONGEST_URL = 2048
LONGEST_EVENT_MASK = 200
LONGEST_RETENTION = 400
RETENTION_DAYS = 31

_NUMBERS = ("phone", "sip", "app", "websocket", "vbc", "whatsapp-voice")
_CHANNELS = ("pstn", "sip", "websocket", "vbc", "sms", "mms", "whatsapp", "viber", "messenger")
_RESERVED = "USR-"
_MESSAGE = re.compile(r"message(:[a-z]+)?|custom:[\w\-:]+", re.ASCII)

_FORMATS = {"mp3": Format.MP3, "wav": Format.WAV, "vorbis": Format.OGG}
"""The audio formats for recordings, keyed by their names in the Conversation API."""


class AudioEvent(StrEnum):
    """The types of events that affect the audio of a call when a client posts them."""

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
class NewMember:
    """The body of ``POST /v1/conversations/{id}/members``.

    Attributes:
        user: The id or the name of the user.
        given: The fields ``channel``, ``media`` and ``knocking_id``, if the client sent them.
        inviting: The id of the inviting member, from ``member_id_inviting`` or ``from``, or None if the client sent
            neither field.
    """

    state: MemberState
    user: str
    given: dict[str, Any]
    inviting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChange:
    """The body of ``PATCH /v1/conversations/{id}/members/{id}``."""

    state: MemberState
    from_: str | None
    reason: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedEvent:
    """The body of ``POST /v1/conversations/{id}/events``, in which ``from`` is the id of a member."""

    type: str
    from_: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingChange:
    """The body of ``PUT /v1/conversations/{id}/record``. If ``order`` is None, the request stops the recording."""

    order: Record | None
    retention_days: int


def read_conversation(body: object) -> tuple[str | None, dict[str, Any]]:
    """Read the body of a ``POST`` or ``PUT`` request for a conversation.

    Returns:
        The name, or None if the client sent no name, and the settings as the client sent them.
    """
    with Fields({} if body is None else body) as fields:
        name = _name(fields)
        properties = fields.inside("properties") or Fields({})
        properties.integer("ttl", 1, default=None)
        properties.inside("custom_data")
        properties.text("type")
        properties.text("custom_sort_key")
        for number in _objects(fields, "numbers"):
            number.choice("type", _NUMBERS, required=True)
        callback = fields.inside("callback") or Fields({})
        callback.link("url")
        _text(callback, "event_mask", LONGEST_EVENT_MASK)
        callback.choice("method", METHODS)
        callback.inside("params")
    return name, fields.given("display_name", "image_url", "properties", "numbers", "callback")


def read_new_member(body: object) -> NewMember:
    """Read the body of ``POST /v1/conversations/{id}/members``."""
    with Fields(body) as fields:
        state = fields.choice("state", ("invited", "joined"), required=True) or "invited"
        user, reference = fields.inside("user", required=True), None
        if user is not None:
            reference = user.text("id") or user.text("name")
            if reference is None:
                user.refuse("id", "Either id or name must be given")
        channel = fields.inside("channel")
        if channel is not None:
            channel.text("type", required=True)
        media = fields.inside("media") or Fields({})
        media.flag("audio")
        settings = media.inside("audio_settings") or Fields({})
        for name in ("enabled", "earmuffed", "muted"):
            settings.flag(name)
        fields.text("knocking_id")
        return NewMember(
            state=MemberState(state.upper()),
            user=reference or "",
            given=fields.given("channel", "media", "knocking_id"),
            inviting=fields.text("member_id_inviting") or fields.text("from"),
        )


def read_member_change(body: object) -> MemberChange:
    """Read the body of ``PATCH /v1/conversations/{id}/members/{id}``."""
    with Fields(body) as fields:
        state = fields.choice("state", ("joined", "left"), required=True) or "left"
        reason = fields.inside("reason")
        if reason is not None:
            reason.text("code")
            reason.text("text")
        return MemberChange(
            state=MemberState(state.upper()),
            from_=fields.text("from"),
            reason=None if reason is None else reason.given("code", "text"),
        )


def read_user(body: object) -> tuple[str | None, dict[str, Any]]:
    """Read the body of a ``POST`` or ``PATCH`` request for a user.

    Returns:
        The name, or None if the client sent no name, and the details as the client sent them.
    """
    with Fields({} if body is None else body) as fields:
        name = _name(fields)
        properties = fields.inside("properties") or Fields({})
        properties.inside("custom_data")
        channels = fields.inside("channels") or Fields({})
        for kind in channels.raw:
            if kind not in _CHANNELS:
                channels.refuse(kind, f"Must be one of {', '.join(_CHANNELS)}")
            else:
                _objects(channels, kind)
    return name, fields.given("display_name", "image_url", "properties", "channels")


def read_event(body: object) -> PostedEvent:
    """Read the body of ``POST /v1/conversations/{id}/events``."""
    with Fields(body) as fields:
        type_ = fields.text("type", required=True) or ""
        is_known = type_ in list(AudioEvent) or type_ == EPHEMERAL or is_message(type_)
        if type_ and not is_known:
            fields.refuse(
                "type", f"Must be custom:NAME, ephemeral, message or one of {', '.join(AudioEvent)}"
            )
        inside = fields.inside("body")
        return PostedEvent(type=type_, from_=fields.text("from"), body={} if inside is None else inside.sent)


def read_recording_change(body: object) -> RecordingChange:
    """Read the body of ``PUT /v1/conversations/{id}/record``."""
    with Fields(body) as fields:
        action = fields.choice("action", ("start", "stop"), required=True)
        order = read_record(fields)
        days = fields.integer("retention_ttl", 1, LONGEST_RETENTION, default=RETENTION_DAYS)
        return RecordingChange(order=None if action == "stop" else order, retention_days=days)


def read_record(fields: Fields) -> Record:
    """Read the settings of a recording from *fields*, in the format of the Conversation API.

    Add any errors to *fields*.
    """
    split = fields.choice("split", SPLITS)
    return Record(
        format=_FORMATS[fields.choice("format", _FORMATS) or "mp3"],
        is_split=split is not None,
        channels=1 if split is None else 2,
        time_out=fields.integer("timeout", 1, LONGEST_RECORDING, default=LONGEST_RECORDING),
        beep_start=fields.flag("beep_start"),
        transcription=read_transcription(fields, "sentiment_analysis", read_event_url),
        events=read_event_url(fields),
    )


def is_message(type_: str) -> bool:
    """Return True if *type_* is the type of a message or of a custom event, which applications can delete."""
    return _MESSAGE.fullmatch(type_) is not None


def is_user_name(name: str) -> bool:
    """Return True if *name* can be the name of a user.

    A name must not look like a user id, because a URL path can contain either a name or an id.
    """
    return name != "me" and not name.startswith(_RESERVED)


def _name(fields: Fields) -> str | None:
    """Read the field ``name``, which may be absent. Also check ``display_name`` and ``image_url``."""
    name = _text(fields, "name", LONGEST_NAME)
    _text(fields, "display_name", LONGEST_DISPLAY_NAME)
    _text(fields, "image_url", LONGEST_URL)
    return name


def _text(fields: Fields, name: str, longest: int) -> str | None:
    """Read the optional field *name*, a string of 1 to *longest* characters."""
    text = fields.text(name, required=name in fields.raw)
    if text is not None and len(text) > longest:
        fields.refuse(name, f"Must be at most {longest} characters long")
    return text


def _objects(fields: Fields, name: str) -> list[Fields]:
    """Read the field *name*, a list of objects. If the field is absent, return an empty list."""
    raw = fields.raw.get(name, [])
    if not isinstance(raw, list):
        fields.refuse(name, "Must be a list")
        return []
    return [fields.at_path(f"{name}[{i}]", each) for i, each in enumerate(raw)]
