"""The state that all parts of the exchange share: timers, ids, legs, conversations, and effects to perform."""

# The exchange is pure. It opens no socket and reads no file or clock. Tests can therefore drive it by hand, and the
# same input always gives the same result.
#
# Input: the operations of the exchange (an API request, an action by an outside party, a webhook's reply) and
# run(until). Only run() moves the call clock. Each operation happens at the present moment of that clock.
#
# Time: everything that happens later is a timer in the agenda. Timers run in chronological order, and timers due at
# the same moment run in the order in which they were set. Each timer runs at its own moment, however far run() goes,
# so one run of an hour equals 3,600 runs of a second. Moments are whole milliseconds, because sums of floats are not
# exact, and the order of timers would depend on the size of the steps. A leg's timers are cancelled when the leg ends
# (schedule()). Timers that must outlive a leg are set on the agenda itself.
#
# Output: effects, which emit() adds in the order in which they happen, and which collect() returns and removes. The
# performer carries the effects out: it sends events, fetches NCCOs, writes files and opens WebSockets. The outcome
# of a slow effect comes back later, as another operation.
#
# Replies: an event whose reply may carry an NCCO waits in _waiting, with the function to call. The performer must
# hand back each such event exactly once (replied()), even if there was no URL or no reply, because a flow waits for
# the reply. The key of an entry is the identity of the event. The entry also holds the event itself, so that no
# other object can get the same identity.
#
# Determinism: ids come from one seeded random generator, in the order in which objects are created. With the same
# seed, and the same operations at the same moments, the ids, the effects and the order of effects are the same. The
# host clock is read only for ``made_at`` of new records, and nothing in the exchange depends on that value.

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Actions, OnReply, Webhook
from voicectl.sandbox.telephony.agenda import Agenda, Timer
from voicectl.sandbox.telephony.effects import Effect, Event, Kind, Note, Remark
from voicectl.sandbox.telephony.register import Register
from voicectl.sandbox.telephony.state import Conversation, Leg


class Base:
    """The state that all parts of the exchange share: legs, conversations, the call clock, and effects to perform.

    Args:
        seed: The seed for new ids. With the same seed, the same operations lead to the same ids.
        now: The current time on the call clock, in milliseconds since 1970.
        host_time: A function that returns the time on the host clock, in Unix seconds. Each new leg and conversation
            stores this time.

    Attributes:
        legs: All legs, keyed by UUID, in order of creation. Legs are never removed.
        live: The legs that have not ended, keyed by UUID.
        register: The index of all legs by status and by conversation, through which a leg changes either of them.
        conversations: All existing conversations, keyed by UUID.
        agenda: The pending timers.
    """

    def __init__(self, *, seed: str, now: int, host_time: Callable[[], float]) -> None:
        self.legs: dict[str, Leg] = {}
        self.live: dict[str, Leg] = {}
        self.register = Register()
        self.conversations: dict[str, Conversation] = {}
        self.agenda = Agenda(now)
        self.host_time = host_time
        self._random = random.Random(f"ids {seed}")  # noqa: S311 (ids must repeat from run to run)
        self._effects: list[Effect] = []
        self._waiting: dict[int, tuple[Event, OnReply]] = {}

    @property
    def now(self) -> int:
        """The current time on the call clock, in milliseconds since 1970."""
        return self.agenda.now

    def new_uuid(self) -> str:
        """Return a new UUID from the seeded generator."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def schedule(self, leg: Leg, seconds: float, do: Callable[[], object]) -> Timer:
        """Set a timer that calls *do* after *seconds* unless *leg* ends first, and return the timer."""
        timer = self.agenda.after(seconds, do)
        leg.timers.append(timer)
        return timer

    def emit(self, effect: Effect) -> None:
        """Add *effect* to the list of effects that must be performed."""
        self._effects.append(effect)

    def collect(self) -> list[Effect]:
        """Return the effects that were added since the last call to this method, in order."""
        effects, self._effects = self._effects, []
        return effects

    def send_event(
        self,
        leg: Leg,
        kind: Kind,
        fields: dict[str, Any],
        webhook: Webhook | None = None,
        on_reply: OnReply | None = None,
    ) -> None:
        """Send an event to a webhook.

        Args:
            leg: The leg that the event is about.
            kind: The kind of event, as shown in the log.
            fields: The body of the event.
            webhook: The webhook to use, or None to use the webhook for the leg's events.
            on_reply: A function that is called with the NCCO in the reply, or with None if the reply contains no
                NCCO. Omit this argument if replies to this kind of event cannot contain an NCCO.
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
        self.emit(event)

    def replied(self, event: Event, actions: Actions | None) -> None:
        """Call the function that was passed to :meth:`send_event` for the reply to *event*.

        *actions* is the NCCO in the reply, or None if the reply contains no NCCO. An empty NCCO is ignored.
        """
        _, on_reply = self._waiting.pop(id(event))
        on_reply(actions)

    def send_error(self, uuid: str, reason: str) -> None:
        """Send an ``error`` event for the leg with the given UUID.

        *reason* explains why the flow of the leg cannot run as written.
        """
        leg = self.legs[uuid]
        self.send_event(leg, Kind.ERROR, events.error(leg, self.now, reason))

    def note(self, conversation: Conversation, type_: str, leg: Leg | None, **body: Any) -> None:
        """Record an event in *conversation*. The event is caused by *leg*, or by the platform if *leg* is None."""
        self.emit(
            Note(
                at=self.now,
                application_id=conversation.application_id,
                conversation_uuid=conversation.uuid,
                type=type_,
                uuid=None if leg is None else leg.uuid,
                body=body,
            )
        )

    def attribute(self, type_: str, author: str) -> None:
        """Set the author of all events of type *type_* that have not been collected yet to *author*, a member id."""
        self._effects = [
            replace(effect, author=author) if isinstance(effect, Note) and effect.type == type_ else effect
            for effect in self._effects
        ]

    def remark(self, leg: Leg, reason: str) -> None:
        """Store and log *reason*, which explains why the flow of *leg* did not run as written."""
        leg.remark = reason
        self.emit(Remark(at=self.now, uuid=leg.uuid, reason=reason))
