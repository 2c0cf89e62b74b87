"""Faults on demand: what may go wrong between a client and the platform, made to happen."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.checks import MISSING, Fields
from voicectl.sandbox.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

ANY = "any"


class What(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    LOST_REPLY = "lost-reply"
    LOST_REQUEST = "lost-request"
    DELAY = "delay"
    RATE_LIMIT = "rate-limit"


_BELONGS_TO = {"code": What.STATUS, "seconds": What.DELAY, "retry_after": What.RATE_LIMIT}
_NEEDED = ("code", "seconds")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault, and how often it has struck.

    Attributes:
        on: The operation that it strikes, or ``any``.
        code: The HTTP status of ``status``.
        seconds: How long ``delay`` holds the answer back, on the host clock.
        retry_after: The ``Retry-After`` of ``rate-limit``, in seconds; None for no such header.
        times: How often it strikes at most; None for no bound.
        probability: The chance that it strikes, from 0 to 1.
        begins: When it begins to strike, on the host's monotonic clock.
        ends: When it stops, likewise; None for never.
    """

    id: int
    what: What
    on: str
    code: int | None
    seconds: float | None
    retry_after: int | None
    times: int | None
    probability: float
    begins: float
    ends: float | None
    struck: int = 0

    def is_spent(self, now: float) -> bool:
        """Whether it will not strike again."""
        used_up = self.times is not None and self.struck >= self.times
        return used_up or (self.ends is not None and now >= self.ends)

    def to_json(self, now: float) -> dict[str, Any]:
        """As the control routes show it: what was given, ``struck`` and ``spent``."""
        given = {
            "what": self.what,
            "on": self.on,
            "code": self.code,
            "seconds": self.seconds,
            "retry_after": self.retry_after,
            "times": self.times,
            "probability": self.probability,
        }
        shown = {name: value for name, value in given.items() if value is not None}
        return {"id": self.id} | shown | {"struck": self.struck, "spent": self.is_spent(now)}


class Faults:
    """The faults that were asked for, in that order.

    Args:
        seed: Chance follows from it.
        monotonic: The host clock, which rules when a fault begins and ends.
    """

    def __init__(self, seed: int, monotonic: Callable[[], float]) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(f"faults {seed}")  # noqa: S311 (chance that repeats is wanted)
        self._monotonic = monotonic
        self._added = 0

    def add(self, raw: object) -> dict[str, Any]:
        """Add what a control request describes.

        Args:
            raw: ``what``, and as wanted ``on``, ``code``, ``seconds``, ``retry_after``, ``times``,
                ``probability``, ``after`` (seconds from now) and ``lasting`` (seconds from then).

        Returns:
            The fault as :meth:`Fault.to_json` shows it.

        Raises:
            Invalid: It makes no fault.
        """
        fields = Fields(raw)
        what = fields.choice("what", What, required=True)
        on = fields.text("on") or ANY
        if on != ANY and on not in set(Operation):
            fields.refuse("on", f"Must be one of {ANY}, {', '.join(Operation)}")
        for name, owner in _BELONGS_TO.items():
            if name in fields.raw and what not in (owner, None):
                fields.refuse(name, f"Goes with {owner} only")
            elif what is owner and name in _NEEDED and name not in fields.raw:
                fields.refuse(name, MISSING)
        begins = self._monotonic() + (fields.amount("after") or 0)
        lasting = fields.amount("lasting")
        probability = fields.amount("probability", high=1)
        fault = Fault(
            id=self._added + 1,
            what=what or What.STATUS,
            on=on,
            code=fields.integer("code", 300, 599, default=None),
            seconds=fields.amount("seconds"),
            retry_after=fields.integer("retry_after", 0, default=None),
            times=fields.integer("times", 1, default=None),
            probability=1 if probability is None else probability,
            begins=begins,
            ends=None if lasting is None else begins + lasting,
        )
        fields.done()
        self._added += 1
        self._faults.append(fault)
        return fault.to_json(self._monotonic())

    def strike(self, operation: Operation) -> Fault | None:
        """The first fault that strikes this request, if one does; counts it."""
        now = self._monotonic()
        for fault in self._faults:
            if fault.on not in (ANY, operation) or now < fault.begins or fault.is_spent(now):
                continue
            if self._random.random() < fault.probability:
                fault.struck += 1
                return fault
        return None

    def clear(self) -> None:
        """Forget them all."""
        self._faults.clear()

    def to_json(self) -> list[dict[str, Any]]:
        """All of them, those that will not strike again included."""
        return [fault.to_json(self._monotonic()) for fault in self._faults]

    @property
    def pending(self) -> int:
        """How many may strike yet."""
        now = self._monotonic()
        return sum(not fault.is_spent(now) for fault in self._faults)
