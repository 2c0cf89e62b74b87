"""The base of the exchange's parts: the agenda, the ids, the records, and the effects left for others to perform."""

# The exchange is pure. It opens no socket, reads no file and no clock, so tests can drive it by hand and one run
# equals the next.
#
# Input: the operations of the exchange (an API request, an act of an outside party, the reply of a webhook) and
# run(until), which alone moves the call clock. Each operation happens at the present moment of that clock.
#
# Time: everything that happens later is a timer in the agenda. Timers run in order of their moments, then of their
# setting, each at its own moment however far run() goes: one run of an hour equals 3,600 runs of a second. Moments
# are whole milliseconds, since sums of floats would make the order depend on the size of the steps. A leg's timers
# end with the leg (schedule()); those that outlive it are set on the agenda itself.
#
# Output: effects, appended by emit() in the order in which they happen, taken away by collect(). The performer
# carries them out: it sends events, fetches NCCOs, writes files, opens WebSockets. What takes time comes back as
# another operation, at the moment at which it comes.
#
# Replies: an event whose reply may carry an NCCO waits in _waiting with the function to call. The performer must hand
# back each such event exactly once (replied()), also if there was no URL or no answer: the flow waits for it. The key
# is the identity of the event; the entry holds the event too, so that no other can get the same id.
#
# Determinism: ids come from one random generator, seeded, in the order in which things are made. With the same seed,
# and the same operations at the same moments, ids, effects and their order are the same. The host clock is read for
# ``made_at`` of new records only, which decides nothing in here.

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Actions, OnReply, Webhook
from voicectl.sandbox.telephony.agenda import Agenda, Timer
from voicectl.sandbox.telephony.effects import Effect, Event, Kind, Note, Remark
from voicectl.sandbox.telephony.state import Conversation, Leg


class Base:
    """The records, the call clock, and the effects so far.

    Args:
        seed: The seed of ids: the same seed and the same operations give the same ids.
        now: The present moment of the call clock, in milliseconds since 1970.
        host_time: Returns the Unix seconds of the host clock, kept with each new record.

    Attributes:
        legs: Every leg, by uuid, in the order they were made. Records are kept for ever.
        live: The legs that have not ended.
        conversations: The conversations that exist, by uuid.
        agenda: The timers.
    """

    def __init__(self, *, seed: str, now: int, host_time: Callable[[], float]) -> None:
        self.legs: dict[str, Leg] = {}
        self.live: dict[str, Leg] = {}
        self.conversations: dict[str, Conversation] = {}
        self.agenda = Agenda(now)
        self.host_time = host_time
        self._random = random.Random(f"ids {seed}")  # noqa: S311 (ids must repeat from run to run)
        self._effects: list[Effect] = []
        self._waiting: dict[int, tuple[Event, OnReply]] = {}

    @property
    def now(self) -> int:
        """The present moment of the call clock, in milliseconds since 1970."""
        return self.agenda.now

    def new_uuid(self) -> str:
        """Make the next id."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def schedule(self, leg: Leg, seconds: float, do: Callable[[], object]) -> Timer:
        """Call *do* in *seconds* unless *leg* has ended by then."""
        timer = self.agenda.after(seconds, do)
        leg.timers.append(timer)
        return timer

    def emit(self, effect: Effect) -> None:
        """Add *effect* to those to be performed."""
        self._effects.append(effect)

    def collect(self) -> list[Effect]:
        """Return the effects so far, in order, and forget them."""
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
            kind: The kind of event, for the log.
            fields: The body of the event.
            webhook: The webhook; None: that of the leg's events.
            on_reply: Given if the reply may carry an NCCO: called with it, or with None.
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
        """Pass on the NCCO from the reply to *event*; None if there was none. An empty NCCO counts as none."""
        _, on_reply = self._waiting.pop(id(event))
        on_reply(actions)

    def send_error(self, uuid: str, reason: str) -> None:
        """Send an ``error`` event: the flow of the leg cannot go on as it was written."""
        leg = self.legs[uuid]
        self.send_event(leg, Kind.ERROR, events.error(leg, self.now, reason))

    def note(self, conversation: Conversation, type_: str, leg: Leg | None, **body: Any) -> None:
        """Record an event of *conversation*, caused by *leg* or, if that is None, by the platform."""
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

    def remark(self, leg: Leg, reason: str) -> None:
        """Log why the flow of *leg* did not go as it was written."""
        self.emit(Remark(at=self.now, uuid=leg.uuid, reason=reason))
