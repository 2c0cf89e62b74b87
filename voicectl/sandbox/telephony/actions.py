"""The actions of an NCCO, and the orders that make calls.

Source: NCCO reference; there is one class for each action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicectl.sandbox.telephony.detection import Detection
from voicectl.sandbox.telephony.sounds import Prompt

RINGING_TIMER = 60
"""Default time for which a call rings, in seconds."""

LENGTH_TIMER = 7200
"""Default maximum length of a call from its answer, in seconds."""

LONGEST_RECORDING = 7200
"""Default and maximum length of a recording, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL that serves NCCOs or receives events."""

    url: str
    method: str = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """``talk`` or ``stream``.

    Attributes:
        barge_in: ``bargeIn``: a key or speech stops it, and counts for the next ``input``.
    """

    prompt: Prompt
    barge_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """``transcription`` of a recording.

    Attributes:
        events: Webhook of the ``transcribed`` event; None: that of the ``record`` event.
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
        is_split: Record each party on its own channel: the caller left, what the caller hears right.
        channels: 1 unless split; then 2 or more, the last one shared by the remaining parties.
        end_on_silence: Seconds of silence after which it stops; None: silence does not stop it.
        end_on_key: The key that stops it.
        time_out: Longest duration, in seconds.
        events: Webhook of the ``record`` event; None: that of the leg's events.
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
        """True if the flow waits for the recording to end; a time-out alone does not make it wait."""
        return self.end_on_silence is not None or self.end_on_key is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """``conversation``: join a room and stay there.

    Attributes:
        starts: ``startOnEnter``: the conversation starts when this leg enters.
        ends: ``endOnExit``: the conversation ends for all legs when this one leaves.
        mute: Enter muted; False leaves the leg as it is.
        can_hear: The legs that this one hears; None for all.
        can_speak: The legs that hear this one; None for all.
        music: URL of the music to play until the conversation starts.
        record: The recording to make of the room; None for none.
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
    """A call as requested by ``POST /v1/calls``, by ``connect``, or by a party that calls in.

    Attributes:
        to: The callee, as records show it; a websocket's has ``headers``, ``content-type`` and ``authorization`` too.
        from_: The caller, as records show it; empty for a number of the account.
        flow: The flow to run when answered; None for the callee of a ``connect``, and to ask the application's
            ``answer_url``.
        detection: Machine detection, for phones only.
        events: ``event_url`` and ``event_method``; None: the application's.
        is_synchronous: The reply to the event of its failure may carry another NCCO for the caller (``connect``).
        on_answer: Webhook of the NCCO that only the callee hears before it joins its caller (``connect``).
        sip_headers: ``SipHeader_X-...`` parameters of the answer webhook (a party that calls in).
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
    """``connect``: call a party into the leg's own conversation.

    Attributes:
        order: The call without its ``from_``; without ``events``, the caller's webhook gets its events.
        caller: The ``from`` number; None for the account's own.
        ringback: URL of the tone that the caller hears until the callee answers.
    """

    order: Order
    caller: str | None = None
    ringback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DtmfTerms:
    """``dtmf`` of ``input``: the conditions that complete the digits.

    Attributes:
        time_out: Seconds to wait for the first key, and for each further one.
    """

    time_out: int = 3
    max_digits: int = 4
    submit_on_hash: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTerms:
    """``speech`` of ``input``.

    Attributes:
        uuid: The leg to listen to; None: the leg that runs the flow.
        end_on_silence: Seconds of silence that complete the speech.
        start_timeout: Seconds to wait for speech to begin.
        max_duration: Longest speech, in seconds.
        save_audio: Keep the speech as a recording.
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
        dtmf: None: ignore keys.
        speech: None: ignore speech.
        is_asynchronous: Report each key at once, while the flow goes on.
        events: Webhook of the ``input`` event; None: that of the leg's events.
    """

    dtmf: DtmfTerms | None = None
    speech: SpeechTerms | None = None
    is_asynchronous: bool = False
    events: Webhook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """``notify``: send a payload of the NCCO to a webhook; the reply may carry another NCCO."""

    payload: dict[str, Any]
    events: Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """``wait``: pause for *seconds*, already limited to 0.1 to 7200."""

    seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAll:
    """``transfer``: move all legs of the conversation to another existing one.

    Attributes:
        conversation_uuid: ``CON-...``.
        mute: Mute the legs as they enter; False leaves them as they are.
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
"""A function that takes the NCCO from the reply to an event, or None if the reply has none."""
