"""What moving a leg does to those who stay, and whether it came to where it was sent.

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
"""How long a leg may take to be in the room: the platform accepts a move before it is made."""

LOOK_SECONDS = 3.0
"""How long a look before the move may take, all its reads together: it must not keep somebody waiting."""

POLL_SECONDS = 0.25

NAMED = "name"
"""What a note is called that a conversation became a room by its name: its legs are joined by a ``connect`` still."""

CONFLICT = 409

_UP = (CallStatus.ANSWERED, CallStatus.MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a leg is, and with whom.

    Attributes:
        call: The leg.
        legs: The live legs of its conversation, itself among them, the newest first.
        conversation: That one; None if it was not told.
        is_joined: Whether they met by a ``connect``: in a room each stays when others leave.
        doubt: Why it is not certain that all who are with it are among them; empty if it is.
        fault: Why the conversation was not told.
    """

    call: Call
    legs: Sequence[Call]
    conversation: Conversation | None = None
    is_joined: bool = False
    doubt: str = ""
    fault: ApiError | TransportError | None = None

    @property
    def left_alone(self) -> Call | None:
        """Whose call the platform ends if this leg leaves: they are two, joined by a ``connect``."""
        others = [each for each in self.legs if each.uuid != self.call.uuid]
        return others[0] if self.is_joined and len(others) == 1 else None


class Patience:
    """The :data:`LOOK_SECONDS` that several reads may take together, from now on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.monotonic() + LOOK_SECONDS

    def left(self) -> float:
        """The seconds that are left.

        Raises:
            TransportError: None are.
        """
        left = self._until - self._clock.monotonic()
        if left <= 0:
            raise TransportError("The API answers too slowly.", hint="Give the command again.")
        return left


def surroundings(
    api: VoiceApi,
    conversations: ConversationApi,
    clock: Clock,
    uuid: str,
    *,
    notes_of: Callable[[str], Iterable[Note]],
) -> Surroundings:
    """See where a leg is, and with whom.

    Where the list does not have the leg itself, since it is that of another region or is behind, who is with it is in
    doubt.

    Args:
        notes_of: What was done from here to a conversation.

    Raises:
        ApiError: Refused.
        TransportError: No usable answer.
    """
    patience = Patience(clock)
    call = api.get_call(uuid, within=patience.left())
    id_ = call.conversation_uuid
    if not id_ or call.is_final:
        return Surroundings(call=call, legs=[call])
    cuts: list[str] = []
    live = live_calls(
        api,
        conversation_uuid=id_,
        within=patience.left,
        on_cut=lambda: cuts.append("there are more legs than could be listed"),
    )
    if all(hyphenated(each.uuid) != hyphenated(call.uuid) for each in live):
        doubt = f"it is on {api.host(uuid)}, and the list of calls does not have it"
        return Surroundings(call=call, legs=[call], doubt=doubt)
    legs = sorted(live, key=_answered_at)[::-1]
    conversation, fault = None, None
    try:
        conversation = conversations.get(id_, within=patience.left())
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
    """Whether a conversation is known to have that name; False if it cannot be told in time."""
    patience = Patience(clock)
    with suppress(ApiError, TransportError):
        for each in conversations.list(within=patience.left()):
            if each.name == room and each.state != ConversationState.DELETED:
                return True
            patience.left()
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The legs that are moved together.

    Attributes:
        calls: In the order in which they are moved. What a ``connect`` made leaves before the leg whose flow made it:
            that one's flow then goes on, while a leg that was connected ends with the one that connected it.
        there: Those that are in the room already.
        joined: The conversation made by ``connect`` that can become the room itself; None if there is none.
        stays: Its legs.
        apart: The other conversations made by ``connect``: their legs are moved one by one, and the platform may end
            the call of the last before its turn.
    """

    calls: Sequence[Call]
    there: frozenset[str]
    joined: Conversation | None
    stays: frozenset[str]
    apart: Sequence[str] = ()


