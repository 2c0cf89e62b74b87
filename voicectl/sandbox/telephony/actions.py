"""Classes for NCCO actions, and for requests to place calls.

Source: NCCO reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicectl.sandbox.telephony.detection import Detection
from voicectl.sandbox.telephony.sounds import Prompt

RINGING_TIMER = 60
"""How long a call rings by default before it times out, in seconds."""

LENGTH_TIMER = 7200
"""How long a call can last by default after it is answered, in seconds."""

LONGEST_RECORDING = 7200
"""The default and maximum duration of a recording, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The URL of a webhook that serves NCCOs or receives events, and the HTTP method to use."""

    url: str
    method: str = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """The ``talk`` or ``stream`` action: play a prompt.

    Attributes:
        barge_in: True if a key or speech stops the prompt (``bargeIn``). The key or speech then counts as input for
            the next ``input`` action.
    """

    prompt: Prompt
    barge_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """The ``transcription`` option for a recording.

    Attributes:
        events: The webhook for the ``transcribed`` event, or None to use the webhook for the ``record`` event.
    """

    language: str = "en-US"
    sentiment_analysis: bool = False
    events: Webhook | None = None


class Format(StrEnum):
    """The audio formats for recordings."""

    MP3 = "mp3"
    WAV = "wav"
    OGG = "ogg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The ``record`` action, or ``record: true`` in the ``conversation`` action.

    Attributes:
        is_split: True to record the parties on separate channels. With two channels, the caller is on the left
            channel, and everything that the caller hears is on the right channel.
        channels: The number of channels: 1, or at least 2 if the recording is split. Parties that have no channel of
            their own share the last channel.
        end_on_silence: How many seconds of silence end the recording, or None if silence does not end the recording.
        end_on_key: The key that ends the recording, or None if no key does.
        time_out: The maximum duration of the recording, in seconds.
        events: The webhook for the ``record`` event, or None to use the webhook for the other events of the call.
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
        """True if silence or a key can end the recording. The flow then waits for the recording to end."""
        return self.end_on_silence is not None or self.end_on_key is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The ``conversation`` action: the leg that runs the action joins a room and stays there.

    Attributes:
        starts: True if the conversation starts when the leg enters (``startOnEnter``).
        ends: True if the conversation ends for all legs when the leg leaves (``endOnExit``).
        mute: True to mute the leg when it enters. False does not unmute a leg that is already muted.
        can_hear: The UUIDs of the legs that the leg hears, or None if it hears all legs.
        can_speak: The UUIDs of the legs that hear the leg, or None if all legs hear it.
        music: The URL of the music to play until the conversation starts, or None for no music.
        record: The settings for recording the room, or None for no recording.
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
    """A request for a call, made by ``POST /v1/calls``, by a ``connect`` action, or by a party that calls in.

    Attributes:
        to: The callee, in the format of call records. A WebSocket also has ``headers``, ``content-type`` and
            ``authorization``.
        from_: The caller, in the format of call records. Empty to use the account's own number.
        flow: The flow to run when the call is answered. None for the callee of a ``connect``, and for a call whose
            NCCO comes from the application's ``answer_url``.
        detection: The settings for machine detection, which applies only to phones, or None for no detection.
        events: The webhook from ``event_url`` and ``event_method``, or None to use the application's webhook.
        is_synchronous: True if the reply to an event about a failed ``connect`` may contain another NCCO for the
            caller.
        on_answer: The webhook that serves an NCCO for the callee of a ``connect``, or None for no such NCCO. The
            callee runs this NCCO before it joins its caller.
        sip_headers: The ``SipHeader_X-...`` parameters that the answer webhook receives when a party calls in.
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
    """The ``connect`` action: call a party, which joins the conversation of the leg that runs the action.

    Attributes:
        order: The request for the call, in which ``from_`` is empty. If its ``events`` is None, the events go to the
            webhook for the caller's events.
        caller: The number to call from, or None to use the account's own number.
        ringback: The URL of the tone that the caller hears until the callee joins, or None for no tone.
    """

    order: Order
    caller: str | None = None
    ringback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DtmfTerms:
    """The ``dtmf`` option of the ``input`` action, which defines when the digits are complete.

    Attributes:
        time_out: How long to wait for the first key, and for each key after that, in seconds.
    """

    time_out: int = 3
    max_digits: int = 4
    submit_on_hash: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTerms:
    """The ``speech`` option of the ``input`` action.

    Attributes:
        uuid: The UUID of the leg to listen to, or None to listen to the leg that runs the flow.
        end_on_silence: How many seconds of silence mark the end of the speech.
        start_timeout: How long to wait for speech to begin, in seconds.
        max_duration: The maximum duration of the speech, in seconds.
        save_audio: True to keep the speech as a recording.
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
    """The ``input`` action: wait for keys, for speech, or for whichever comes first.

    Attributes:
        dtmf: The settings for keys, or None to ignore keys.
        speech: The settings for speech, or None to ignore speech.
        is_asynchronous: True to report each key as soon as it is pressed, without making the flow wait.
        is_old: True if the action is written in its oldest form. Its event then has the oldest form, too.
        events: The webhook for the ``input`` event, or None to use the webhook for the other events of the call.
    """

    dtmf: DtmfTerms | None = None
    speech: SpeechTerms | None = None
    is_asynchronous: bool = False
    is_old: bool = False
    events: Webhook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The ``notify`` action: send a payload to a webhook, whose reply may contain another NCCO."""

    payload: dict[str, Any]
    events: Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The ``wait`` action: pause for *seconds*. The NCCO parser limits this value to the range from 0.1 to 7200."""

    seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAll:
    """The ``transfer`` action: move all legs in the present conversation to another existing conversation.

    Attributes:
        conversation_uuid: The id of the conversation to move to, ``CON-...``.
        mute: True to mute the legs when they enter. False does not unmute legs that are already muted.
        can_hear: The UUIDs of the legs that the moved legs hear, or None if they hear all legs.
        can_speak: The UUIDs of the legs that hear the moved legs, or None if all legs hear them.
    """

    conversation_uuid: str
    mute: bool = False
    can_hear: frozenset[str] | None = None
    can_speak: frozenset[str] | None = None


Action = Play | Record | Join | Dial | Input | Notify | Wait | MoveAll

Actions = tuple[Action, ...]

Flow = Actions | Webhook

OnReply = Callable[[Actions | None], None]
"""A function to call with the NCCO from the reply to an event, or with None if the reply has no NCCO."""
