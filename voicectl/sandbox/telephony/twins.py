"""Calls to the account's own numbers, which ring the applications to which the numbers are linked.

Such a call has two legs. The outbound leg belongs to the application that calls. The inbound leg, its twin, belongs
to the application that is called, which may be the same one. Each of the two legs is the outside party of the other:
the party on a leg says what the party on its twin hears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from voicectl.sandbox.telephony import far_end
from voicectl.sandbox.telephony.actions import Actions, Flow, Join, Order
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.far_end import Refusal
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.rooms import Rooms
from voicectl.sandbox.telephony.sounds import Heard, Sound
from voicectl.sandbox.telephony.state import Conversation, Direction, Leg
from voicectl.voice.call import CallStatus

LATENCY_SECONDS = 0.1
"""The time that a sound takes from one leg to its twin, in seconds.

Because of this delay, both flows have begun before the first sound arrives.
"""

LOBBY: Actions = (Join(name="lobby"),)
"""The flow of inbound calls to an application that has no ``answer_url``."""

MAX_HOPS = 20
"""The maximum number of calls in a chain in which each call was placed by the application that the last one reached.

Without this limit, an application that connects each call to its own number would call itself forever.
"""

LOOP = Refusal(status=CallStatus.FAILED, after=0, detail="cannot_route", sip_code=482)
"""The way in which a call fails if the chain of calls is too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The application to which calls to a number lead.

    Attributes:
        flow: The flow of the calls, or None to request an NCCO from the application's ``answer_url``.
    """

    application_id: str
    region: str
    flow: Flow | None


class Calls(Protocol):
    """The methods of call control that :class:`Twins` uses."""

    def ring(self, leg: Leg) -> None:
        """Let *leg*, which is outbound, ring."""

    def receive(self, order: Order, conversation: Conversation) -> Leg:
        """Receive an inbound call, and return the leg of the caller."""

    def answer(self, leg: Leg) -> None:
        """Answer *leg*, which is outbound and ringing."""

    def refuse(self, leg: Leg, refusal: Refusal) -> None:
        """End *leg*, whose party does not answer."""

    def end(self, leg: Leg, status: CallStatus) -> None:
        """End *leg* with *status*."""

    def party_hangs_up(self, leg: Leg) -> None:
        """End *leg*, which has been answered, because its party has hung up."""


class Twins:
    """An object that connects each outbound leg to one of the account's numbers with its inbound twin.

    Args:
        base: The shared state: the legs, the conversations and the call clock.
        media: The object that plays sounds to the parties, and records the parties.
        rooms: The object that creates and ends conversations, and moves legs between them.
        calls: The object that creates, answers and ends legs.
        find_route: A function that takes a phone number, and returns the route of calls to that number, or None if
            they do not lead to an application of the account.
    """

    def __init__(
        self,
        base: Base,
        media: Media,
        rooms: Rooms,
        calls: Calls,
        find_route: Callable[[str], Route | None],
    ) -> None:
        self._base = base
        self._media = media
        self._rooms = rooms
        self._calls = calls
        self._find_route = find_route

    def call(self, leg: Leg, caller: Leg | None) -> bool:
        """Call the application that is linked to the number that *leg* calls, and return True.

        If the number is not linked to an application, do nothing and return False.

        Args:
            leg: The outbound leg, which has just been created.
            caller: The leg whose ``connect`` action created *leg*, or None if a request created it.
        """
        route = self._find_route(leg.to["number"]) if leg.to["type"] == "phone" else None
        if route is None:
            return False
        leg.hops = (0 if caller is None else caller.hops) + 1
        leg.far_end = far_end.APPLICATION
        if leg.hops > MAX_HOPS:
            self._base.remark(leg, f"a chain of more than {MAX_HOPS} calls to the account's own numbers")
            self._base.schedule(leg, 0, partial(self._calls.refuse, leg, LOOP))
        else:
            self._base.schedule(leg, far_end.RINGING_AFTER, partial(self._ring, leg, route))
        return True

    def _ring(self, leg: Leg, route: Route) -> None:
        """Let *leg* ring, and let its twin arrive at the application."""
        self._calls.ring(leg)
        to = {"type": "phone", "number": leg.to["number"]}
        order = Order(to=to, from_=leg.from_, flow=route.flow)
        twin = self._calls.receive(order, self._rooms.new(route.application_id, route.region))
        twin.far_end = far_end.PERSON
        twin.hops = leg.hops
        leg.twin, twin.twin = twin, leg

    def answered(self, leg: Leg) -> None:
        """Answer the outbound twin of *leg*, because the application has answered *leg*."""
        twin = leg.twin
        if twin is not None and leg.direction is Direction.INBOUND and twin.status is CallStatus.RINGING:
            self._calls.answer(twin)

    def ended(self, leg: Leg) -> None:
        """Let the twin of *leg* end in the next moment, because *leg* has ended."""
        twin, leg.twin = leg.twin, None
        if twin is not None and not twin.is_over:
            twin.twin = None
            self._base.schedule(twin, 0, partial(self._end, twin))

    def _end(self, leg: Leg) -> None:
        if leg.is_up:
            self._calls.party_hangs_up(leg)
        elif leg.direction is Direction.INBOUND:
            self._calls.end(leg, CallStatus.CANCELLED)
        else:
            self._calls.refuse(leg, far_end.DECLINED)

    def pass_on(self, leg: Leg, heard: Heard) -> None:
        """Let the party on the twin of *leg* make the sound *heard*, which the party on *leg* hears.

        A sound does not return to a leg from which it came. Otherwise, it would be repeated forever if both legs were
        in the same conversation.
        """
        if leg.twin is not None and leg.uuid not in heard.heard_by:
            self._base.schedule(leg.twin, LATENCY_SECONDS, partial(self._repeat, leg, leg.twin, heard))

    def _repeat(self, leg: Leg, twin: Leg, heard: Heard) -> None:
        if not (leg.is_up and twin.is_up) or heard.was_cut:
            return
        heard_by = heard.heard_by | {leg.uuid, twin.uuid}
        match heard.prompt.sound:
            case Sound.KEYS:
                self._media.press(twin, heard.prompt.content["digits"], heard_by=heard_by)
            case Sound.SPEECH:
                self._media.speak(twin, heard.prompt, heard_by=heard_by)
            case _:
                self._media.make_sound(twin, heard.prompt, heard_by=heard_by)
        heard.copies[leg.uuid] = twin.audio.said[-1]
