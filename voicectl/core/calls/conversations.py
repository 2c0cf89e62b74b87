"""Conversations by their names, with the legs that are in them, and who hears whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.errors import ApiError, InputError, LegError, NotFoundError, TransportError
from voicectl.voice.call import CONVERSATION_PREFIX, hyphenated, is_conversation_id
from voicectl.voice.conversation import ConversationState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from voicectl.api.conversations import ConversationApi
    from voicectl.store.action_log import Note
    from voicectl.voice.call import Call
    from voicectl.voice.conversation import Conversation, Member

MAX_LISTED = 10


def conversation_id(api: ConversationApi, text: str) -> str:
    """The id of the conversation that *text* names: ``CON-...`` as it is, else a ROOM's name, looked up.

    Raises:
        InputError: *text* is neither.
        LegError: No conversation has that name; those with a name like it, or any, are listed.
    """
    if is_conversation_id(text):
        return text
    if text.upper().startswith(CONVERSATION_PREFIX) or not text.strip() or text == "-":
        raise InputError(
            f"{text!r} is neither a room nor the id of a conversation.",
            hint="Give a room's name, or CON- and a UUID: voicectl conversation list",
        )
    names: list[str] = []
    for conversation in api.list():
        if conversation.state == ConversationState.DELETED:
            continue
        if conversation.name == text:
            return conversation.id
        if conversation.is_room:
            names.append(conversation.name)
    near = get_close_matches(text, names, n=MAX_LISTED, cutoff=0.5) or names[:MAX_LISTED]
    seen = f"There are: {', '.join(near)}." if near else "See them: voicectl conversation list."
    raise LegError(
        f"No conversation has the name {text} on {api.asked}.",
        hint=f"{seen} It may be in another region: a room is looked for on that host only.",
    )


def stop_recording(api: ConversationApi, id_: str) -> bool:
    """End the recording of a conversation; False if nobody records it, or no more: an answer may have been lost.

    Raises:
        NotFoundError: There is no such conversation.
    """
    try:
        api.stop_recording(id_)
    except NotFoundError:
        api.get(id_)
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationLegs:
    """A conversation with the live legs that are in it.

    Attributes:
        id: ``CON-...``.
        conversation: What the Conversation API told of it; None if nothing.
        calls: The live legs.
    """

    id: str
    conversation: Conversation | None
    calls: Sequence[Call]

    @property
    def since(self) -> str | None:
        """When it was made, else when the first of its legs was answered."""
        if self.conversation is not None and self.conversation.created is not None:
            return self.conversation.created
        answered = [call.raw.get("start_time") for call in self.calls]
        return min((each for each in answered if isinstance(each, str) and each), default=None)

    @property
    def statuses(self) -> str:
        """How many of its legs are at each status: ``answered:2 ringing:1``."""
        counted = Counter(call.status for call in self.calls)
        return " ".join(f"{status}:{count}" for status, count in sorted(counted.items()))


def grouped(
    live: Iterable[Call], listed: Iterable[Conversation], *, with_empty: bool = False
) -> Iterator[ConversationLegs]:
    """Bring live legs and the list of conversations together, in the order of the list.

    Conversations that the list does not have, or no more, come last. Of the list no more is read than it takes to
    find those with live legs, unless the empty ones are wanted too.
    """
    calls: dict[str, list[Call]] = {}
    for call in live:
        if call.conversation_uuid:
            calls.setdefault(call.conversation_uuid, []).append(call)
    if calls or with_empty:
        for conversation in listed:
            if conversation.id in calls or (with_empty and conversation.state != ConversationState.DELETED):
                there = calls.pop(conversation.id, [])
                yield ConversationLegs(id=conversation.id, conversation=conversation, calls=there)
            if not calls and not with_empty:
                return
    for id_, there in calls.items():
        yield ConversationLegs(id=id_, conversation=None, calls=there)


class Hears(StrEnum):
    """Whether one leg hears another."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "?"


