"""One call to a menu, in which the caller acts whenever the application listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.core.crawl.menus import SILENCE, TOO_MANY, Kind, Place
from voicectl.core.scenarios.stage import PLATFORM
from voicectl.voice import speech

if TYPE_CHECKING:
    from voicectl.core.scenarios.stage import Heard, Leg, Stage

MANY_KEYS = "1" * 21
"""More keys than any input takes."""

STUCK_SECONDS = 120.0
"""The longest time for which nothing new may be heard, in seconds on the call clock."""

MAX_STEPS = 2_000
AUDIO = ("audio", "music")


class Walk:
    """A call on *stage* from its start.

    Args:
        base: The base URL of the application, which is left out of what is heard because its port changes.
    """

    def __init__(self, stage: Stage, fields: dict[str, str], *, base: str) -> None:
        self._stage = stage
        self._base = base
        self._leg: Leg = stage.ring(fields)
        self._heard = 0
        self._read = 0
        self._must_report = False

    def act(self, act: str) -> None:
        """Press a key, or too many. The caller can also be silent."""
        self._heard, self._read, self._must_report = len(self._leg.heard), len(self._stage.log), True
        if act != SILENCE:
            self._stage.act("press", leg=self._leg.uuid, digits=MANY_KEYS if act == TOO_MANY else act)

    def arrive(self, *, in_full: bool) -> Place:
        """Let time pass until the caller can act again, or nothing more happens, and return where the caller is.

        Args:
            in_full: False to return as soon as the application listens, while it still speaks.
        """
        last_sound, count = self._stage.now, len(self._leg.heard)
        for _ in range(MAX_STEPS):
            if (kind := self._kind(in_full=in_full)) is not None:
                return self._place(kind)
            if len(self._leg.heard) > count:
                last_sound, count = max(last_sound, self._spoken_by()), len(self._leg.heard)
            if self._stage.now - last_sound >= STUCK_SECONDS:
                break
            self._stage.step(self._stage.now + STUCK_SECONDS)
        return self._place(Kind.STUCK if self._leg.room is None else Kind.WAITING)

    def _kind(self, *, in_full: bool) -> Kind | None:
        leg, stage = self._leg, self._stage
        if leg.is_over:
            return Kind.ENDED
        if any(stage.beside(leg)):
            return Kind.CONNECTED
        if self._must_report and not self._has_reported():
            return None
        is_done = not in_full or stage.now >= self._spoken_by()
        return Kind.MENU if leg.listens and is_done else None

    def _has_reported(self) -> bool:
        """Return True if the platform has sent the pressed keys to the application."""
        uuid, log = self._leg.uuid, self._stage.log
        return any(
            log[at]["kind"] == "input" and log[at].get("uuid") == uuid for at in range(self._read, len(log))
        )

    def _spoken_by(self) -> float:
        """Return when the application has said what it is saying, rounded as the times of the sandbox."""
        ends = (each.at + round(speech.seconds(each.text), 3) for each in self._new() if not each.was_cut)
        return round(max(ends, default=0.0), 3)

    def _new(self) -> list[Heard]:
        return [each for each in self._leg.heard[self._heard :] if each.source == PLATFORM and each.text]

    def _place(self, kind: Kind) -> Place:
        said = " ".join(f"[{each.text}]" if each.kind in AUDIO else each.text for each in self._new())
        said = said.replace(self._base, "")
        return Place(kind=kind, said=said, takes_keys="dtmf" in self._leg.listens)
