"""Effects: work that the exchange leaves to its caller, because the exchange uses no files or sockets itself.

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
    """The purposes of requests for NCCOs."""

    ANSWER = "answer"
    ON_ANSWER = "onAnswer"
    TRANSFER = "transfer"


class Kind(StrEnum):
    """The kinds of webhook events, under their names in the sandbox's log."""

    STATUS = "status"
    TRANSFER = "transfer"
    INPUT = "input"
    RECORD = "record"
    TRANSCRIBED = "transcribed"
    NOTIFY = "notify"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An instruction to send an event to a webhook.

    Attributes:
        at: The moment of the effect on the call clock, in milliseconds since 1970.
        uuid: The UUID of the leg that the event is about. Some events do not contain this UUID in their ``fields``.
        application_id: The id of the leg's application.
        fields: The body of the event.
        webhook: The webhook to use, or None to use the application's ``event_url``.
        may_bring_ncco: True if the exchange waits for the reply. ``Exchange.replied`` must then be called, even if
            there is no URL to send the event to.
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
    """An instruction to request an NCCO, and then to call ``Exchange.resume`` or, on failure, ``Exchange.give_up``.

    Attributes:
        at: The moment of the effect on the call clock, in milliseconds since 1970.
        region: The region of the leg, such as ``na-east``. The request's ``region_url`` is the URL of this region.
        webhook: The webhook to request the NCCO from, or None to use the application's ``answer_url``.
        parameters: The request's parameters except ``region_url``, such as ``to``, ``from``, ``uuid``,
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
    """An instruction to log why a flow did not run as written."""

    at: int
    uuid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An instruction to record a conversation event and to send it to the application's RTC webhook.

    Attributes:
        at: The moment of the effect on the call clock, in milliseconds since 1970.
        conversation_uuid: The id of the conversation, ``CON-...``. The conversation may have ended before this effect
            is performed.
        type: The type of the event, such as ``member:joined`` or ``audio:say:done``.
        uuid: The UUID of the leg whose member caused the event, or None if the platform caused it.
        body: The fields of the event's body that only the exchange knows, such as ids, texts, digits and reasons.
            The fields have the platform's names.
    """

    at: int
    application_id: str
    conversation_uuid: str
    type: str
    uuid: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRecording:
    """An instruction to make the audio file of a finished recording, and then to call ``Media.recorded``."""

    recording: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """An instruction to open a leg's WebSocket, and then to report the result.

    Success is reported with ``Exchange.socket_opened``, and failure with ``Exchange.socket_refused``.
    """

    at: int
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """An instruction to close a leg's WebSocket, because the leg has ended."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSound:
    """An instruction to begin sending a sound to a leg's WebSocket. Keys are sent as text messages, not as audio."""

    uuid: str
    heard: Heard


Effect = Event | Fetch | Remark | Note | SaveRecording | Open | Close | SendSound
