"""Simulated failures of API requests and webhook requests. Clients of the sandbox add these faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from voicectl.sandbox.fault_types import FaultType
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing.fields import MISSING, Fields
from voicectl.sandbox.telephony.effects import Kind

ANY = "any"

ANSWER = "answer"
"""The webhook kind of a request that fetches an NCCO.

Webhook requests that send an event have the event's kind as their webhook kind.
"""

RTC = "rtc"
"""The webhook kind of all requests that send conversation events."""


_OPERATIONS = tuple(Operation)
_BY_ACCOUNT = ("Application", "Number")
_BY_TOKEN = tuple(
    operation for operation in Operation if not any(subject in operation for subject in _BY_ACCOUNT)
)
"""The operations that require a token.

The operations of the Application API and the Numbers API require the account's key and secret instead.
"""

_EVENTS = (*Kind, RTC)
_WEBHOOKS = (*_EVENTS, ANSWER)

_STRIKES: dict[FaultType, tuple[str, ...]] = {
    FaultType.STATUS: _OPERATIONS,
    FaultType.LOST_REPLY: _OPERATIONS,
    FaultType.LOST_REQUEST: _OPERATIONS,
    FaultType.DELAY: _OPERATIONS,
    FaultType.RATE_LIMIT: _OPERATIONS,
    FaultType.REGION: tuple(operation for operation in _BY_TOKEN if operation is not Operation.CREATE_CALL),
    FaultType.KEY_REVOKED: _BY_TOKEN,
    FaultType.WEBHOOK_DROP: _WEBHOOKS,
    FaultType.WEBHOOK_DUPLICATE: _WEBHOOKS,
    FaultType.WEBHOOK_REORDER: _EVENTS,
    FaultType.WEBHOOK_DELAY: _WEBHOOKS,
    FaultType.WEBHOOK_UNSIGNED: _WEBHOOKS,
    FaultType.WEBHOOK_COMPLETED: (Kind.STATUS,),
    FaultType.ANSWER_TIMEOUT: (ANSWER,),
}
"""The API operations or webhook kinds that each kind of fault can affect."""

REQUEST_FAULTS = frozenset(what for what, places in _STRIKES.items() if places[0] in set(Operation))
"""The kinds of fault that affect requests to the platform."""

WEBHOOK_FAULTS = frozenset(_STRIKES) - REQUEST_FAULTS - {FaultType.WEBHOOK_COMPLETED}
"""The kinds of fault that change a webhook request.

