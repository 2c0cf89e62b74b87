"""Moving legs into rooms, finding out which legs would be alone after a move, and checking where moved legs arrived.

Legs share a conversation in one of two ways. Legs joined by a ``connect`` depend on each other: when one of two such
legs leaves, the platform ends the call of the other leg. Legs in a room (a named conversation) are independent: a leg
stays when other legs leave. Renaming a conversation made by ``connect`` turns it into a room, but its legs remain
joined, so the action log of this machine records each rename.

Before a move, :func:`surroundings` finds out in which way the legs share their conversation, and which leg would be
alone after the move. All legs in a conversation can be moved together (:func:`move_group`), by one of two methods:

- If no conversation has the room's name, one conversation made by ``connect`` is given that name. The legs of this
  conversation are then in the room without being moved, so no call ends.
- Other legs are moved one by one. A connected leg ends if the leg that connected it leaves first, so the connected
  leg is moved first. The platform may still end the last leg in such a conversation before that leg is moved.

The platform accepts a move before it carries the move out, and the leg may pass through a conversation of its own. So
:class:`ArrivalCheck` reads each leg's record until the leg is in the room, the leg has ended, or time is up.

Source: Conversation API reference, "moving legs between conversations"; Voice API reference, "regions".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from voicectl.core.calls.live import live_calls
from voicectl.errors import ApiError, NotFoundError, TransportError
from voicectl.voice import endpoint
from voicectl.voice.call import CallStatus, hyphenated
from voicectl.voice.conversation import ConversationState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.api.conversations import ConversationApi
    from voicectl.clock import Clock
    from voicectl.store.action_log import Note
    from voicectl.voice.call import Call
    from voicectl.voice.conversation import Conversation

ARRIVAL_SECONDS = 5.0
"""How long to wait for a leg to arrive in a room after the API has accepted the move, in seconds."""

LOOK_SECONDS = 3.0
"""How long the reads before a move may take in total, in seconds."""

POLL_SECONDS = 0.25

NAMED = "name"
"""The type of action log entry that records the renaming of a conversation whose legs a ``connect`` joined."""

CONFLICT = 409

_UP = (CallStatus.ANSWERED, CallStatus.MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A leg, its conversation, and the other legs in that conversation.

    Attributes:
        call: The leg.
        legs: The live legs in the conversation, including *call*; the leg that was answered last comes first.
        conversation: The conversation's record, or None if the record could not be read.
        is_joined: True if there are several legs and a ``connect`` joined them, so that the platform may end the call
            of a leg when another leg leaves.
        doubt: The reason why *legs* may be incomplete; empty if *legs* is complete.
        fault: The error that prevented the conversation's record from being read, or None if there was no error.
    """

    call: Call
    legs: Sequence[Call]
    conversation: Conversation | None = None
    is_joined: bool = False
    doubt: str = ""
    fault: ApiError | TransportError | None = None

    @property
    def left_alone(self) -> Call | None:
        """The other leg if a ``connect`` joined exactly two legs, or None.

        If the leg *call* leaves the conversation, the platform ends the other leg's call.
        """
        others = [each for each in self.legs if each.uuid != self.call.uuid]
        return others[0] if self.is_joined and len(others) == 1 else None


