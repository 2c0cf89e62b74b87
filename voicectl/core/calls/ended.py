"""Facts about a conversation that has ended, of which the Conversation API no longer has a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.calls.conversation_events import name_in
from voicectl.core.timeline.sources import NO_STORE, Gatherer

if TYPE_CHECKING:
    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.store.action_log import ActionLog
    from voicectl.store.events import EventStore
    from voicectl.voice.call import Call


class EndedConversation(NamedTuple):
    """A conversation that has ended, according to call records and stored events.

    Attributes:
        name: The last known name of the conversation, or None if no stored event contains it.
        legs: The legs that were in the conversation, merged from call records and events.
        gaps: Sentences about sources that failed, and about legs or events that were left out.
    """

    name: str | None
    legs: list[Call]
    gaps: list[str]


def ended(
    api: VoiceApi, clock: Clock, notes: ActionLog, store: EventStore | None, conversation: str
) -> EndedConversation:
    """Return what call records and stored events report about a conversation.

    Args:
        notes: The log of actions taken from this machine.
        store: The event store, or None if there is no store.
        conversation: The id of the conversation: ``CON-...``.

    Raises:
        LegError: No source knows the conversation.
        TransportError: The API does not respond, and no event is about the conversation.
    """
    found = Gatherer(api, clock, notes, events=store, journal=None).of_conversation(conversation)
    own = (stored for _, stored in sorted(found.events.items()))
    names = [name_in(stored) for stored in own if stored.arrival.conversation == conversation]
    return EndedConversation(
        name=next((name for name in reversed(names) if name is not None), None),
        legs=list(found.records().values()),
        gaps=[gap.detail for gap in found.gaps if gap.what != NO_STORE],
    )
