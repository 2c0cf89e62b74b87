"""Reading what makes and changes conversations, members and users, checked whole before anything is done.

Each raises :class:`~voicectl.sandbox.parsing.fields.Invalid` if the body breaks the rules.

Source: Conversation API reference, sections on each operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voicectl.sandbox.conversations.conversation_log import MemberState
from voicectl.sandbox.parsing.fields import METHODS, MISSING, Fields

LONGEST_NAME = 100
LONGEST_DISPLAY_NAME = 50
LONGEST_URL = 2048
LONGEST_EVENT_MASK = 200

_NUMBERS = ("phone", "sip", "app", "websocket", "vbc", "whatsapp-voice")
_CHANNELS = ("pstn", "sip", "websocket", "vbc", "sms", "mms", "whatsapp", "viber", "messenger")
_RESERVED = "USR-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """The body of ``POST /v1/conversations/{id}/members``.

    Attributes:
        user: The id or the name.
        given: ``channel``, ``media`` and ``knocking_id``, as far as they were given.
        inviting: ``member_id_inviting``, or ``from``.
    """

    state: MemberState
    user: str
    given: dict[str, Any]
    inviting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The body of ``PATCH /v1/conversations/{id}/members/{id}``."""

    state: MemberState
    from_: str | None
    reason: dict[str, Any] | None


def read_conversation(body: object) -> tuple[str | None, dict[str, Any]]:
    """The body of ``POST`` or ``PUT`` of a conversation: its name, if any, and the settings as they were given."""
    fields = Fields({} if body is None else body)
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
    fields.done()
    return name, fields.given("display_name", "image_url", "properties", "numbers", "callback")


def read_enrolment(body: object) -> Enrolment:
    """The body of ``POST /v1/conversations/{id}/members``."""
    fields = Fields(body)
    state = fields.choice("state", ("invited", "joined"), required=True) or "invited"
    user, reference = fields.inside("user"), None
    if user is None:
        fields.refuse("user", MISSING)
    else:
        reference = user.text("id") or user.text("name")
        if reference is None:
            user.refuse("id", "One of id and name must be given")
    channel = fields.inside("channel")
    if channel is not None:
        channel.text("type", required=True)
    media = fields.inside("media") or Fields({})
    media.flag("audio")
    settings = media.inside("audio_settings") or Fields({})
    for name in ("enabled", "earmuffed", "muted"):
        settings.flag(name)
    fields.text("knocking_id")
    enrolment = Enrolment(
        state=MemberState(state.upper()),
        user=reference or "",
        given=fields.given("channel", "media", "knocking_id"),
        inviting=fields.text("member_id_inviting") or fields.text("from"),
    )
    fields.done()
    return enrolment


def read_step(body: object) -> Step:
    """The body of ``PATCH /v1/conversations/{id}/members/{id}``."""
    fields = Fields(body)
    state = fields.choice("state", ("joined", "left"), required=True) or "left"
    reason = fields.inside("reason")
    if reason is not None:
        reason.text("code")
        reason.text("text")
    step = Step(
        state=MemberState(state.upper()),
        from_=fields.text("from"),
        reason=None if reason is None else reason.given("code", "text"),
    )
    fields.done()
    return step


def read_user(body: object) -> tuple[str | None, dict[str, Any]]:
    """The body of ``POST`` or ``PATCH`` of a user: its name, if any, and the details as they were given."""
    fields = Fields({} if body is None else body)
    name = _name(fields)
    properties = fields.inside("properties") or Fields({})
    properties.inside("custom_data")
    channels = fields.inside("channels") or Fields({})
    for kind in channels.raw:
        if kind not in _CHANNELS:
            channels.refuse(kind, f"Must be one of {', '.join(_CHANNELS)}")
        else:
            _objects(channels, kind)
    fields.done()
    return name, fields.given("display_name", "image_url", "properties", "channels")


def is_user_name(name: str) -> bool:
    """Whether a user may be called so: other words stand for ids in paths."""
    return name != "me" and not name.startswith(_RESERVED)


def _name(fields: Fields) -> str | None:
    """``name``; its companions ``display_name`` and ``image_url`` are checked."""
    name = _text(fields, "name", LONGEST_NAME)
    _text(fields, "display_name", LONGEST_DISPLAY_NAME)
    _text(fields, "image_url", LONGEST_URL)
    return name


def _text(fields: Fields, name: str, longest: int) -> str | None:
    """A text that is not empty, and not longer than that."""
    text = fields.text(name, required=name in fields.raw)
    if text is not None and len(text) > longest:
        fields.refuse(name, f"Must be at most {longest} characters long")
    return text


def _objects(fields: Fields, name: str) -> list[Fields]:
    """A list of objects; empty if absent."""
    raw = fields.raw.get(name, [])
    if not isinstance(raw, list):
        fields.refuse(name, "Must be a list")
        return []
    return [fields.at_path(f"{name}[{i}]", each) for i, each in enumerate(raw)]