class TimeLimit:
    """A time limit that several reads share. It expires :data:`LOOK_SECONDS` after it is created."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.monotonic() + LOOK_SECONDS

    def left(self) -> float:
        """Return how much time is left, in seconds.

        Raises:
            TransportError: No time is left.
        """
        left = self._until - self._clock.monotonic()
        if left <= 0:
            raise TransportError("The API is responding too slowly.", hint="Run the command again.")
        return left


def surroundings(
    api: VoiceApi,
    conversations: ConversationApi,
    clock: Clock,
    uuid: str,
    *,
    notes_of: Callable[[str], Iterable[Note]],
) -> Surroundings:
    """Return a leg's surroundings: the leg's conversation, and the other legs in that conversation.

    The API's list of calls may lack the leg itself if the list is out of date or comes from another region. The other
    legs are then unknown, and the result's ``doubt`` gives the reason.

    Args:
        uuid: The leg's id.
        notes_of: A function that takes the id of a conversation, and returns the action log entries about the
            conversation.

    Raises:
        ApiError: The API refused a request.
        TransportError: The API gave no usable response in time.
    """
    limit = TimeLimit(clock)
    call = api.get_call(uuid, within=limit.left())
    id_ = call.conversation_uuid
    if not id_ or call.is_final:
        return Surroundings(call=call, legs=[call])
    cuts: list[str] = []
    live = live_calls(
        api,
        conversation_uuid=id_,
        within=limit.left,
        on_cut=lambda: cuts.append("there may be more legs than voicectl could list"),
    )
    if all(hyphenated(each.uuid) != hyphenated(call.uuid) for each in live):
        doubt = f"the leg is on {api.host(uuid)}, and the list of calls does not include it"
        return Surroundings(call=call, legs=[call], doubt=doubt)
    legs = sorted(live, key=_answered_at)[::-1]
    conversation, fault = None, None
    try:
        conversation = conversations.get(id_, within=limit.left())
    except (ApiError, TransportError) as exc:
        fault = exc
    is_joined = (conversation is None or not conversation.is_room) or any(
        note.what == NAMED and note.outcome in ("done", "unknown") for note in notes_of(id_)
    )
    return Surroundings(
        call=call,
        legs=legs,
        conversation=conversation,
        is_joined=is_joined and len(legs) > 1,
        doubt="".join(cuts[:1]),
        fault=fault,
    )


def _answered_at(call: Call) -> str:
    return str(call.raw.get("start_time") or "")


def room_exists(conversations: ConversationApi, clock: Clock, room: str) -> bool:
    """Return True if a conversation has the name *room*.

    Return False if there is no such conversation, or if the list of conversations cannot be read in time.
    """
    limit = TimeLimit(clock)
    with suppress(ApiError, TransportError):
        for each in conversations.list(within=limit.left()):
            if each.name == room and each.state != ConversationState.DELETED:
                return True
            limit.left()
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveGroup:
    """The legs that are moved into a room together.

    Attributes:
        calls: The legs in the order in which they are moved. A leg that a ``connect`` created moves before the leg
            whose flow contains the ``connect``, since that flow then continues. In the other order, the connected leg
            would end.
        in_room: The ids of the legs that are already in the room.
        joined: The conversation made by ``connect`` that can be renamed to become the room, or None.
        stays: The ids of the legs in *joined*.
        apart: The ids of the other conversations made by ``connect``. Their legs are moved one by one, and the
            platform may end the call of the last leg before that leg is moved.
    """

    calls: Sequence[Call]
    in_room: frozenset[str]
    joined: Conversation | None
    stays: frozenset[str]
    apart: Sequence[str] = ()


def move_group(around: Iterable[Surroundings], room: str, *, may_become: bool = True) -> MoveGroup:
    """Return the group of legs to move: the chosen legs, and all answered legs in their conversations.

    If a conversation may be renamed to become the room, the group's ``joined`` is the first conversation made by
    ``connect`` whose record could be read, even if that conversation was renamed before.

    Args:
        around: The chosen legs, with their conversations.
        room: The room's name.
        may_become: True if a conversation may be renamed to become the room. This requires that the room does not
            exist yet, and that no leg enters the room with options such as ``canHear``.
    """
    seen: dict[str, Call] = {}
    in_room: set[str] = set()
    joined: Surroundings | None = None
    apart: dict[str, None] = {}
    for each in around:
        if each.conversation is not None and each.conversation.name == room:
            seen.setdefault(each.call.uuid, each.call)
            in_room |= {each.call.uuid}
            continue
        for call in each.legs:
            if call.status in _UP or call.uuid == each.call.uuid:
                seen.setdefault(call.uuid, call)
        if not each.is_joined:
            continue
        if joined is None and may_become and each.conversation is not None:
            joined = each
        else:
            apart[each.call.conversation_uuid] = None
    if joined is not None:
        apart.pop(joined.call.conversation_uuid, None)
    return MoveGroup(
        calls=list(seen.values()),
        in_room=frozenset(in_room),
        joined=None if joined is None else joined.conversation,
        stays=frozenset() if joined is None else frozenset(call.uuid for call in joined.legs),
        apart=list(apart),
    )


def rename_to_room(conversations: ConversationApi, conversation: Conversation, room: str) -> bool:
    """Give a conversation the name *room*, so that its legs are in the room without being moved.

    Returns:
        True if the conversation now has the name *room*, False if another conversation already has that name.
    """
    try:
        conversations.rename(conversation, room)
    except ApiError as exc:
        if exc.status != CONFLICT:
            raise
        return conversations.get(conversation.id).name == room
    return True


class Place(Enum):
    """The place where a leg was found after a move."""

    ROOM = "in the room"
    ELSEWHERE = "in a different conversation"
    SAME = "where it was"
    OVER = "ended"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result of the latest attempt to find out where a leg is after a move.

    Attributes:
        place: The place where the leg was found.
        call: The leg's record, or None if the record was not found or could not be read.
        why: The reason why the record could not be read; empty otherwise.
    """

    place: Place
    call: Call | None = None
    why: str = ""

    @property
    def conversation_uuid(self) -> str:
        """The id of the conversation that the leg is in; empty if unknown."""
        return "" if self.call is None else self.call.conversation_uuid

    def __str__(self) -> str:
        """Return the end of a sentence about the leg, such as "is in the room, CON-..."."""
        match self.place:
            case Place.OVER:
                return (
                    f"has ended: {self.call.status if self.call else 'the API no longer has a record of it'}"
                )
            case Place.UNKNOWN:
                return f"cannot be read: {self.why.rstrip('.')}"
            case Place.ROOM:
                return f"is in the room, {self.conversation_uuid}"
        return f"is in {self.conversation_uuid or 'no conversation'}"


