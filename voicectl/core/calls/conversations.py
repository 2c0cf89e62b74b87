"""Finding conversations by name, listing their legs, and working out which legs hear which other legs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.calls.entry_terms import EntryTerms
from voicectl.errors import ApiError, InputError, LegError, NotFoundError, TransportError, VoicectlError
from voicectl.store.action_log import ENTERS
from voicectl.voice.call import CONVERSATION_PREFIX, hyphenated, is_conversation_id
from voicectl.voice.conversation import ConversationState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from voicectl.api.conversations import ConversationApi
    from voicectl.store.action_log import Note
    from voicectl.voice.call import Call
    from voicectl.voice.conversation import Conversation, Member

MAX_LISTED = 10


def conversation_id(api: ConversationApi, text: str) -> str:
    """Return the id of the conversation that *text* names.

    Blanks around a ``CON-...`` id are removed. Any other text is looked up as the name of a room.

    Raises:
        InputError: *text* is neither a conversation id nor a possible room name.
        LegError: No conversation has that name. The hint lists up to ten rooms, preferably rooms with similar names.
    """
    if is_conversation_id(text.strip()):
        return text.strip()
    if text.strip().upper().startswith(CONVERSATION_PREFIX) or not text.strip() or text == "-":
        raise InputError(
            f"{text!r} is neither the name of a room nor a conversation id.",
            hint="Use a room's name, or CON- and a UUID. List the conversations: voicectl conversation list",
        )
    names: list[str] = []
    for conversation in api.list():
        if conversation.state == ConversationState.DELETED:
            continue
        if conversation.name == text:
            return conversation.id
        if conversation.is_room:
            names.append(conversation.name)
    near = get_close_matches(text, names, n=MAX_LISTED, cutoff=0.5)
    if near:
        seen = f"Did you mean {' or '.join(near)}?"
    else:
        some = ", ".join(names[:MAX_LISTED])
        seen = f"Rooms on that host: {some}." if some else "List the rooms: voicectl conversation list."
    raise LegError(
        f"No conversation named {text} was found on {api.asked}.",
        hint=f"{seen} The room may be in another region: voicectl looks only on that host.",
    )


def listed(
    api: ConversationApi,
    *,
    on_trouble: Callable[[str], None],
    on_cut: Callable[[], None],
    within: float = math.inf,
) -> Iterator[Conversation]:
    """Yield the conversations that the API lists. If the API fails, report the failure and stop.

    Args:
        on_trouble: A function that is called with a sentence about the failure if the API fails.
        on_cut: A function that is called if there are more conversations than can be listed.
        within: The time limit for each page, including retries, in seconds.
    """
    try:
        yield from api.list(on_cut=on_cut, within=within)
    except (ApiError, TransportError) as exc:
        on_trouble(f"Room names are unknown because the Conversation API failed: {exc.message}")


def room_names(ids: Iterable[str], listed: Iterable[Conversation]) -> dict[str, str]:
    """Return the names of the rooms among the conversations *ids*, by conversation id.

    *listed* is read only until all conversations in *ids* are found.
    """
    missing = set(ids)
    found: dict[str, str] = {}
    for conversation in listed if missing else ():
        if conversation.id in missing:
            missing.remove(conversation.id)
            if conversation.is_room:
                found[conversation.id] = conversation.name
            if not missing:
                break
    return found


def stop_recording(api: ConversationApi, id_: str) -> bool:
    """Stop recording a conversation.

    Returns:
        True if the recording was stopped, False if the conversation was not being recorded. The result is also False
        if the reply to the first request was lost, and a retry found that the recording had already stopped.

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
    """A conversation with its live legs.

    Attributes:
        id: The conversation's id: ``CON-...``.
        conversation: The conversation's record in the Conversation API, or None if the API did not list the
            conversation.
        calls: The conversation's live legs.
    """

    id: str
    conversation: Conversation | None
    calls: Sequence[Call]

    @property
    def since(self) -> str | None:
        """The time at which the conversation was created or, if unknown, at which its first leg was answered."""
        if self.conversation is not None and self.conversation.created is not None:
            return self.conversation.created
        answered = [call.raw.get("start_time") for call in self.calls]
        return min((each for each in answered if isinstance(each, str) and each), default=None)

    @property
    def statuses(self) -> str:
        """The number of live legs in each status, for example ``answered:2 ringing:1``."""
        counted = Counter(call.status for call in self.calls)
        return " ".join(f"{status}:{count}" for status, count in sorted(counted.items()))


def grouped(
    live: Iterable[Call], listed: Iterable[Conversation], *, with_empty: bool = False
) -> Iterator[ConversationLegs]:
    """Group live legs by conversation, and yield the conversations in the order of *listed*.

    Conversations that have live legs but are not in *listed* come last. Conversations without live legs are yielded
    only if *with_empty* is true. If it is false, *listed* is read only until all conversations with live legs are
    found.
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
    """A verdict on whether one leg can hear another leg."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "?"