def party(around: Iterable[Surroundings], room: str, *, may_become: bool = True) -> Party:
    """Those who move when legs are moved with all who share a conversation with them.

    Who only rings yet is not moved. Of several conversations made by ``connect`` one can become the room, even if it
    became another room before.

    Args:
        may_become: Whether one can: there is no such room, and nobody enters it on terms.
    """
    seen: dict[str, Call] = {}
    there: set[str] = set()
    joined: Surroundings | None = None
    apart: dict[str, None] = {}
    for each in around:
        if each.conversation is not None and each.conversation.name == room:
            seen.setdefault(each.call.uuid, each.call)
            there |= {each.call.uuid}
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
    return Party(
        calls=list(seen.values()),
        there=frozenset(there),
        joined=None if joined is None else joined.conversation,
        stays=frozenset() if joined is None else frozenset(call.uuid for call in joined.legs),
        apart=list(apart),
    )


def become_room(conversations: ConversationApi, conversation: Conversation, room: str) -> bool:
    """Let a conversation be *room*, by its name: whoever is in it is in the room then, and nobody was moved.

    Returns:
        False if there is a room of that name already.
    """
    try:
        conversations.rename(conversation, room)
    except ApiError as exc:
        if exc.status != CONFLICT:
            raise
        return conversations.get(conversation.id).name == room
    return True


class Place(Enum):
    """Where a leg that was moved is."""

    ROOM = "in the room"
    ELSEWHERE = "in another conversation than before"
    SAME = "where it was"
    OVER = "over"
    UNKNOWN = "not told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a leg is now.

    Attributes:
        call: As last seen, None if it was not.
        why: Why it was not seen.
    """

    place: Place
    call: Call | None = None
    why: str = ""

    @property
    def conversation_uuid(self) -> str:
        """The conversation that it is in, empty if none is known."""
        return "" if self.call is None else self.call.conversation_uuid

    def __str__(self) -> str:
        """As a remark tells it."""
        match self.place:
            case Place.OVER:
                return f"is over: {self.call.status if self.call else 'gone'}"
            case Place.UNKNOWN:
                return f"cannot be seen: {self.why.rstrip('.')}"
            case Place.ROOM:
                return f"is in the room, {self.conversation_uuid}"
        return f"is in {self.conversation_uuid or 'no conversation'}"


class ArrivalCheck:
    """Sees where legs are, and whether that is the room.

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
        """Where a leg is now.

        Args:
            before: The conversation that it was in.
            within: Seconds that each look may take.
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
        """Where each leg is, once it is in the room or over, at most :data:`ARRIVAL_SECONDS` from now.

        On its way to the room a leg may pass through a conversation of its own. One in a conversation whose name
        cannot be read is seen there twice, and then left: its name would not be read a third time either.

        Args:
            before: The conversation that each leg was in, by the leg's id.
            check: Called between looks; raises where the wait is to be left.
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
        """The conversations that the legs of a room are in: more than one, if they are in several regions."""
        ids = {each.conversation_uuid: None for each in found if each.place in (Place.ROOM, Place.ELSEWHERE)}
        if ids and all(self._names.get(id_) is None for id_ in ids):
            with suppress(ApiError, TransportError):
                if (here := self._conversations.find(self._room)) is not None:
                    ids[here.id] = None
        return list(ids)

    def _is_settled(self, found: Found, last: Found | None) -> bool:
        """Whether waiting tells no more: it is there, or over, or stays where no name can be read."""
        if found.place is Place.ELSEWHERE and last is not None:
            is_same = last.conversation_uuid == found.conversation_uuid
            return is_same and self._name(found.conversation_uuid) is None
        return found.place in (Place.ROOM, Place.OVER)

    def has_name(self, found: Found) -> bool:
        """Whether the name of the conversation that a leg is in could be read."""
        return self._names.get(found.conversation_uuid) is not None

    def _name(self, id_: str) -> str | None:
        if id_ not in self._names:
            self._names[id_] = None
            with suppress(ApiError, TransportError):
                self._names[id_] = self._conversations.get(id_, within=LOOK_SECONDS).name
        return self._names[id_]


def label(call: Call) -> str:
    """A leg as remarks name it: whose it is, and its id."""
    whose = call.from_ if call.direction == "inbound" else call.to
    name = endpoint.label(whose)
    return f"{name} ({call.uuid})" if name else call.uuid
