"""A conversation and its members: what legs share, and who is in it.

Source: Conversation API reference, "model", "conversations" and "members".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.strict_json import fields
from voicectl.voice.call import hyphenated, is_leg_id

_GENERATED = re.compile(r"NAM-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class ConversationState(StrEnum):
    """The states of a conversation; one that is inactive can only be read and deleted."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETED = "DELETED"


class MemberState(StrEnum):
    """The states of a member, in order; the last is final."""

    INVITED = "INVITED"
    JOINED = "JOINED"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation as the API last described it.

    Attributes:
        id: ``CON-`` and a UUID; a leg's ``conversation_uuid``.
        name: Unique in its region; made up by the platform for a call's own.
        state: One of :class:`ConversationState`, or a word that is newer than this program.
        created: RFC 3339, None if it was not told.
        raw: The record as received, every field of it.
    """

    id: str
    name: str
    state: str
    created: str | None
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Conversation:
        """Read a record liberally: only ``id`` must be there.

        Raises:
            ValueError: *raw* has no text in ``id``.
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
        """Whether somebody gave it its name, so that legs can be brought into it by that."""
        return bool(self.name) and not _GENERATED.fullmatch(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as the API last described it.

    Attributes:
        id: ``MEM-`` and a UUID.
        state: One of :class:`MemberState`, or a word that is newer than this program.
        leg_uuid: Its leg, hyphenated and in lower case; None if it has none, or a list does not tell.
        muted: Whether the others are kept from hearing it; None if that was not told.
        earmuffed: Whether it is kept from hearing the others; None if that was not told.
        raw: The record as received, every field of it.
    """

    id: str
    state: str
    leg_uuid: str | None
    muted: bool | None
    earmuffed: bool | None
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Member:
        """Read a record, whole or of a list, liberally: only ``id`` must be there.

        Raises:
            ValueError: *raw* has no text in ``id``.
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
        """Whether it has not left."""
        return self.state != MemberState.LEFT


def _id(raw: dict[str, Any]) -> str:
    value = raw.get("id")
    if not isinstance(value, str) or not value:
        raise ValueError("a record without an id")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
