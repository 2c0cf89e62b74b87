"""The logs of all conversations. They record what the exchange reports, and build the events for RTC webhooks.

A log contains data that the exchange does not keep: numbered events, and all members, including those who have left.
The body of an event is built when the event is read, so that little time is needed to record an event.

Source: Conversation API reference; webhook reference, "RTC event webhook".
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from voicectl.sandbox.conversations import event_bodies
from voicectl.sandbox.conversations.conversation_log import ConversationLog, Member, MemberState, derived
from voicectl.sandbox.conversations.representations import party, person
from voicectl.sandbox.conversations.users import User
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.state import Conversation, Leg
from voicectl.times import rfc3339

FindUser = Callable[[str, str, str], User | None]


EPHEMERAL = "ephemeral"
"""The type of events that are sent to webhooks, but are not numbered or kept in the log."""


class ConversationLogs:
    """The logs of all existing conversations.

    Args:
        seed: The seed for generating the ids of members without legs.
        exchange: The telephone exchange to which the legs and conversations belong. The logs do not change the
            exchange.
        find_user: A function that takes a name, an application id and a region, and returns the app user, or None if
            there is no such user.
        has_rtc_webhook: A function that takes an application id, and returns True if that application has an RTC
            webhook. Webhook events are built only for such applications.
    """

    def __init__(
        self, seed: str, exchange: Exchange, *, find_user: FindUser, has_rtc_webhook: Callable[[str], bool]
    ) -> None:
        self._random = random.Random(f"members {seed}")  # noqa: S311 (ids must repeat from run to run)
        self._exchange = exchange
        self._find_user = find_user
        self._has_rtc_webhook = has_rtc_webhook
        self._logs: dict[str, ConversationLog] = {}
        self._opened = 0

    def __iter__(self) -> Iterator[ConversationLog]:
        """Return an iterator over all logs, oldest first."""
        return iter(self._logs.values())

    def get(self, conversation_uuid: str) -> ConversationLog | None:
        """Return the log of a conversation, or None if the conversation does not exist."""
        return self._logs.get(conversation_uuid)

    def new_member_id(self) -> str:
        """Return a new id for a member without a leg."""
        return f"MEM-{uuid.UUID(int=self._random.getrandbits(128), version=4)}"

    def open(self, conversation: Conversation, settings: dict[str, Any] | None = None) -> ConversationLog:
        """Open and return a log for *conversation*, a new conversation with the given *settings*."""
        self._opened += 1
        log = ConversationLog(conversation=conversation, number=self._opened, settings=settings or {})
        self._logs[conversation.uuid] = log
        return log

    def write(self, note: Note) -> dict[str, Any] | None:
        """Record *note* as the next event in its conversation, and update the member whom the event concerns.

        Returns:
            The event to send to the application's RTC webhook, with ``type``, ``id``, ``from``, ``conversation_id``,
            ``application_id``, ``timestamp`` and ``body``. None if the application has no RTC webhook, or if the
            conversation no longer exists.
        """
        log = self._logs.get(note.conversation_uuid) or self._open_for(note)
        if log is None:
            return None
        number = None
        if note.type != EPHEMERAL:
            self._follow(log, note)
            note = self._completed(log, note)
            number = log.append(note)
        rtc_event = self._webhook(log, number, note) if self._has_rtc_webhook(note.application_id) else None
        if note.type == "conversation:deleted":
            del self._logs[note.conversation_uuid]
        return rtc_event

    def leg(self, member: Member | None) -> Leg | None:
        """Return the leg of *member*, or None if the member has no leg."""
        if member is None or member.leg_uuid is None:
            return None
        return self._exchange.legs.get(member.leg_uuid)

    def event(self, log: ConversationLog, number: int, note: Note, base: str) -> dict[str, Any]:
        """Return event *number* in the format of API responses, with links that begin with *base*."""
        fields = self.event_fields(log, number, note)
        member = log.member(note.author or note.uuid, number)
        embedded = {}
        if member is not None:
            embedded = {"_embedded": {"from_user": person(member), "from_member": {"id": member.id}}}
        href = f"{base}/conversations/{log.conversation.uuid}/events/{number}"
        return {"id": number, **fields, **embedded, "_links": {"self": {"href": href}}}

    def event_fields(self, log: ConversationLog, number: int | None, note: Note) -> dict[str, Any]:
        """Return the fields that an event has both in webhooks and in API responses.

        For an event that is not kept, *number* is None.
        """
        member = log.member(note.uuid, number)
        author = log.member(note.author or note.uuid, number)
        from_ = {} if author is None else {"from": author.id}
        body = note.body
        if number is not None:
            body = event_bodies.body(log, number, note, member, self.leg(member))
        return {"type": note.type, **from_, "body": body, "timestamp": rfc3339(note.at)}

    def empty_since(self, log: ConversationLog) -> int | None:
        """Return when a conversation became empty, in milliseconds on the call clock, or None if it is not empty."""
        if log.conversation.legs or log.present():
            return None
        left = (member.times["left"] for member in log.members.values())
        return max(left, default=log.conversation.created)

    def _open_for(self, note: Note) -> ConversationLog | None:
        """Open and return a log for the conversation of *note*. Return None if the conversation has ended.

        If *note* reports that the conversation was created, a log is opened even if the conversation has ended.
        """
        conversation = self._exchange.conversations.get(note.conversation_uuid)
        if conversation is None and note.type == "conversation:created":
            conversation = Conversation(
                uuid=note.conversation_uuid,
                application_id=note.application_id,
                region="",
                created=note.at,
                made_at=0.0,
            )
        return None if conversation is None else self.open(conversation)

    def _follow(self, log: ConversationLog, note: Note) -> None:
        """Update the member whom *note* concerns. Add a new member if necessary."""
        member = log.member(note.uuid)
        enters = note.type in ("member:invited", "member:joined")
        if member is None or (enters and member.state is MemberState.LEFT):
            leg = self._exchange.legs.get(note.uuid or "")
            if leg is None or note.type == "member:left":
                return
            member = log.add(self._member_of(log, leg))
        if not member.times:
            member.since = log.last_id + 1
            if note.type != "member:joined":
                member.become(MemberState.INVITED, note.at)
        if note.type == "member:joined" and member.state is MemberState.INVITED:
            member.become(MemberState.JOINED, note.at)
        elif note.type == "member:left" and member.state is not MemberState.LEFT:
            member.become(MemberState.LEFT, note.at)

    def _member_of(self, log: ConversationLog, leg: Leg) -> Member:
        plain = derived("member", log.conversation.uuid, leg.uuid, str(len(log.members)))
        endpoint = party(leg)
        user = None
        if endpoint["type"] == "app":
            user = self._find_user(endpoint["user"], leg.application_id, leg.region)
        return Member(id=f"MEM-{plain}", leg_uuid=leg.uuid, user=user)

    def _completed(self, log: ConversationLog, note: Note) -> Note:
        """Return *note*. If the data for the body could change later, complete the body now."""
        if note.type == "rtc:transfer":
            left = self._logs.get(note.body["transferred_from"])
            was = None if left is None else left.member(note.uuid)
            return note if was is None else replace(note, body={"was_member": was.id, **note.body})
        if note.type not in event_bodies.AT_ONCE:
            return note
        member = log.member(note.uuid)
        return replace(note, body=event_bodies.at_once(log, note, member, self.leg(member)))

    def _webhook(self, log: ConversationLog, number: int | None, note: Note) -> dict[str, Any]:
        numbered = {} if number is None else {"id": number}
        return {
            **numbered,
            **self.event_fields(log, number, note),
            "conversation_id": note.conversation_uuid,
            "application_id": note.application_id,
        }
