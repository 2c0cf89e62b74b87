"""What every part of the exchange stands on: the agenda, the ids, the records, and what is left for others to do."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.agenda import Agenda
from voicectl.sandbox.telephony.effects import Effect, Event, Fetch, Kind, Note, Remark
from voicectl.sandbox.telephony.state import Conversation, Conversations

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.sandbox.telephony.actions import Actions, Webhook
    from voicectl.sandbox.telephony.agenda import Timer
    from voicectl.sandbox.telephony.effects import Purpose
    from voicectl.sandbox.telephony.state import Leg

HOURS = 3600


class Office:
    """Legs and conversations, and the agenda of what happens to them.

    Args:
        seed: Ids come from it: the same seed and the same operations give the same ids.
        number: The account's own number, the caller where no other is named.
        now: The call clock's moment, in milliseconds since 1970.
        host_time: Tells the host clock's Unix seconds, kept with each new record.
        may_dial: Asked before each ``connect`` dials; False when over the rate limit.
        knows_user: Whether an application has an app user of this name, in this region.
        room_hours: For how many hours an application's rooms stay.

    Attributes:
        legs: Every leg, by uuid, in the order they were made. Records are kept for ever.
        live: Those that have not ended.
        conversations: Those that exist.
    """

    def __init__(
        self,
        *,
        seed: str,
        number: str,
        now: int,
        host_time: Callable[[], float],
        may_dial: Callable[[], bool] = lambda: True,
        knows_user: Callable[[str, str, str], bool] = lambda _name, _application_id, _region: True,
        room_hours: Callable[[str], float] = lambda _application_id: 48,
    ) -> None:
        self.legs: dict[str, Leg] = {}
        self.live: dict[str, Leg] = {}
        self.conversations = Conversations(self._new_uuid, host_time)
        self._effects: list[Effect] = []
        self._agenda = Agenda(now)
        self._random = random.Random(f"ids {seed}")  # noqa: S311 (ids that repeat from run to run are wanted)
        self._number = number
        self._host_time = host_time
        self._may_dial = may_dial
        self._knows_user = knows_user
        self._room_hours = room_hours
        self._waiting: dict[int, tuple[Event, Callable[[Actions | None], None]]] = {}

    @property
    def now(self) -> int:
        """The call clock's moment, in milliseconds since 1970."""
        return self._agenda.now

    @property
    def next_due(self) -> int | None:
        """The moment at which something happens next; None if nothing is to happen by itself."""
        return self._agenda.next_due

    def run(self, until: int) -> None:
        """Let everything happen that is due up to *until*, in order."""
        self._agenda.run(until)

    def collect(self) -> list[Effect]:
        """Take away the effects so far, in order."""
        effects, self._effects = self._effects, []
        return effects

    def schedule(self, leg: Leg, seconds: float, do: Callable[[], None]) -> Timer:
        """Have *do* called in *seconds* unless *leg* has ended by then."""
        timer = self._agenda.after(seconds, do)
        leg.timers.append(timer)
        return timer

    def tell(
        self,
        leg: Leg,
        kind: Kind,
        fields: dict[str, Any],
        webhook: Webhook | None = None,
        on_reply: Callable[[Actions | None], None] | None = None,
    ) -> None:
        """Tell a webhook of an event; *on_reply* is called with the NCCO of its reply, or None if it holds none.

        Args:
            leg: The leg that the event is about.
            kind: What the log calls it.
            fields: What is sent.
            webhook: Where to; None: where the events of the leg go.
            on_reply: Given if the reply may bring an NCCO.
        """
        event = Event(
            at=self.now,
            kind=kind,
            uuid=leg.uuid,
            application_id=leg.application_id,
            fields=fields,
            webhook=webhook or leg.order.events,
            may_bring_ncco=on_reply is not None,
        )
        if on_reply is not None:
            self._waiting[id(event)] = event, on_reply
        self._effects.append(event)

    def complain(self, uuid: str, reason: str) -> None:
        """Tell the webhook of a leg that its flow cannot go on as it was written."""
        leg = self.legs[uuid]
        self.tell(leg, Kind.ERROR, events.error(leg, self.now, reason))

    def replied(self, event: Event, actions: Actions | None) -> None:
        """Hand over what the reply to *event* brought; None if there was none. Empty, it changes nothing either."""
        _, on_reply = self._waiting.pop(id(event))
        on_reply(actions)

    def room(self, name: str, application_id: str, region: str) -> Conversation:
        """The room *name*, made at its first use; its time begins then."""
        room = self.conversations.room(name, application_id, region)
        return room or self._new_conversation(application_id, region, name)

    def rename(self, conversation: Conversation, name: str) -> None:
        """Give *conversation* a *name* that no other of its place has; a call's own becomes a room by it."""
        if conversation.name is None:
            self._let_expire(conversation)
        self.conversations.rename(conversation, name)

    def _new_conversation(self, application_id: str, region: str, name: str | None = None) -> Conversation:
        conversation = self.conversations.new(application_id, region, self.now, name)
        self._note(conversation, "conversation:created", None)
        if name is not None:
            self._let_expire(conversation)
        return conversation

    def _let_expire(self, conversation: Conversation) -> None:
        seconds = self._room_hours(conversation.application_id) * HOURS
        self._agenda.after(seconds, lambda: self._expire(conversation))

    def _expire(self, conversation: Conversation) -> None:
        conversation.is_expired = True
        if not conversation.legs:
            self._vanish(conversation)

    def _vanish(self, conversation: Conversation) -> None:
        if conversation.uuid in self.conversations.by_uuid:
            self._note(conversation, "conversation:deleted", None)
            self.conversations.forget(conversation)

    def _fetch(self, leg: Leg, webhook: Webhook | None, purpose: Purpose) -> None:
        leg.awaiting = Fetch(
            at=self.now,
            uuid=leg.uuid,
            application_id=leg.application_id,
            region=leg.region,
            webhook=webhook,
            purpose=purpose,
            parameters=events.answer(leg),
        )
        self._effects.append(leg.awaiting)

    def _note(self, conversation: Conversation, type_: str, leg: Leg | None, **body: Any) -> None:
        self._effects.append(
            Note(
                at=self.now,
                application_id=conversation.application_id,
                conversation_uuid=conversation.uuid,
                type=type_,
                uuid=None if leg is None else leg.uuid,
                body=body,
            )
        )

    def _remark(self, leg: Leg, reason: str) -> None:
        self._effects.append(Remark(at=self.now, uuid=leg.uuid, reason=reason))

    def _new_uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
