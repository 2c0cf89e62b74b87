"""The sandbox as a test sees it: legs, what their parties heard, and a clock that moves from due time to due time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voicectl.voice import speech
from voicectl.voice.call import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.sandbox_control import SandboxControl

SLICE_SECONDS = 0.25


@dataclass(slots=True, kw_only=True)
class Heard:
    """A sound that a party heard, with times in seconds since the test began.

    Attributes:
        seconds: How long it has been heard so far.
        source: ``platform``, or the id of the leg whose party made the sound.
    """

    at: float
    kind: str
    source: str
    seconds: float
    text: str
    was_cut: bool

    def spoken_by(self, end: int) -> float:
        """Return when the first *end* characters of the text have been spoken."""
        return self.at + min(speech.seconds(self.text), speech.seconds(self.text[:end]))


@dataclass(slots=True, kw_only=True)
class Leg:
    """A leg, as the sandbox last reported it.

    Attributes:
        number: The number or endpoint of the party.
        heard: What the party heard, in order.
        conversations: The ids of the conversations that the leg was in, in order.
    """

    uuid: str
    direction: str
    number: str
    status: str = ""
    answered_at: float | None = None
    ended_at: float | None = None
    heard: list[Heard] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    is_muted: bool = False

    @property
    def is_up(self) -> bool:
        """True if the leg is answered and has not ended."""
        return self.answered_at is not None and not self.is_over

    @property
    def is_over(self) -> bool:
        """True if the leg has ended."""
        return self.status in FINAL

    @property
    def conversation(self) -> str | None:
        """The conversation that the leg is in, or was in last."""
        return self.conversations[-1] if self.conversations else None


class Stage:
    """A frozen sandbox during one test.

    Attributes:
        legs: All legs, keyed by id, in the order in which they were made.
        log: The entries of the sandbox's log.
        now: The time on the call clock, in seconds since the test began.
    """

    def __init__(self, control: SandboxControl) -> None:
        self._control = control
        self._start = _seconds(control.status()["call_time"])
        self.legs: dict[str, Leg] = {}
        self.log: list[dict[str, Any]] = []
        self.now = 0.0
        self.look()

    def act(self, what: str, **fields: Any) -> dict[str, Any]:
        """Act as a party (``ring``, ``press``, ``say`` ...), and return the sandbox's reply."""
        reply: dict[str, Any] = self._control.post(f"/sandbox/{what}", fields)
        self.look()
        return reply

    def step(self, until: float) -> None:
        """Let the next due moment happen, or let the clock go to *until* if nothing is due by then."""
        seconds = round(min(SLICE_SECONDS, until - self.now), 3)
        if seconds > 0:
            self._control.post("/sandbox/advance", {"seconds": seconds})
        self.look()

    def look(self) -> None:
        """Read what has happened."""
        self.now = self.since_start(self._control.status()["call_time"])
        for entry in list(self._control.log())[len(self.log) :]:
            self.log.append(entry)
            self._note(entry)
        for leg in self.legs.values():
            leg.heard = [self._sound(each) for each in self._control.hear(leg.uuid)]

    def since_start(self, moment: str) -> float:
        """Return a time of the call clock in seconds since the test began."""
        return round(_seconds(moment) - self._start, 3)

    def of(self, number: str) -> Leg | None:
        """Return the latest leg of the party at *number*, or None."""
        wanted = number.removeprefix("+")
        found = [leg for leg in self.legs.values() if leg.number == wanted]
        return found[-1] if found else None

    def beside(self, leg: Leg) -> Iterator[Leg]:
        """Yield the other legs that are up in the conversation of *leg*."""
        for other in self.legs.values():
            if other is not leg and other.is_up and other.conversation == leg.conversation:
                yield other

    def _note(self, entry: dict[str, Any]) -> None:
        uuid = entry.get("uuid")
        if entry["kind"] == "status" and "direction" in entry:
            at = self.since_start(entry["call_time"])
            self._change(self._leg(entry), entry["status"], at)
        elif entry["kind"] == "transfer" and uuid in self.legs:
            self.legs[uuid].conversations.append(entry["conversation_uuid_to"])

    def _leg(self, entry: dict[str, Any]) -> Leg:
        uuid, direction = entry["uuid"], entry["direction"]
        if uuid not in self.legs:
            number = entry["from" if direction == "inbound" else "to"]
            self.legs[uuid] = Leg(uuid=uuid, direction=direction, number=number or "")
        leg = self.legs[uuid]
        if leg.conversation != entry["conversation_uuid"]:
            leg.conversations.append(entry["conversation_uuid"])
        return leg

    def _change(self, leg: Leg, status: str, at: float) -> None:
        leg.status = status
        if status == "answered":
            leg.answered_at = at
        if leg.is_over:
            leg.ended_at = at

    def _sound(self, heard: dict[str, Any]) -> Heard:
        return Heard(
            at=self.since_start(heard["at"]),
            kind=heard["kind"],
            source=heard["from"],
            seconds=heard["seconds"],
            text=str(next((heard[name] for name in ("text", "url", "digits", "beep") if name in heard), "")),
            was_cut=bool(heard.get("cut")),
        )


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
