"""The legs that the switchboard knows, and their arrangement into rows.

Arranging all legs takes time in proportion to their number, so :meth:`Roster.take` says whether that is necessary. A
change of a leg's status alone needs no new arrangement, because rows look up their legs when they are drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from voicectl.cli.switchboard.table.filters import Filter
from voicectl.core.calls.references import SHORTEST, shortest
from voicectl.core.calls.selection import Selection, meets
from voicectl.core.history import leg_key
from voicectl.core.watch.board import FORGET_SECONDS, SHOWN_SECONDS
from voicectl.store.action_log import Marks
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from voicectl.core.watch.sight import Change, Sight


READ_SECONDS = 60.0
"""How long a mute state that was read from a member counts as known, in seconds."""


class Order(StrEnum):
    """The columns by which rows can be sorted, in the order in which the key ``s`` chooses them."""

    AGE = "age"
    ROOM = "room"
    STATUS = "status"
    DIRECTION = "direction"
    FROM = "from"
    TO = "to"


class LegRow(NamedTuple):
    """A row for one leg.

    Attributes:
        key: The leg's id, in the form of :func:`~voicectl.core.history.leg_key`.
        is_grouped: True if the leg is below the row of its conversation.
    """

    key: str
    is_grouped: bool


class RoomRow(NamedTuple):
    """A row for a conversation, above the rows of its legs.

    Attributes:
        key: The conversation's id.
        legs: The keys of the conversation's legs that the filter admits.
        is_folded: True if the rows of the legs are hidden.
    """

    key: str
    legs: tuple[str, ...]
    is_folded: bool


Row: TypeAlias = LegRow | RoomRow
_Leg: TypeAlias = tuple[str, "Sight"]
"""A leg's key and the leg."""


