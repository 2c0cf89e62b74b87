"""What a leg is told to do once it is answered: the actions of an NCCO, or where to ask for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony.hearing import Prompt

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.detection import Detection

RINGING_TIMER = 60
"""Seconds of ringing after which a call times out, unless it says otherwise."""

LENGTH_TIMER = 7200
"""Seconds from the answer after which a call is ended, unless it says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """``conversation``: enter a named room and stay.

    Attributes:
        starts: ``startOnEnter``: the room comes to life when this leg enters.
        ends: ``endOnExit``: the room closes for all when this leg leaves.
        mute: Enter muted; False leaves the leg as it is.
        can_hear: The legs that this one hears; None for all.
        can_speak: The legs that hear this one; None for all.
        music: What to hear until the room comes to life.
    """

    name: str
    starts: bool = True
    ends: bool = False
    mute: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    music: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """``connect``: call a phone into the leg's own conversation.

    Attributes:
        caller: The ``from`` number; None for the account's own.
        timeout: Seconds of ringing.
        limit: Seconds from the answer.
        ringback: What the caller hears until the callee is there.
    """

    endpoint: dict[str, Any]
    caller: str | None = None
    timeout: int = RINGING_TIMER
    limit: int = LENGTH_TIMER
    detection: Detection | None = None
    dtmf_answer: str | None = None
    ringback: str | None = None


Action = Prompt | Join | Dial
"""One action of an NCCO; ``talk`` and ``stream`` are a :class:`Prompt`."""

Actions = tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL to ask for an NCCO."""

    url: str
    method: str = "GET"


Flow = Actions | Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An outbound call as it was asked for (``POST /v1/calls``).

    Attributes:
        to: The callee, as records show it; so is ``from_``, the caller.
        event_url: Kept; nothing is sent to it.
    """

    to: dict[str, Any]
    from_: dict[str, Any]
    flow: Flow
    detection: Detection | None = None
    dtmf_answer: str | None = None
    ringing_timer: int = RINGING_TIMER
    length_timer: int = LENGTH_TIMER
    event_url: str | None = None
