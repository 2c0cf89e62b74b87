"""Effects: actions that the exchange leaves to others, because it uses no files or sockets itself.

``Exchange.collect`` returns the effects in the order in which they must be performed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.sandbox.telephony.actions import Webhook
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard


class Purpose(StrEnum):
    """The purpose of a request for an NCCO."""

    ANSWER = "answer"
    ON_ANSWER = "onAnswer"
    TRANSFER = "transfer"


class Kind(StrEnum):
    """The kinds of events, as the sandbox's log names them."""

    STATUS = "status"
    TRANSFER = "transfer"
    INPUT = "input"
    RECORD = "record"
    TRANSCRIBED = "transcribed"
    NOTIFY = "notify"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Send an event to a webhook.

    Attributes:
        at: The moment of the effect, in milliseconds of the call clock.
        uuid: The UUID of the leg that the event is about, even if *fields* do not contain it.
        application_id: The application of the leg.
        fields: The body of the event.
        webhook: The webhook to use, or None for the application's ``event_url``.
        may_bring_ncco: True if the flow waits for the reply. ``Exchange.replied`` must then be called, even if there
            is no URL.
    """

    at: int
    kind: Kind
    uuid: str
    application_id: str
    fields: dict[str, Any]
    webhook: Webhook | None = None
    may_bring_ncco: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fetch:
    """Ask a webhook for an NCCO, and pass the result to ``Exchange.resume`` or ``Exchange.give_up``.

    Attributes:
        at: The moment of the effect, in milliseconds of the call clock.
        region: The region of the leg, such as ``na-east``. The URL of this region is the request's ``region_url``.
        webhook: The webhook to ask, or None for the application's ``answer_url``.
        parameters: The parameters of the request except ``region_url``, such as ``to``, ``from``, ``uuid``,
            ``conversation_uuid`` and ``endpoint_type``.
    """

    at: int
    uuid: str
    application_id: str
    region: str
    webhook: Webhook | None
    purpose: Purpose
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Log why a flow did not run as written."""

    at: int
    uuid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Record an event of a conversation (Conversation API), and send it to the application's RTC webhook.

    Attributes:
        at: The moment of the effect, in milliseconds of the call clock.
        conversation_uuid: The id of the conversation, ``CON-...``. The conversation may have ended before this effect
            is performed.
        type: The type of the event, such as ``member:joined`` or ``audio:say:done``.
        uuid: The UUID of the leg whose member caused the event, or None if the platform caused it.
        body: The part of the body that only the exchange knows, such as ids, texts, digits and reasons. The field
            names are those of the platform.
    """

    at: int
    application_id: str
    conversation_uuid: str
    type: str
    uuid: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRecording:
    """Make the audio file of a recording that has ended, then call ``Media.recorded``."""

    recording: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Connect to the WebSocket of the leg *uuid*, then call ``Exchange.socket_opened`` or ``socket_refused``."""

    at: int
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close the WebSocket of the leg *uuid*, because the leg has ended."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSound:
    """Begin to send *heard* to the WebSocket of the leg *uuid*. Keys are sent as messages."""

    uuid: str
    heard: Heard


Effect = Event | Fetch | Remark | Note | SaveRecording | Open | Close | SendSound