@dataclass(slots=True)
class Roster:
    """The legs that the switchboard knows, and the settings by which they are arranged.

    Attributes:
        only: The conditions that all legs here meet. A leg that no longer meets them is removed.
        keeps_ended: True to list all legs that have ended, False to hide them some seconds after their end.
        sights: The state of each leg, by its key.
        names: The names of rooms, by conversation id.
        folded: The ids of the conversations whose legs are hidden.
        is_reversed: True if the order is reversed.
        rows: The rows of the last arrangement.
        next_expiry: The time at which the next leg that has ended is to be hidden, in Unix seconds.
        id_width: The number of characters of the longest shortened id.
        live: The number of live legs, listed or not.
        over: The number of legs that have ended.
        conversations: The number of conversations with a live leg.
        listed: The number of legs that are listed, including those in folded rooms.
    """

    only: Selection = field(default_factory=Selection)
    keeps_ended: bool = False
    filter: Filter = field(default_factory=Filter)
    order: Order = Order.AGE
    is_reversed: bool = False
    sights: dict[str, Sight] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    next_expiry: float = math.inf
    id_width: int = SHORTEST
    live: int = 0
    over: int = 0
    conversations: int = 0
    listed: int = 0
    _read_marks: dict[str, tuple[Marks, float]] = field(default_factory=dict)
    _short_ids: dict[str, str] = field(default_factory=dict)
    _has_new_ids: bool = False

    def take(self, changes: Iterable[Change]) -> bool:
        """Take over the changes to legs, and return True if the rows must be arranged again."""
        is_arrangement_old = False
        for change in changes:
            sight = change.sight
            key = leg_key(sight.call.uuid)
            if not meets(sight.call, self.only):
                is_arrangement_old |= self.sights.pop(key, None) is not None
                continue
            before = self.sights.get(key)
            if before is None:
                self._has_new_ids = True
            elif key in self._read_marks:
                read, at = self._read_marks[key]
                self._read_marks[key] = _updated(read, before.marks, sight.marks), at
            self.sights[key] = sight
            is_arrangement_old |= before is None or self._is_moved(before, sight)
        return is_arrangement_old

    def _is_moved(self, before: Sight, now: Sight) -> bool:
        """Return True if a change from *before* to *now* may move or hide a row."""
        return (
            bool(self.filter)
            or before.call.conversation_uuid != now.call.conversation_uuid
            or before.birth != now.birth
            or before.is_over != now.is_over
            or (self.order is Order.STATUS and before.call.status != now.call.status)
        )

    @property
    def needs_time(self) -> bool:
        """True if the rows depend on the age of legs."""
        return self.filter.older_than is not None

    def take_marks(self, read: Mapping[str, Marks], now: float) -> None:
        """Take over mute and earmuff states that were read from members at the time *now*, by key."""
        self._read_marks |= {key: (marks, now) for key, marks in read.items()}

    def marks(self, sight: Sight, now: float) -> Marks:
        """Return the mute and earmuff states of a leg.

        They are those of the leg's member if it was read in the last :data:`READ_SECONDS`. Later, another machine may
        have changed them, and the states are those that this machine set last.
        """
        read, at = self._read_marks.get(leg_key(sight.call.uuid), (sight.marks, -math.inf))
        return read if now - at <= READ_SECONDS else sight.marks

    def room(self, sight: Sight) -> str:
        """Return the name of a leg's room or, if it has no name, the id of the leg's conversation."""
        id_ = sight.call.conversation_uuid
        return self.names.get(id_, id_)

    def arrange(self, now: float, *, kept: Collection[str] = ()) -> list[Row]:
        """Arrange all legs into rows, and return the rows.

        Args:
            now: The current time, in Unix seconds.
            kept: The keys of legs that are listed although they ended long ago, such as the leg under the cursor.
        """
        if self._has_new_ids:
            self._shorten_ids()
        together: dict[str, list[_Leg]] = {}
        for key, sight in self._listed(now, kept):
            together.setdefault(sight.call.conversation_uuid or key, []).append((key, sight))
        self.rows = []
        for id_, legs in self._sorted(together):
            is_grouped = len(legs) > 1 or id_ in self.names
            is_folded = is_grouped and id_ in self.folded
            if is_grouped:
                self.rows.append(RoomRow(id_, tuple(key for key, _ in legs), is_folded))
            if not is_folded:
                self.rows += [LegRow(key, is_grouped) for key, _ in legs]
        return self.rows

    def _sorted(self, together: Mapping[str, list[_Leg]]) -> list[tuple[str, list[_Leg]]]:
        """Return the conversations in their order, each with its legs in their order.

        By age, a conversation begins with its oldest leg, and the conversation with the newest leg comes first or, in
        reversed order, the one with the oldest leg.
        """
        sort_key = self._sort_key()
        is_by_age = self.order is Order.AGE
        for legs in together.values():
            legs.sort(key=sort_key, reverse=self.is_reversed and not is_by_age)
        first = -1 if is_by_age and not self.is_reversed else 0
        return sorted(
            together.items(),
            key=lambda group: sort_key(group[1][first]),
            reverse=self.is_reversed is not is_by_age,
        )

    def short_id(self, uuid: str) -> str:
        """Return a beginning of a leg's id that LEG accepts: unique among the legs known here."""
        return self._short_ids.get(leg_key(uuid), uuid)

    def _shorten_ids(self) -> None:
        """Shorten the ids of all legs again, since there are new ones."""
        self._short_ids = shortest(self.sights)
        self.id_width = max(map(len, self._short_ids.values()), default=SHORTEST)
        self._has_new_ids = False

    def _listed(self, now: float, kept: Collection[str]) -> Iterable[_Leg]:
        """Return the legs to list, and forget the legs that ended too long ago."""
        found = []
        self.next_expiry = math.inf
        self.live = 0
        conversations = set()
        for key, sight in list(self.sights.items()):
            if sight.ended is None:
                self.live += 1
                conversations.add(sight.call.conversation_uuid or key)
            if sight.ended is not None and not self.keeps_ended and key not in kept:
                left = sight.ended + SHOWN_SECONDS - now
                if left <= 0:
                    if now - sight.ended > FORGET_SECONDS:
                        self._forget(key)
                    continue
                self.next_expiry = min(self.next_expiry, now + left)
            if not self.filter or self.filter.admits(sight, self.room(sight), now):
                found.append((key, sight))
        self.over = len(self.sights) - self.live
        self.conversations = len(conversations)
        self.listed = len(found)
        return found

    def _forget(self, key: str) -> None:
        del self.sights[key]
        self._read_marks.pop(key, None)

    def _sort_key(self) -> Callable[[_Leg], tuple[Any, float, str]]:
        """Return a function that returns the sort key of a pair of a leg's key and the leg."""
        names = self.names

        def room(sight: Sight) -> str:
            id_ = sight.call.conversation_uuid
            return (
                names[id_].lower() if id_ in names else f"\U0010ffff{id_}"
            )  # rooms without a name come last

        values: dict[Order, Callable[[Sight], Any]] = {
            Order.AGE: lambda sight: sight.birth.at,
            Order.ROOM: room,
            Order.STATUS: lambda sight: sight.call.status,
            Order.DIRECTION: lambda sight: sight.call.direction,
            Order.FROM: lambda sight: endpoint.label(sight.call.from_) or "",
            Order.TO: lambda sight: endpoint.label(sight.call.to) or "",
        }
        value = values[self.order]
        return lambda leg: (value(leg[1]), leg[1].birth.at, leg[0])


def _updated(read: Marks, before: Marks, now: Marks) -> Marks:
    """Return the states that were *read*, with those that this machine has set since: *before* became *now*."""
    return Marks(
        muted=read.muted if before.muted == now.muted else now.muted,
        earmuffed=read.earmuffed if before.earmuffed == now.earmuffed else now.earmuffed,
    )