class Heard(NamedTuple):
    """A :class:`Hears` verdict, and the reason for it. The reason is empty for ``YES``."""

    hears: Hears
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A leg in a conversation.

    Attributes:
        call: The leg's record in the Voice API.
        member: The leg's member record in the Conversation API, or None if the record could not be read.
        entry: The options with which voicectl moved the leg into the room, or None if they are unknown.
    """

    call: Call
    member: Member | None = None
    entry: EntryTerms | None = None

    @property
    def muted(self) -> bool | None:
        """True if the leg is muted, so that the other legs cannot hear it; None if this is unknown."""
        return None if self.member is None else self.member.muted

    @property
    def earmuffed(self) -> bool | None:
        """True if the leg is earmuffed, so that it cannot hear the other legs; None if this is unknown."""
        return None if self.member is None else self.member.earmuffed


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """The live legs of a conversation, and the facts that determine which legs hear which other legs.

    Attributes:
        is_room: True if the conversation is a room (a named conversation), or None if this is unknown.
        legs: The conversation's live legs.
        has_started: True if one of *legs* is known to have started the conference.
    """

    is_room: bool | None
    legs: Sequence[Participant]
    has_started: bool = field(init=False)

    def __post_init__(self) -> None:
        """Compute ``has_started`` once here, rather than for each pair of legs."""
        starters = (leg.entry for leg in self.legs if leg.entry is not None)
        object.__setattr__(self, "has_started", any(entry.starts for entry in starters))

    def hears(self, listener: Participant, speaker: Participant) -> Heard:
        """Return whether *listener* hears *speaker*, and why.

        In a call's own conversation, every leg hears every other leg. In a room, a leg may have entered with
        ``canHear`` or ``canSpeak``, and a moderated conference may not have started yet. The API does not report
        these facts, so a verdict is possible only for legs that voicectl moved to the room.
        """
        obstacles = [
            _answered("the listener", listener),
            _answered("the speaker", speaker),
            _unless(
                listener.earmuffed, "the listener is earmuffed", "unknown whether the listener is earmuffed"
            ),
            _unless(speaker.muted, "the speaker is muted", "unknown whether the speaker is muted"),
            *self._terms(listener, speaker),
        ]
        for verdict in (Hears.NO, Hears.UNKNOWN):
            for heard in obstacles:
                if heard.hears is verdict:
                    return heard
        return Heard(Hears.YES, "")

    def matrix(self) -> Iterator[tuple[Participant, Participant, Heard]]:
        """Yield the listener, the speaker and the verdict for each ordered pair of legs."""
        for listener, speaker in permutations(self.legs, 2):
            yield listener, speaker, self.hears(listener, speaker)

    def _terms(self, listener: Participant, speaker: Participant) -> Iterator[Heard]:
        if self.is_room is False:
            return
        entered, spoke = listener.entry, speaker.entry
        if entered is None:
            yield Heard(Hears.UNKNOWN, "unknown which legs the listener is allowed to hear")
        elif entered.can_hear is not None and hyphenated(speaker.call.uuid) not in entered.can_hear:
            yield Heard(Hears.NO, "the listener is not allowed to hear the speaker")
        if spoke is None:
            yield Heard(Hears.UNKNOWN, "unknown which legs are allowed to hear the speaker")
        elif spoke.can_speak is not None and hyphenated(listener.call.uuid) not in spoke.can_speak:
            yield Heard(Hears.NO, "the speaker is not allowed to speak to the listener")
        if not self.has_started:
            yield Heard(Hears.UNKNOWN, "unknown whether the room has started")


def participants(
    api: ConversationApi,
    id_: str,
    conversation: Conversation | None,
    live: Sequence[Call],
    notes: Iterable[Note],
    *,
    check: Callable[[], None],
    on_fault: Callable[[VoicectlError], None],
) -> Participants:
    """Return the live legs of a conversation with their member records. Each member record takes one request.

    Args:
        id_: The conversation's id.
        conversation: The conversation's record in the Conversation API. If it is None, no member records are
            requested.
        live: The conversation's live legs.
        notes: The entries in this machine's action log.
        check: A function that is called before each request. To stop the work, it raises an exception.
        on_fault: A function that is called with each error that prevented a record from being read.
    """
    members: dict[str, Member] = {}
    if conversation is not None and live:
        wanted = {hyphenated(call.uuid) for call in live}
        for member in _members(api, id_, check, on_fault):
            if member.leg_uuid is not None:
                members[member.leg_uuid] = member
            if wanted <= members.keys():
                break
    entries = entered(notes, "" if conversation is None else conversation.name)
    return Participants(
        is_room=None if conversation is None else conversation.is_room,
        legs=[
            Participant(
                call=call, member=members.get(hyphenated(call.uuid)), entry=entries.get(hyphenated(call.uuid))
            )
            for call in live
        ],
    )


def _members(
    api: ConversationApi, id_: str, check: Callable[[], None], on_fault: Callable[[VoicectlError], None]
) -> Iterator[Member]:
    """Yield those records of a conversation's members that can be read. If the API does not respond, stop."""
    try:
        for listed in api.members(id_):
            if not listed.is_present:
                continue
            check()
            try:
                yield api.member(id_, listed.id)
            except ApiError as exc:
                on_fault(exc)  # for example, the member has just left
    except (ApiError, TransportError) as exc:
        on_fault(exc)


def entered(notes: Iterable[Note], room: str) -> dict[str, EntryTerms]:
    """Return the terms on which each leg entered *room*, by leg id.

    The result contains only legs that are in *room* according to *notes*: this machine moved them to the room, or
    created them with a flow that enters the room, and has not moved them elsewhere since.
    """
    found: dict[str, EntryTerms] = {}
    for note in notes:
        if note.what not in ("move", "transfer", ENTERS) or note.outcome == "failed":
            continue
        found.pop(note.uuid, None)
        if note.what != "transfer" and note.outcome == "done" and room and note.detail.get("room") == room:
            found[note.uuid] = EntryTerms.from_detail(note.detail)
    return found


def _answered(who: str, leg: Participant) -> Heard:
    is_up = leg.call.was_answered and not leg.call.is_final
    return Heard(Hears.YES, "") if is_up else Heard(Hears.NO, f"{who} has not answered")


def _unless(is_so: bool | None, why: str, doubt: str) -> Heard:
    if is_so is None:
        return Heard(Hears.UNKNOWN, doubt)
    return Heard(Hears.NO, why) if is_so else Heard(Hears.YES, "")
