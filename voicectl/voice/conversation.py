"""Conversations, their members and their events. A conversation connects several legs.

Source: Conversation API reference, "model", "conversations", "members" and "events".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.strict_json import fields
from voicectl.voice.call import hyphenated, is_leg_id
from voicectl.voice.event import rtc_of

_GENERATED = re.compile(r"NAM-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_generated(name: str) -> bool:
    """Return True if the platform generated *name*. A conversation with such a name is not a room."""
    return _GENERATED.fullmatch(name) is not None


class ConversationState(StrEnum):
    """The states of a conversation. An inactive conversation can only be read or deleted."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETED = "DELETED"


class MemberState(StrEnum):
    """The states of a member, in the order in which they occur. The last state is final."""

    INVITED = "INVITED"
    JOINED = "JOINED"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation, as the API last described it.

    Attributes:
        id: The id: ``CON-`` followed by a UUID. Call records contain this id as ``conversation_uuid``.
        name: The name, which is unique within the region. The platform generates a name for a call's conversation.
        state: One of :class:`ConversationState`, or a state that this version of voicectl does not know.
        created: The time of creation in RFC 3339 format, or None if the record does not contain the time.
        raw: The complete record, as received.
    """

    id: str
    name: str
    state: str
    created: str | None
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Conversation:
        """Create a conversation from an API record. Only the field ``id`` is required.

        Raises:
            ValueError: The field ``id`` is missing, empty or not a string.
        """
        created = fields(raw.get("timestamp")).get("created")
        return cls(
            id=_id(raw),
            name=_text(raw.get("name")),
            state=_text(raw.get("state")),
            created=created if isinstance(created, str) else None,
            raw=raw,
        )

    @property
    def is_room(self) -> bool:
        """True if a user named the conversation, so that legs can join it by name; False if the platform named it."""
        return bool(self.name) and not is_generated(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a conversation, as the API last described it.

    Attributes:
        id: The id: ``MEM-`` followed by a UUID.
        state: One of :class:`MemberState`, or a state that this version of voicectl does not know.
        leg_uuid: The id of the member's leg, hyphenated and in lower case, or None if the record names no leg.
        muted: True if the other members cannot hear this member, or None if unknown.
        earmuffed: True if this member cannot hear the other members, or None if unknown.
        raw: The complete record, as received.
    """

    id: str
    state: str
    leg_uuid: str | None
    muted: bool | None
    earmuffed: bool | None
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Member:
        """Create a member from a complete record or a list entry. Only the field ``id`` is required.

        Raises:
            ValueError: The field ``id`` is missing, empty or not a string.
        """
        channel = fields(raw.get("channel"))
        legs = channel.get("leg_ids")
        named = [*(legs if isinstance(legs, list) else []), channel.get("id")]
        settings = fields(fields(raw.get("media")).get("audio_settings"))
        return cls(
            id=_id(raw),
            state=_text(raw.get("state")).upper(),
            leg_uuid=next(
                (hyphenated(each) for each in named if isinstance(each, str) and is_leg_id(each)), None
            ),
            muted=_flag(settings.get("muted")),
            earmuffed=_flag(settings.get("earmuffed")),
            raw=raw,
        )

    @property
    def is_present(self) -> bool:
        """True if the member has not left the conversation."""
        return self.state != MemberState.LEFT


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationEvent:
    """An event of a conversation, as the Conversation API describes it.

    Attributes:
        number: The event's ``id``. The events of a conversation are numbered, starting at 1.
        type: The type, such as ``member:joined``.
        leg: The id of the leg that the event is about, as received, or None if it is not about a leg.
        raw: The complete record, as received.
    """

    number: int
    type: str
    leg: str | None
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> ConversationEvent:
        """Create an event from an API record. Only the field ``id`` is required.

        Raises:
            ValueError: The field ``id`` is missing or not an integer.
        """
        match raw.get("id"):
            case int() as number if number is not True and number is not False:
                type_, leg, _ = rtc_of(raw)
                return cls(number=number, type=type_ or "", leg=leg, raw=raw)
        raise ValueError("an event without a number")


def _id(raw: dict[str, Any]) -> str:
    value = raw.get("id")
    if not isinstance(value, str) or not value:
        raise ValueError("a record without an id")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
