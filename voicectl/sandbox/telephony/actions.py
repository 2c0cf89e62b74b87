"""What a leg is told to do once it is answered: the actions of an NCCO, or where to ask for one.

Source: NCCO reference, one class an action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicectl.sandbox.telephony.detection import Detection
from voicectl.sandbox.telephony.sounds import Prompt

RINGING_TIMER = 60
"""Seconds of ringing after which a call times out, unless it says otherwise."""

LENGTH_TIMER = 7200
"""Seconds from the answer after which a call is ended, unless it says otherwise."""

LONGEST_RECORDING = 7200
"""Seconds after which a recording ends, unless it says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL to ask for an NCCO, or to tell of an event."""

    url: str
    method: str = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """``talk`` or ``stream``.

    Attributes:
        barge_in: ``bargeIn``: a key or a word cuts it, and counts for the ``input`` to come.
    """

    prompt: Prompt
    barge_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """``transcription`` of a recording.

    Attributes:
        events: Where the ``transcribed`` event goes; None: where the ``record`` event goes.
    """

    language: str = "en-US"
    sentiment_analysis: bool = False
    events: Webhook | None = None


class Format(StrEnum):
    """The audio formats of a recording."""

    MP3 = "mp3"
    WAV = "wav"
    OGG = "ogg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``record``, and ``record: true`` of ``conversation``.

    Attributes:
        is_split: One channel a party: the caller left, all that the caller hears right.
        channels: 1 unless split; then 2 or more, the last one for all who are left over.
        end_on_silence: Seconds of silence after which it stops; None: silence does not stop it.
        end_on_key: The key that stops it.
        time_out: Seconds after which it stops in any case.
        events: Where the ``record`` event goes; None: where the leg's events go.
    """

    format: Format = Format.MP3
    is_split: bool = False
    channels: int = 1
    end_on_silence: float | None = None
    end_on_key: str | None = None
    time_out: int = LONGEST_RECORDING
    beep_start: bool = False
    transcription: Transcription | None = None
    events: Webhook | None = None

    @property
    def is_synchronous(self) -> bool:
        """Whether the flow waits for its end: a time-out alone does not make it wait."""
        return self.end_on_silence is not None or self.end_on_key is not None


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
        record: How to record the room, if it is to be.
    """

    name: str
    starts: bool = True
    ends: bool = False
    mute: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None
    music: str | None = None
    record: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call as it was asked for: by ``POST /v1/calls``, by ``connect``, or by a party that calls in.

    Attributes:
        to: The callee, as records show it; a websocket's has ``headers``, ``content-type`` and ``authorization`` too.
        from_: The caller, as records show it; empty for a number of the account's.
        flow: What to do when answered; None for the callee of a ``connect``, and if the ``answer_url`` says.
        detection: For phones only.
        events: ``event_url`` and ``event_method``; None: the application's.
        is_synchronous: The reply to the event of its failure may bring the caller another NCCO (``connect``).
        on_answer: Where to ask for what the callee, alone, hears before it is joined to its caller (``connect``).
        sip_headers: ``SipHeader_X-...``, as the answer webhook is told of them (a party that calls in).
    """

    to: dict[str, Any]
    from_: dict[str, Any] = field(default_factory=dict)
    flow: Flow | None = None
    detection: Detection | None = None
    dtmf_answer: str | None = None
    ringing_timer: int = RINGING_TIMER
    length_timer: int = LENGTH_TIMER
    events: Webhook | None = None
    is_synchronous: bool = False
    on_answer: Webhook | None = None
    sip_headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """``connect``: call somebody into the leg's own conversation.

    Attributes:
        order: The call, but for its ``from_``; without ``events`` they go where the caller's go.
        caller: The ``from`` number; None for the account's own.
        ringback: What the caller hears until the callee is there.
    """

    order: Order
    caller: str | None = None
    ringback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DtmfTerms:
    """``dtmf`` of ``input``: when the keys are complete.

    Attributes:
        time_out: Seconds from the start, and from each key.
    """

    time_out: int = 3
    max_digits: int = 4
    submit_on_hash: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTerms:
    """``speech`` of ``input``.

    Attributes:
        uuid: The leg that is listened to; None: the one that runs the flow.
        end_on_silence: Seconds of silence after which what was said is complete.
        start_timeout: Seconds within which somebody must begin to speak.
        max_duration: Seconds of speech at most.
        save_audio: Keep what was said as a recording.
    """

    uuid: str | None = None
    end_on_silence: float = 2.0
    language: str = "en-US"
    context: tuple[str, ...] = ()
    start_timeout: int = 10
    max_duration: int = 60
    save_audio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """``input``: wait for keys, speech or whichever comes first.

    Attributes:
        dtmf: None: keys do not count.
        speech: None: speech does not count.
        is_asynchronous: Each key is told at once, and the flow goes on.
        events: Where the ``input`` event goes; None: where the leg's events go.
    """

    dtmf: DtmfTerms | None = None
    speech: SpeechTerms | None = None
    is_asynchronous: bool = False
    events: Webhook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """``notify``: tell a webhook something of the flow's own; the reply may bring another NCCO."""

    payload: dict[str, Any]
    events: Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """``wait``: do nothing for some seconds, already brought into 0.1 to 7200."""

    seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAll:
    """``transfer``: all legs of the conversation go to another that exists.

    Attributes:
        conversation_uuid: ``CON-...``.
        mute: They enter muted; False leaves them as they are.
        can_hear: As in :class:`Join`; so is ``can_speak``.
    """

    conversation_uuid: str
    mute: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None


Action = Play | Record | Join | Dial | Input | Notify | Wait | MoveAll

Actions = tuple[Action, ...]

Flow = Actions | Webhook

OnReply = Callable[[Actions | None], None]
"""Called with the NCCO that the reply to an event brought; None if it brought none."""