class ArrivalCheck:
    """Checks whether legs that were moved into a room have arrived there.

    Args:
        room: The room's name.
    """

    def __init__(self, api: VoiceApi, conversations: ConversationApi, clock: Clock, room: str) -> None:
        self._api = api
        self._conversations = conversations
        self._clock = clock
        self._room = room
        self._names: dict[str, str | None] = {}

    def where(self, uuid: str, before: str, *, within: float = LOOK_SECONDS) -> Found:
        """Read a leg's record, and return where the leg is.

        Args:
            uuid: The leg's id.
            before: The id of the conversation that the leg was in before the move.
            within: How long the request for the record may take, in seconds.
        """
        try:
            call = self._api.get_call(uuid, within=within)
        except NotFoundError:
            return Found(place=Place.OVER)
        except (ApiError, TransportError) as exc:
            return Found(place=Place.UNKNOWN, why=exc.message)
        if call.is_final:
            return Found(place=Place.OVER, call=call)
        id_ = call.conversation_uuid
        if id_ and self._name(id_) == self._room:
            return Found(place=Place.ROOM, call=call)
        return Found(place=Place.SAME if id_ == before else Place.ELSEWHERE, call=call)

    def wait(self, before: dict[str, str], *, check: Callable[[], None]) -> dict[str, Found]:
        """Wait until each leg is in the room or has ended, and return where the legs are, by leg id.

        The wait takes at most :data:`ARRIVAL_SECONDS`. On the way to the room, a leg may pass through a conversation
        of its own. If a leg is in a conversation whose name cannot be read, the wait for the leg ends when the leg
        has been found in that conversation twice in succession.

        Args:
            before: The id of the conversation that each leg was in before the move, by leg id.
            check: A function that is called before each request. To stop the wait, it raises an exception.
        """
        deadline = self._clock.monotonic() + ARRIVAL_SECONDS
        found: dict[str, Found] = {}
        waiting = list(before)
        while True:
            last = dict(found)
            for uuid in waiting:
                check()
                left = max(deadline - self._clock.monotonic(), POLL_SECONDS)
                found[uuid] = self.where(uuid, before[uuid], within=left)
            waiting = [uuid for uuid in waiting if not self._is_settled(found[uuid], last.get(uuid))]
            if not waiting or self._clock.monotonic() >= deadline:
                return found
            self._clock.sleep(POLL_SECONDS)

    def rooms(self, found: Iterable[Found]) -> list[str]:
        """Return the ids of the conversations into which the legs in *found* were moved.

        There are several conversations if the legs are in several regions.
        """
        ids = {each.conversation_uuid: None for each in found if each.place in (Place.ROOM, Place.ELSEWHERE)}
        if ids and all(self._names.get(id_) is None for id_ in ids):
            with suppress(ApiError, TransportError):
                if (here := self._conversations.find(self._room)) is not None:
                    ids[here.id] = None
        return list(ids)

    def _is_settled(self, found: Found, last: Found | None) -> bool:
        """Return True if there is no need to wait longer for a leg.

        This is the case if the leg has arrived, has ended, or was found twice in a conversation whose name cannot be
        read.
        """
        if found.place is Place.ELSEWHERE and last is not None:
            is_same = last.conversation_uuid == found.conversation_uuid
            return is_same and self._name(found.conversation_uuid) is None
        return found.place in (Place.ROOM, Place.OVER)

    def has_name(self, found: Found) -> bool:
        """Return True if the name of the conversation in which the leg was found could be read."""
        return self._names.get(found.conversation_uuid) is not None

    def _name(self, id_: str) -> str | None:
        if id_ not in self._names:
            self._names[id_] = None
            with suppress(ApiError, TransportError):
                self._names[id_] = self._conversations.get(id_, within=LOOK_SECONDS).name
        return self._names[id_]


def label(call: Call) -> str:
    """Return a leg's label for messages: the number or address at the other end, if known, and the leg's id."""
    whose = call.from_ if call.direction == "inbound" else call.to
    name = endpoint.label(whose)
    return f"{name} ({call.uuid})" if name else call.uuid
