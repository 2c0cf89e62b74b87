"""Answering machine detection: the events that report whether a person or a machine answered, and when they occur.

Source: Voice API reference, "machine detection" (standard and advanced).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voicectl.sandbox.telephony.far_end import FarEnd

HUMAN_AFTER = 2.0
MACHINE_AFTER = 3.0
BEEP_TIMEOUT = 45


class Behavior(StrEnum):
    """The ways to handle a call that a machine answers."""

    CONTINUE = "continue"
    HANGUP = "hangup"


class Mode(StrEnum):
    """The modes of advanced detection.

    Standard detection is like the mode ``default``, but does not report the beep.
    """

    DETECT = "detect"
    DETECT_BEEP = "detect_beep"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionEvent:
    """An event that answering machine detection reports.

    Attributes:
        after: The time between the answer and the event, in seconds.
        status: ``human`` or ``machine``.
        sub_state: ``beep_start``, ``beep_timeout``, or None if the event does not concern the beep.
    """

    after: float
    status: str
    sub_state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The settings for answering machine detection in a request for a call.

    Attributes:
        behavior: ``hangup`` if the call ends when a machine is detected, or ``continue`` if the call continues.
        mode: The mode of advanced detection, or None for standard detection.
        beep_timeout: How long to wait for the beep after a machine is detected, in seconds.
    """

    behavior: Behavior
    mode: Mode | None = None
    beep_timeout: int = BEEP_TIMEOUT

    @property
    def waits(self) -> bool:
        """True if the flow of the call starts only after the last detection event."""
        return self.mode in (Mode.DETECT, Mode.DETECT_BEEP)

    def expected_events(self, far_end: FarEnd) -> list[DetectionEvent]:
        """Return the detection events of a call that *far_end* answers, in order. There is at least one event."""
        if not far_end.is_machine:
            return [DetectionEvent(after=HUMAN_AFTER, status="human")]
        verdict = DetectionEvent(after=MACHINE_AFTER, status="machine")
        match self.mode:
            case Mode.DETECT_BEEP:
                return [self._beep(far_end)]
            case Mode.DEFAULT:
                return [verdict, self._beep(far_end)]
        return [verdict]

    def _beep(self, far_end: FarEnd) -> DetectionEvent:
        given_up = MACHINE_AFTER + self.beep_timeout
        if far_end.beeps_after is not None and far_end.beeps_after <= given_up:
            return DetectionEvent(after=far_end.beeps_after, status="machine", sub_state="beep_start")
        return DetectionEvent(after=given_up, status="machine", sub_state="beep_timeout")