class Heard(NamedTuple):
    """What is known of one leg's hearing another, and why: empty where nothing stands in the way."""

    hears: Hears
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTerms:
    """The terms on which a leg came into a room, as far as we set them.

    Attributes:
        can_hear: The legs that it hears, hyphenated and in lower case; None for all.
        can_speak: The legs that hear it; None for all.
        starts: Whether the conference starts when it enters.
    """

    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    starts: bool = True

    @classmethod
    def of(
        cls, *, can_hear: Sequence[str] | None, can_speak: Sequence[str] | None, starts: bool
    ) -> EntryTerms:
        """The terms that options give."""
        return cls(can_hear=_ids(can_hear), can_speak=_ids(can_speak), starts=starts)

    @property
    def detail(self) -> dict[str, Any]:
        """The terms as a note keeps them."""
        return {
            name: sorted(legs)
            for name, legs in (("can_hear", self.can_hear), ("can_speak", self.can_speak))
            if legs is not None
        } | ({} if self.starts else {"starts": False})

    @classmethod
    def from_detail(cls, detail: Mapping[str, Any]) -> EntryTerms:
        """What :attr:`detail` kept."""
        return cls.of(
            can_hear=detail.get("can_hear"),
            can_speak=detail.get("can_speak"),
            starts=detail.get("starts") is not False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A leg in a conversation.

    Attributes:
        member: Its record there; None if it could not be read.
        entry: The terms on which it came in; None if nobody told.
    """

    call: Call
    member: Member | None = None
    entry: EntryTerms | None = None

    @property
    def muted(self) -> bool | None:
        """Whether the others are kept from hearing it; None: not told."""
        return None if self.member is None else self.member.muted

    @property
    def earmuffed(self) -> bool | None:
        """Whether it is kept from hearing the others; None: not told."""
        return None if self.member is None else self.member.earmuffed


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Who is in a conversation.

    Attributes:
        is_room: Whether it has a name that somebody gave it; None: not told.
        legs: The live ones.
        has_started: Whether one of them is known to have started it.
    """

    is_room: bool | None
    legs: Sequence[Presence]
    has_started: bool = field(init=False)

    def __post_init__(self) -> None:
        """See whether it has started: once, not for each pair."""
        starters = (leg.entry for leg in self.legs if leg.entry is not None)
        object.__setattr__(self, "has_started", any(entry.starts for entry in starters))

    def hears(self, listener: Presence, speaker: Presence) -> Heard:
        """Whether *listener* hears *speaker*.

        In a call's own conversation all hear each other. Into a room a leg may have been let with ``canHear`` or
        ``canSpeak``, and a moderated room may wait for its start: the API tells of neither, so there it is known only
        of legs that we brought in.
        """
        obstacles = [
            _answered("the listener", listener),
            _answered("the speaker", speaker),
            _unless(
                listener.earmuffed, "the listener is earmuffed", "nobody tells if the listener is earmuffed"
            ),
            _unless(speaker.muted, "the speaker is muted", "nobody tells if the speaker is muted"),
            *self._terms(listener, speaker),
        ]
        for verdict in (Hears.NO, Hears.UNKNOWN):
            for heard in obstacles:
                if heard.hears is verdict:
                    return heard
        return Heard(Hears.YES, "")

    def matrix(self) -> Iterator[tuple[Presence, Presence, Heard]]:
        """Each listener, each other leg as the speaker, and whether the one hears the other."""
        for listener, speaker in permutations(self.legs, 2):
            yield listener, speaker, self.hears(listener, speaker)

    def _terms(self, listener: Presence, speaker: Presence) -> Iterator[Heard]:
        if self.is_room is False:
            return
        entered, spoke = listener.entry, speaker.entry
        if entered is None:
            yield Heard(Hears.UNKNOWN, "nobody tells whom the listener was let hear")
        elif entered.can_hear is not None and hyphenated(speaker.call.uuid) not in entered.can_hear:
            yield Heard(Hears.NO, "the listener was let hear others only")
        if spoke is None:
            yield Heard(Hears.UNKNOWN, "nobody tells who was let hear the speaker")
        elif spoke.can_speak is not None and hyphenated(listener.call.uuid) not in spoke.can_speak:
            yield Heard(Hears.NO, "others only were let hear the speaker")
        if not self.has_started:
            yield Heard(Hears.UNKNOWN, "nobody tells if the room has started")


def scene(
    api: ConversationApi,
    id_: str,
    conversation: Conversation | None,
    live: Sequence[Call],
    notes: Iterable[Note],
    *,
    check: Callable[[], None],
) -> Scene:
    """Who is in a conversation, each leg with its member record: one request each.

    Args:
        conversation: What the API told of it, None if nothing: its members are not asked for then.
        live: Its live legs.
        notes: What was done to legs from here.
        check: Called before each request; raises where the work is to be left.
    """
    members: dict[str, Member] = {}
    if conversation is not None:
        wanted = {hyphenated(call.uuid) for call in live}
        for listed in api.members(id_):
            if not listed.is_present:
                continue
            if wanted <= members.keys():
                break
            check()
            try:
                member = api.member(id_, listed.id)
            except (ApiError, TransportError):
                continue  # it has just left, or stays unknown
            if member.leg_uuid is not None:
                members[member.leg_uuid] = member
    entries = entered(notes, "" if conversation is None else conversation.name)
    return Scene(
        is_room=None if conversation is None else conversation.is_room,
        legs=[
            Presence(
                call=call, member=members.get(hyphenated(call.uuid)), entry=entries.get(hyphenated(call.uuid))
            )
            for call in live
        ],
    )


def entered(notes: Iterable[Note], room: str) -> dict[str, EntryTerms]:
    """The terms on which legs came into *room*, as far as that was done from here, and nothing since."""
    found: dict[str, EntryTerms] = {}
    for note in notes:
        if note.what not in ("move", "transfer") or note.outcome == "failed":
            continue
        found.pop(note.uuid, None)
        if note.what == "move" and note.outcome == "done" and room and note.detail.get("room") == room:
            found[note.uuid] = EntryTerms.from_detail(note.detail)
    return found


def _answered(who: str, leg: Presence) -> Heard:
    is_up = leg.call.was_answered and not leg.call.is_final
    return Heard(Hears.YES, "") if is_up else Heard(Hears.NO, f"{who} has not answered")


def _unless(is_so: bool | None, why: str, doubt: str) -> Heard:
    if is_so is None:
        return Heard(Hears.UNKNOWN, doubt)
    return Heard(Hears.NO, why) if is_so else Heard(Hears.YES, "")


def _ids(value: object) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    return frozenset(hyphenated(each) for each in value if isinstance(each, str))
