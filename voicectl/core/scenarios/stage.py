"""The sandbox as a test sees it: legs, what their parties heard, and a clock that moves from due time to due time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voicectl.voice import speech
from voicectl.voice.call import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.sandbox_control import SandboxControl

STEP_SECONDS = 300.0
"""How long the sandbox may take for one step, in real time. It waits for the application as long as the platform."""

PLATFORM = "platform"
"""The source of sounds that the application makes, not another party."""


@dataclass(slots=True, kw_only=True)
class Heard:
    """A sound that a party heard, with its time in seconds since the test began.

    Attributes:
        source: :data:`PLATFORM`, or the id of the leg whose party made the sound.
        text: The words, the URL, or the keys.
        was_cut: True if it was stopped before its end.
    """

    at: float
    kind: str
    source: str
    text: str
    was_cut: bool

    def spoken_by(self, end: int) -> float:
        """Return when the first *end* characters of the text have been spoken, in whole milliseconds of the clock."""
        spoken = min(speech.seconds(self.text), speech.seconds(self.text[:end]))
        return round(self.at + math.ceil(spoken * 1000) / 1000, 3)


@dataclass(slots=True, kw_only=True)
class Leg:
    """A leg, as the sandbox last reported it. Times are in seconds since the test began.

    Attributes:
        number: The number or endpoint of the party.
        heard: What the party heard, in order.
        room: The name of the room that the leg is in, or None.
        listens: What the party can do with effect: press keys (``dtmf``), or speak (``speech``).
    """

    uuid: str
    direction: str
    number: str
    status: str = ""
    created_at: float = 0.0
    answered_at: float | None = None
    ended_at: float | None = None
    conversation: str = ""
    room: str | None = None
    is_joined: bool = False
    is_muted: bool = False
    listens: frozenset[str] = frozenset()
    heard: list[Heard] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        """True if the leg is answered and has not ended."""
        return self.answered_at is not None and not self.is_over

    @property
    def is_over(self) -> bool:
        """True if the leg has ended."""
        return self.status in FINAL


def address(number: str) -> str:
    """Return a number or another endpoint, such as ``app:alice``, as the sandbox names the party: ``alice``."""
    return number.removeprefix("+").removeprefix("app:").removeprefix("vbc:")


class Stage:
    """A frozen sandbox during one test. It forgets the calls of earlier tests first.

    Args:
        settle: How long the application must have been quiet before time passes, in seconds of real time.

    Attributes:
        legs: All legs, keyed by id, in the order in which they were made.
        log: The entries of the sandbox's log.
        now: The time on the call clock, in seconds since the test began.
        settled: The number of requests that the application sent only after it had answered all webhooks.
        unsettled: The number of times that the application did not become quiet.
    """

    def __init__(self, control: SandboxControl, *, settle: float = 0.0) -> None:
        self._control = control
        self._settle = settle
        self._cursor = 0
        self._start: float | None = None
        self.legs: dict[str, Leg] = {}
        self.log: list[dict[str, Any]] = []
        self.now = 0.0
        self.settled = 0
        self.unsettled = 0
        self._act("reset", {})

    def ring(self, fields: dict[str, Any]) -> Leg:
        """Let somebody call the application, and return the leg of the caller."""
        return self.legs[self.act("ring", **fields)["uuid"]]

    def act(self, what: str, **fields: Any) -> dict[str, Any]:
        """Act as a party (``ring``, ``press``, ``say`` ...), and return the sandbox's reply.

        Raises:
            InputError: The sandbox refuses the action.
        """
        return self._act(what, fields)

    def hang_up(self, leg: Leg) -> None:
        """Let a party hang up, if it can."""
        if leg.is_up or leg.status == "ringing":
            self.act("hangup", leg=leg.uuid)

    def add_fault(self, body: dict[str, Any]) -> None:
        """Let the sandbox misbehave from now on.

        Raises:
            InputError: There is no such fault.
        """
        self._control.post("/sandbox/faults", body)

    def step(self, until: float) -> None:
        """Let the next due moment happen, or let the clock go to *until* if nothing is due by then."""
        self._step(within=round(until - self.now, 3))

    def look(self) -> None:
        """Wait until the application has done everything that it does at this moment, and read what has happened."""
        self._step(within=0)

    def since_start(self, moment: str) -> float:
        """Return a time of the call clock in seconds since the test began."""
        return round(datetime.fromisoformat(moment).timestamp() - (self._start or 0), 3)

    def of(self, number: str) -> Leg | None:
        """Return the latest leg on which the application called the party at *number*, or None."""
        wanted = address(number)
        found = [leg for leg in self.legs.values() if leg.number == wanted and leg.direction == "outbound"]
        return found[-1] if found else None

    def beside(self, leg: Leg) -> Iterator[Leg]:
        """Yield the other legs that are up in the conversation of *leg*."""
        for other in self.legs.values():
            if (
                other is not leg
                and other.is_up
                and other.is_joined
                and other.conversation == leg.conversation
            ):
                yield other

    def _step(self, *, within: float) -> None:
        self._read(self._control.post("/sandbox/step", self._how(within=within), timeout=STEP_SECONDS))

    def _act(self, what: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Do something, and then the same as :meth:`look`. Both take one request."""
        body = fields | {"step": self._how(within=0)}
        found = self._control.post(f"/sandbox/{what}", body, timeout=STEP_SECONDS)
        self._read(found["step"])
        reply: dict[str, Any] = found["reply"]
        return reply

    def _how(self, *, within: float) -> dict[str, Any]:
        return {"within": within, "since": self._cursor, "settle": self._settle}

    def _read(self, found: dict[str, Any]) -> None:
        if self._start is None:
            self._start = datetime.fromisoformat(found["call_time"]).timestamp()
        self.now = self.since_start(found["call_time"])
        self._cursor = found["cursor"]
        self.log += found["entries"]
        self.settled += found["settled"]
        self.unsettled += found["settle_capped"]
        for each in found["legs"]:
            self._update(each)

    def _update(self, found: dict[str, Any]) -> None:
        uuid = found["uuid"]
        if uuid not in self.legs:
            number = found["from" if found["direction"] == "inbound" else "to"] or ""
            self.legs[uuid] = Leg(uuid=uuid, direction=found["direction"], number=number)
        leg = self.legs[uuid]
        leg.status, leg.conversation, leg.room = found["status"], found["conversation_uuid"], found["room"]
        leg.is_joined, leg.is_muted, leg.listens = (
            found["joined"],
            found["muted"],
            frozenset(found["listens"]),
        )
        leg.created_at = self.since_start(found["created"])
        leg.answered_at, leg.ended_at = self._maybe(found["answered"]), self._maybe(found["ended"])
        leg.heard = [self._sound(each) for each in found["heard"]]

    def _maybe(self, moment: str | None) -> float | None:
        return None if moment is None else self.since_start(moment)

    def _sound(self, heard: dict[str, Any]) -> Heard:
        return Heard(
            at=self.since_start(heard["at"]),
            kind=heard["kind"],
            source=heard["from"],
            text=str(next((heard[name] for name in ("text", "url", "digits", "beep") if name in heard), "")),
            was_cut=bool(heard.get("cut")),
        )
