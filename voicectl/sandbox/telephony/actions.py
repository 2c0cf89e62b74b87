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
"""The default time for which a call rings before it times out, in seconds."""

LENGTH_TIMER = 7200
"""The default maximum duration of a call, in seconds. The time before the answer does not count."""

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
        barge_in: True if a key press or speech stops the prompt (``bargeIn``). The next ``input`` action then
            receives the key press or speech as input.
    """

    prompt: Prompt
    barge_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """The ``transcription`` option for a recording.

    Attributes:
        events: The webhook for the ``transcribed`` event. If it is None, the webhook for the ``record`` event is
            used.
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
        is_split: True if the parties are recorded on separate channels. If there are two channels, the caller is on
            the left channel, and everything that the caller hears is on the right channel.
        channels: The number of channels: 1, or at least 2 if the recording is split. Parties that have no channel of
            their own share the last channel.
        end_on_silence: The duration of a silence that ends the recording, in seconds, or None if silence does not end
            the recording.
        end_on_key: The key that ends the recording when it is pressed, or None if no key ends the recording.
        time_out: The maximum duration of the recording, in seconds.
        events: The webhook for the ``record`` event. If it is None, the webhook for the call's other events is used.
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
        """True if silence or a key press can end the recording.

        In this case, the flow waits until the recording has ended.
        """
        return self.end_on_silence is not None or self.end_on_key is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The ``conversation`` action: the leg that runs the action joins a room and stays there.

    Attributes:
        starts: True if the conversation starts when the leg enters (``startOnEnter``).
        ends: True if the conversation ends for all legs when the leg leaves (``endOnExit``).
        mute: True if the leg is muted when it enters. False does not unmute a leg that is already muted.
        can_hear: The UUIDs of the legs that the leg hears, or None if it hears all legs.
        can_speak: The UUIDs of the legs that hear the leg, or None if all legs hear it.
        music: The URL of the music that is played until the conversation starts, or None if no music is played.
        record: The settings for a recording of the room, or None if the room is not recorded.
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
    """A request for a call. It comes from ``POST /v1/calls``, a ``connect`` action, or an outside party that calls.

    Attributes:
        to: The callee, in the format of call records. If the callee is a WebSocket, there are additional fields:
            ``headers``, ``content-type`` and ``authorization``.
        from_: The caller, in the format of call records. If it is empty, the account's own number is used.
        flow: The flow to run when the call is answered. It is None for the callee of a ``connect`` action, and for a
            call whose NCCO comes from the application's ``answer_url``.
        detection: The settings for answering machine detection, or None if detection was not requested. Detection
            applies only to phones.
        events: The webhook from ``event_url`` and ``event_method``. If it is None, the application's webhook is used.
        is_synchronous: True if the reply to an event about a failed ``connect`` action may contain another NCCO for
            the caller.
        on_answer: The webhook that returns an NCCO for the callee of a ``connect`` action, or None if there is no
            such NCCO. This NCCO runs before the callee joins the caller.
        sip_headers: The ``SipHeader_X-...`` parameters that the answer webhook receives when an outside party calls.
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
    """The ``connect`` action: call another party, who then joins the conversation of the leg that runs the action.

    Attributes:
        order: The request for the call. Its ``from_`` is empty. If its ``events`` is None, the events about the
            callee are sent to the webhook for the events about the caller.
        caller: The phone number to call from. If it is None, the account's own number is used.
        ringback: The URL of the tone that the caller hears until the callee joins, or None if there is no tone.
    """

    order: Order
    caller: str | None = None
    ringback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DtmfTerms:
    """The ``dtmf`` option of the ``input`` action, which defines when the digits are complete.

    Attributes:
        time_out: How long to wait for each key press, in seconds.
    """

    time_out: int = 3
    max_digits: int = 4
    submit_on_hash: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTerms:
    """The ``speech`` option of the ``input`` action.

    Attributes:
        uuid: The UUID of the leg to listen to, or None to listen to the leg that runs the flow.
        end_on_silence: The duration of the silence that ends the speech, in seconds.
        start_timeout: How long to wait for speech to begin, in seconds.
        max_duration: The maximum duration of the speech, in seconds.
        save_audio: True if the speech is kept as a recording.
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
    """The ``input`` action: wait for key presses, for speech, or for either of the two.

    Attributes:
        dtmf: The settings for key presses, or None if key presses are ignored.
        speech: The settings for speech, or None if speech is ignored.
        is_asynchronous: True if each key press is reported immediately, and the flow does not wait.
        is_old: True if the action is written in the oldest form of the NCCO format. The ``input`` event is then sent
            in the corresponding form.
        events: The webhook for the ``input`` event. If it is None, the webhook for the call's other events is used.
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
    """The ``wait`` action: pause for ``seconds``.

    The NCCO parser limits the pause to between 0.1 and 7200 seconds.
    """

    seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAll:
    """The ``transfer`` action: move all legs in the current conversation to another existing conversation.

    Attributes:
        conversation_uuid: The id of the other conversation, ``CON-...``.
        mute: True if the legs are muted when they enter. False does not unmute legs that are already muted.
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
"""A function that is called when a webhook has replied to an event.

The argument is the NCCO in the reply, or None if the reply contains no NCCO.
"""