The kind ``webhook-completed`` is not included, because it sends an additional request.
"""

_BELONGS_TO = {
    "code": (FaultType.STATUS,),
    "seconds": (FaultType.DELAY, FaultType.WEBHOOK_DELAY),
    "retry_after": (FaultType.RATE_LIMIT,),
}
_NEEDED = ("code", "seconds")
_SHOWN = ("what", "on", "code", "seconds", "retry_after", "times", "probability", "after", "lasting")


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault, and the number of times it has been triggered.

    Attributes:
        on: The operation or webhook kind that the fault affects. The value ``any`` means everything that this kind of
            fault can affect.
        code: The HTTP status that a ``status`` fault returns.
        seconds: The length of the delay that a ``delay`` or ``webhook-delay`` fault causes, in seconds on the host
            clock.
        retry_after: The value of the ``Retry-After`` header that a ``rate-limit`` fault sends, in seconds, or None if
            no such header is sent.
        times: The maximum number of times that the fault can be triggered, or None if there is no limit.
        probability: The probability, from 0 to 1, that a matching request or webhook triggers the fault.
        after: The delay before the fault becomes active, in seconds, or None if no delay was given.
        lasting: How long the fault stays active, in seconds, or None if there is no limit.
        begins: The time at which the fault becomes active, in seconds on the host's monotonic clock.
        chance: The random number generator of this fault. Each fault has its own generator, so that faults do not
            influence each other.
        struck: The number of times the fault has been triggered.
    """

    id: int
    what: FaultType
    on: str
    code: int | None
    seconds: float | None
    retry_after: int | None
    times: int | None
    probability: float
    after: float | None
    lasting: float | None
    begins: float
    chance: random.Random
    struck: int = 0

    def strikes(self, place: str, now: float) -> bool:
        """Decide whether the current request triggers the fault.

        If it does, increase :attr:`struck` by 1 and return True. If it does not, return False.

        Args:
            place: The operation or webhook kind of the current request.
            now: The current time, in seconds on the host's monotonic clock.
        """
        can_strike = self.on in (ANY, place) and place in _STRIKES[self.what]
        if not can_strike or now < self.begins or self.is_spent(now):
            return False
        if self.chance.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def is_spent(self, now: float) -> bool:
        """Return True if the fault cannot be triggered again."""
        used_up = self.times is not None and self.struck >= self.times
        return used_up or (self.lasting is not None and now >= self.begins + self.lasting)

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the fault in the format of the control routes.

        The fields are ``id``, the settings of the fault, ``struck`` and ``spent``.
        """
        shown = {name: value for name in _SHOWN if (value := getattr(self, name)) is not None}
        return {"id": self.id} | shown | {"struck": self.struck, "spent": self.is_spent(now)}


class Faults:
    """All faults, in the order in which they were added.

    Args:
        seed: The seed for the random number generators of the faults.
        monotonic: A function that returns the time on the host's monotonic clock, which determines when faults begin
            and end.
    """

    def __init__(self, seed: int, monotonic: Callable[[], float]) -> None:
        self._faults: list[Fault] = []
        self._seed = seed
        self._monotonic = monotonic
        self._added = 0

    def add(self, raw: object) -> dict[str, Any]:
        """Add the fault that is described in the body of a control request.

        Args:
            raw: The parsed body. The field ``what`` is required. The optional fields are ``on``, ``code``,
                ``seconds``, ``retry_after``, ``times``, ``probability``, ``after`` (in seconds) and ``lasting`` (in
                seconds from the end of ``after``).

        Returns:
            The fault in the format of :meth:`Fault.to_json`.

        Raises:
            Invalid: A field is missing or invalid.
        """
        fields = Fields(raw)
        what = fields.choice("what", FaultType, required=True)
        on = fields.text("on") or ANY
        if what is not None and on not in (ANY, *_STRIKES[what]):
            fields.refuse("on", f"Must be one of {ANY}, {', '.join(_STRIKES[what])}")
        for name, owners in _BELONGS_TO.items():
            if name in fields.raw and what not in (*owners, None):
                fields.refuse(name, f"Is allowed only with {' or '.join(owners)}")
            elif what in owners and name in _NEEDED and name not in fields.raw:
                fields.refuse(name, MISSING)
        after, lasting = fields.amount("after"), fields.amount("lasting")
        begins = self._monotonic() + (after or 0)
        probability = fields.amount("probability", high=1)
        fault = Fault(
            id=self._added + 1,
            what=what or FaultType.STATUS,
            on=on,
            code=fields.integer("code", 300, 599, default=None),
            seconds=fields.amount("seconds"),
            retry_after=fields.integer("retry_after", 0, default=None),
            times=fields.integer("times", 1, default=None),
            probability=1 if probability is None else probability,
            after=after,
            lasting=lasting,
            begins=begins,
            chance=random.Random(f"fault {self._added + 1} {self._seed}"),  # noqa: S311 (the same in each run)
        )
        fields.done()
        self._added += 1
        self._faults.append(fault)
        return fault.to_json(self._monotonic())

    def strike(self, place: str, among: Collection[FaultType] = REQUEST_FAULTS) -> Fault | None:
        """Trigger and return the first fault that applies to the current request. If no fault applies, return None.

        Args:
            place: The operation or webhook kind of the current request.
            among: The kinds of fault to consider.
        """
        now = self._monotonic()
        return next((each for each in self._faults if each.what in among and each.strikes(place, now)), None)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def remove(self, id_: int) -> bool:
        """Remove the fault with the id *id_*.

        Returns:
            True if the fault was removed, or False if there is no such fault.
        """
        kept = [fault for fault in self._faults if fault.id != id_]
        is_found = len(kept) < len(self._faults)
        self._faults = kept
        return is_found

    def to_json(self) -> list[dict[str, Any]]:
        """Return all faults in the format of :meth:`Fault.to_json`. Include faults that cannot be triggered again."""
        return [fault.to_json(self._monotonic()) for fault in self._faults]

    @property
    def pending(self) -> int:
        """The number of faults that can still be triggered."""
        now = self._monotonic()
        return sum(not fault.is_spent(now) for fault in self._faults)
