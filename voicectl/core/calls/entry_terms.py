"""The terms on which a leg enters a room: whom it hears, who hears it, and whether it starts the conference.

The platform does not report the terms, so voicectl records the terms that it sets itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.voice.call import hyphenated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTerms:
    """The options with which voicectl moved a leg into a room.

    Attributes:
        can_hear: The hyphenated lower-case ids of the legs that the moved leg hears, or None if it hears all legs.
        can_speak: The hyphenated lower-case ids of the legs that hear the moved leg, or None if all legs hear it.
        starts: True if the conference starts when the moved leg enters.
    """

    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    starts: bool = True

    @classmethod
    def of(
        cls, *, can_hear: Sequence[str] | None, can_speak: Sequence[str] | None, starts: bool
    ) -> EntryTerms:
        """Create the entry terms from the options with which a leg is moved."""
        return cls(can_hear=_ids(can_hear), can_speak=_ids(can_speak), starts=starts)

    @property
    def detail(self) -> dict[str, Any]:
        """The entry terms, in the format of the action log."""
        return {
            name: sorted(legs)
            for name, legs in (("can_hear", self.can_hear), ("can_speak", self.can_speak))
            if legs is not None
        } | ({} if self.starts else {"starts": False})

    @classmethod
    def from_detail(cls, detail: Mapping[str, Any]) -> EntryTerms:
        """Create the entry terms from a value of :attr:`detail` that was stored in the action log."""
        return cls.of(
            can_hear=detail.get("can_hear"),
            can_speak=detail.get("can_speak"),
            starts=detail.get("starts") is not False,
        )


def entry_detail(flow: Sequence[Mapping[str, Any]] | None) -> dict[str, Any] | None:
    """Return the room that a leg with the NCCO *flow* enters, and the entry terms.

    The result has the format of the action log. It is None if the flow enters no room.
    """
    for action in flow or ():
        if action.get("action") == "conversation" and isinstance(action.get("name"), str):
            can_hear, can_speak = action.get("canHear"), action.get("canSpeak")
            starts = action.get("startOnEnter") is not False
            terms = EntryTerms.of(can_hear=can_hear, can_speak=can_speak, starts=starts)
            return {"room": action["name"], **terms.detail}
    return None


def _ids(value: object) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    return frozenset(hyphenated(each) for each in value if isinstance(each, str))
